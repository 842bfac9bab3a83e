/** Anthropic's Messages API on the real engine. */
import { expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

const TOOL = {
  name: 'get_weather',
  input_schema: {
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

/** The events of a stream, each named as its data's type. */
function eventsOf(text: string): { type: string; [key: string]: unknown }[] {
  return text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(event) ?? [];
      const json = JSON.parse(data ?? '');
      expect(json.type).toBe(name);
      return json;
    });
}

test('an answer is a chat’s, streamed too', async ({ page }) => {
  const settings = { seed: 1, max_tokens: 8 };
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }];
  const { json: chat } = await fetchIn(page, '/v1/chat/completions', {
    ...settings,
    messages: [{ role: 'system', content: 'Be brief.' }, ...user('hello')],
  });
  const request = { ...settings, system: 'Be brief.', messages };
  const { status, json } = await fetchIn(page, '/v1/messages', request);
  const text = chat.choices[0].message.content;
  expect([status, json]).toMatchObject([
    200,
    {
      id: expect.stringMatching(/^chatcmpl-\w{32}$/),
      type: 'message',
      role: 'assistant',
      model: 'tiny',
      content: [{ type: 'text', text }],
      stop_reason: 'max_tokens',
      stop_sequence: null,
      usage: { cache_read_input_tokens: 0, input_tokens: chat.usage.prompt_tokens, output_tokens: 8 },
    },
  ]);

  const streamed = await fetchIn(page, '/v1/messages', { ...request, stream: true });
  expect(streamed.headers['content-type']).toBe('text/event-stream');
  const events = eventsOf(streamed.text);
  expect(events.map(({ type }) => type)).toEqual([
    'message_start',
    'content_block_start',
    ...Array(8).fill('content_block_delta'),
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
  expect(events[0]?.message).toMatchObject({ usage: { input_tokens: chat.usage.prompt_tokens, output_tokens: 0 } });
  const deltas = events.filter(({ type }) => type === 'content_block_delta') as unknown as {
    delta: { text: string };
  }[];
  expect(deltas.map(({ delta }) => delta.text).join('')).toBe(text);
  expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'max_tokens' }, usage: { output_tokens: 8 } });
});

test('a stop sequence is told', async ({ page }) => {
  const request = { messages: user('hello'), seed: 1, max_tokens: 40 };
  const { json: whole } = await fetchIn(page, '/v1/messages', request);
  const word = whole.content[0].text.slice(10, 14);
  const stopping = { ...request, stop_sequences: ['\u0001', word] };
  const { json } = await fetchIn(page, '/v1/messages', stopping);
  expect(json).toMatchObject({ stop_reason: 'end_turn', stop_sequence: word });
  expect(json.content[0].text).toBe(whole.content[0].text.split(word)[0]);
  const { text } = await fetchIn(page, '/v1/messages', { ...stopping, stream: true });
  expect(eventsOf(text).at(-2)).toMatchObject({ delta: { stop_reason: 'end_turn', stop_sequence: word } });
});

test('thoughts, and none', async ({ page }) => {
  const request = { model: 'agent', messages: user('hello'), seed: 1, max_tokens: 400 };
  const { json } = await fetchIn(page, '/v1/messages', request);
  expect(json.content).toMatchObject([{ type: 'thinking', signature: '' }, { type: 'text' }]);
  const { text } = await fetchIn(page, '/v1/messages', { ...request, stream: true });
  const starts = eventsOf(text).filter(({ type }) => type === 'content_block_start');
  expect(starts).toMatchObject([
    { index: 0, content_block: { type: 'thinking' } },
    { index: 1, content_block: { type: 'text' } },
  ]);
  const none = await fetchIn(page, '/v1/messages', { ...request, thinking: { type: 'disabled' } });
  expect(none.json.content).toMatchObject([{ type: 'text' }]);
  const thinking = { type: 'enabled', budget_tokens: 4 };
  const brief = await fetchIn(page, '/v1/messages', { ...request, thinking });
  expect(brief.json.content[0].thinking.length).toBeLessThan(json.content[0].thinking.length);
});

test('a tool, and going on from its result', async ({ page }) => {
  const request = { messages: user('Weather?'), tools: [TOOL], seed: 1, max_tokens: 400 };
  for (const tool_choice of [{ type: 'any' }, { type: 'tool', name: 'get_weather' }]) {
    const { json } = await fetchIn(page, '/v1/messages', { ...request, tool_choice });
    expect(json).toMatchObject({ stop_reason: 'tool_use', content: [{ type: 'tool_use', name: 'get_weather' }] });
    expect(['Paris', 'Rome']).toContain(json.content[0].input.city);

    const streamed = await fetchIn(page, '/v1/messages', { ...request, tool_choice, stream: true });
    const events = eventsOf(streamed.text);
    expect(events[1]).toMatchObject({ type: 'content_block_start', content_block: { type: 'tool_use', input: {} } });
    const input = events
      .map(({ delta }) => (delta as { partial_json?: string } | undefined)?.partial_json ?? '')
      .join('');
    expect(JSON.parse(input)).toEqual(json.content[0].input);

    const result = { type: 'tool_result', tool_use_id: json.content[0].id, content: 'Sunny' };
    const messages = [
      ...request.messages,
      { role: 'assistant', content: json.content },
      { role: 'user', content: [result] },
    ];
    const answered = await fetchIn(page, '/v1/messages', { ...request, messages, max_tokens: 8 });
    expect(answered.json).toMatchObject({ content: [{ type: 'text' }], usage: { output_tokens: 8 } });
  }
});

test('faults', async ({ page }) => {
  expect(await fetchIn(page, '/v1/messages', {})).toMatchObject({
    status: 500,
    json: { error: { message: "'messages' is required", type: 'server_error' } },
  });
  const long = await fetchIn(page, '/v1/messages', { messages: user('a'.repeat(4000)), stream: true });
  expect(long).toMatchObject({ status: 400, json: { error: { type: 'exceed_context_size_error' } } });
});
