/** OpenAI's Responses API on the real engine, by fetch and by the client. */
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';

const FUNCTION = {
  type: 'function' as const,
  name: 'get_weather',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Paris', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, agent: { agent: true, endBias: 0 } });
  await serveIn(page, site);
});

test('a conversation that is sent back is the chat that it was', async ({ page }) => {
  const call = { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } };
  const settings = { model: 'agent', seed: 1, temperature: 0 };
  const chat = (change: object) => ({
    ...settings,
    max_tokens: 8,
    messages: [
      { role: 'user', content: 'Rain?' },
      { role: 'assistant', content: '', reasoning_content: 'Hm.', tool_calls: [{ ...call, ...change }] },
      { role: 'tool', tool_call_id: 'call_1', content: 'yes' },
    ],
  });
  const { json: wanted } = await fetchIn(page, '/v1/chat/completions', chat({}));
  const { json } = await fetchIn(page, '/v1/responses', {
    ...settings,
    max_output_tokens: 8,
    input: [
      { role: 'user', content: 'Rain?' },
      { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'rain' } },
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }] },
      { type: 'function_call', call_id: 'call_1', name: 'get_weather', arguments: '{"city":"Paris"}' },
      { type: 'function_call_output', call_id: 'call_1', output: [{ type: 'input_text', text: 'yes' }] },
    ],
  });
  expect([json.error, json.usage?.input_tokens]).toEqual([null, wanted.usage.prompt_tokens]);

  const none = await fetchIn(page, '/v1/chat/completions', chat({ function: { name: 'get_weather', arguments: '' } }));
  expect([none.status, none.json.error]).toEqual([200, undefined]);
  const cut = await fetchIn(page, '/v1/chat/completions', chat({ function: { name: 'get_weather', arguments: '{' } }));
  expect([cut.status, cut.json.error.message]).toEqual([400, expect.stringContaining('messages[1].tool_calls[0]')]);
});

test('an answer is a chat’s', async ({ page }) => {
  const settings = { seed: 1, temperature: 0 };
  const { json: chat } = await fetchIn(page, '/v1/chat/completions', {
    ...settings,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'hello' },
    ],
    max_tokens: 8,
  });
  const { status, json } = await fetchIn(page, '/v1/responses', {
    ...settings,
    instructions: 'Be brief.',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }],
    max_output_tokens: 8,
  });
  expect([status, json]).toMatchObject([
    200,
    {
      id: expect.stringMatching(/^resp_\w{32}$/),
      object: 'response',
      status: 'completed',
      model: 'tiny',
      output: [{ type: 'message', content: [{ type: 'output_text', text: chat.choices[0].message.content }] }],
      usage: { input_tokens: chat.usage.prompt_tokens, output_tokens: 8, total_tokens: chat.usage.total_tokens },
    },
  ]);
});

test('a stream, event by event', async ({ page }) => {
  const request = { input: 'hello', max_output_tokens: 8, seed: 1 };
  const { json } = await fetchIn(page, '/v1/responses', request);
  const { headers, text } = await fetchIn(page, '/v1/responses', { ...request, stream: true });
  expect(headers['content-type']).toBe('text/event-stream');
  const events = text.split('\n\n').filter(Boolean);
  const names = events.map((event) => /^event: response\.(.+)\ndata: /.exec(event)?.[1]);
  expect(names).toEqual([
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    ...Array(8).fill('output_text.delta'),
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'completed',
  ]);
  const last = JSON.parse(events.at(-1)?.split('data: ')[1] ?? '');
  expect(last.response.output[0].content).toEqual(json.output[0].content);
  expect(last.response.usage).toEqual(json.usage);
});

test('the OpenAI client: text, thoughts, structured output, a tool and its result, abort', async ({ page }) => {
  const result = await page.evaluate(async (tool) => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const seeded = { seed: 1, max_output_tokens: 400 };

    const thinking = openai.responses.stream({ model: 'agent', input: 'hello', ...seeded });
    let thoughts = '';
    let text = '';
    thinking.on('event', (event) => {
      if (event.type === 'response.reasoning_text.delta') thoughts += event.delta;
    });
    thinking.on('response.output_text.delta', ({ delta }) => {
      text += delta;
    });
    const thought = await thinking.finalResponse();

    const format = { type: 'json_schema' as const, name: 'choice', schema: { enum: ['yes', 'no'] } };
    const structured = await openai.responses.create({ model: 'tiny', input: 'Well?', text: { format }, ...seeded });

    const asked = { model: 'tiny', tools: [tool], ...seeded };
    const tool_choice = { type: 'function' as const, name: 'get_weather' };
    const calling = await openai.responses.stream({ ...asked, input: 'Weather?', tool_choice }).finalResponse();
    const [call] = calling.output;
    if (call?.type !== 'function_call') throw new Error(`no call: ${JSON.stringify(calling)}`);
    const answered = await openai.responses.create({
      ...asked,
      max_output_tokens: 8,
      input: [
        { role: 'user', content: 'Weather?' },
        call,
        { type: 'function_call_output', call_id: call.call_id, output: 'Sunny' },
      ],
    });

    const long = await openai.responses.create({
      model: 'tiny',
      input: 'hello',
      max_output_tokens: 1500,
      stream: true,
    });
    let events = 0;
    for await (const _ of long) if (++events === 10) long.controller.abort();

    const refused = await openai.responses
      .create({ model: 'tiny', input: 'hello', previous_response_id: 'resp_1' })
      .then(
        () => null,
        ({ status, message, param }) => ({ status, message, param }),
      );
    return {
      thoughts,
      text,
      thought: [thought.output[0], thought.output_text],
      structured: structured.output_text,
      call,
      answered: answered.output_text,
      events,
      refused,
    };
  }, FUNCTION);
  expect(result.thoughts).not.toBe('');
  expect(result.thought).toMatchObject([{ type: 'reasoning', content: [{ text: result.thoughts }] }, result.text]);
  expect(['"yes"', '"no"']).toContain(result.structured);
  expect(result.call).toMatchObject({ name: 'get_weather', call_id: expect.stringMatching(/^call_\w{32}$/) });
  expect(['Paris', 'Rome']).toContain(JSON.parse(result.call.arguments).city);
  expect(result.answered).toHaveLength(8);
  expect(result.events).toBeGreaterThanOrEqual(10);
  expect(result.events).toBeLessThan(1500);
  expect(result.refused).toEqual({
    status: 400,
    message: "400 llama.cpp does not support 'previous_response_id'.",
    param: 'previous_response_id',
  });
});
