/** Tools on the real engine: with a template that knows them, with one that does not, and through the OpenAI client. */
import { expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

const WEATHER = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'Weather of a city',
    parameters: {
      type: 'object',
      properties: {
        city: { $ref: '#/$defs/city' },
        days: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 7 }, minItems: 1, maxItems: 2 },
      },
      required: ['city', 'days'],
      additionalProperties: false,
      $defs: { city: { enum: ['Paris', 'Rome'] } },
    },
  },
};
const NOW = { type: 'function' as const, function: { name: 'now' } };
const TOOLS = [WEATHER, NOW];
const NAMED = { type: 'function' as const, function: { name: 'get_weather' } };
const ASKED = { messages: user('Weather in Paris?'), tools: TOOLS, seed: 1, max_tokens: 300 };

/** What makes the tiny agent, whose weights are random, write a call of its own accord, at once, and end with it. */
const CALLING = {
  logit_bias: { '<tool_call>': 2000, '\n': 1000 },
  presence_penalty: 10_000,
  repeat_last_n: 1,
  stop: ['</tool_call>'],
  parallel_tool_calls: false,
  chat_template_kwargs: { enable_thinking: false },
};

interface Call {
  id: string;
  type: string;
  function: { name: string; arguments: string };
}

/** What every call must be, whoever made it. */
function expectCall(call: Call | undefined, names: string[]): void {
  expect(call).toMatchObject({ id: expect.stringMatching(/^[A-Za-z0-9]{32}$/), type: 'function' });
  expect(names).toContain(call?.function.name);
  const given = JSON.parse(call?.function.arguments ?? '');
  if (call?.function.name === 'now') {
    expect(given).toEqual({});
  } else {
    expect(Object.keys(given)).toEqual(['city', 'days']);
    expect(['Paris', 'Rome']).toContain(given.city);
    expect([1, 2]).toContain(given.days.length);
  }
}

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, agent: { agent: true, endBias: 0 } });
  await serveIn(page, site);
});

for (const model of ['tiny', 'agent']) {
  test(`a call that is required, or named, of the model ${model}`, async ({ page }) => {
    for (const [tool_choice, names] of [
      ['required', ['get_weather', 'now']],
      [NAMED, ['get_weather']],
    ] as const) {
      const request = { model, ...ASKED, tool_choice };
      const { status, json } = await fetchIn(page, '/v1/chat/completions', request);
      expect([status, json]).toMatchObject([
        200,
        { choices: [{ finish_reason: 'tool_calls', message: { content: '' } }] },
      ]);
      const { tool_calls } = json.choices[0].message;
      expect(tool_calls).toHaveLength(1);
      expectCall(tool_calls[0], [...names]);
    }
  });

  test(`streamed, the model ${model} calls the same through the OpenAI client`, async ({ page }) => {
    const request = { model, ...ASKED, tool_choice: NAMED };
    const { json } = await fetchIn(page, '/v1/chat/completions', request);
    const { call, deltas, finish } = await page.evaluate(async (request) => {
      const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
      const stream = openai.chat.completions.stream(request as never);
      let deltas = 0;
      stream.on('tool_calls.function.arguments.delta', () => deltas++);
      const { choices } = await stream.finalChatCompletion();
      return { call: choices[0]?.message.tool_calls?.[0] as Call, deltas, finish: choices[0]?.finish_reason };
    }, request);
    expect(finish).toBe('tool_calls');
    expectCall(call, ['get_weather']);
    expect(call.function).toMatchObject(json.choices[0].message.tool_calls[0].function);
    expect(deltas).toBeGreaterThan(10);
  });
}

test('a model that is free to call does, and goes on from the result', async ({ page }) => {
  const first = await fetchIn(page, '/v1/chat/completions', { model: 'agent', ...ASKED, ...CALLING });
  const { message, finish_reason } = first.json.choices[0];
  expect(finish_reason).toBe('tool_calls');
  expectCall(message.tool_calls[0], ['get_weather', 'now']);
  const messages = [
    ...ASKED.messages,
    message,
    { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'Sunny, 21 °C' },
  ];
  const { json } = await fetchIn(page, '/v1/chat/completions', { model: 'agent', ...ASKED, messages, verbose: true });
  expect(json.__verbose.prompt).toContain(`<tool_call>\n{"name": "${message.tool_calls[0].function.name}"`);
  expect(json.__verbose.prompt).toContain('<tool_response>\nSunny, 21 °C\n</tool_response>');
});

test('several calls at once, and at most one', async ({ page }) => {
  const request = { ...ASKED, tool_choice: 'required', max_tokens: 1000 };
  const several = await fetchIn(page, '/v1/chat/completions', { model: 'tiny', ...request, parallel_tool_calls: true });
  for (const call of several.json.choices[0].message.tool_calls) expectCall(call, ['get_weather', 'now']);
  const { stop: _, ...endless } = CALLING;
  for (const how of [{}, { ...endless, tool_choice: 'auto' }]) {
    const one = { model: 'agent', ...request, ...how, parallel_tool_calls: false };
    const { json } = await fetchIn(page, '/v1/chat/completions', one);
    expect(json.choices[0].message.tool_calls).toHaveLength(1);
  }
});

test('none, and auto where the template knows no tools: text', async ({ page }) => {
  const plain = { messages: ASKED.messages, seed: 1, max_tokens: 8 };
  const { json: expected } = await fetchIn(page, '/v1/chat/completions', { model: 'tiny', ...plain });
  for (const tool_choice of ['none', 'auto']) {
    const request = { model: 'tiny', ...plain, tools: TOOLS, tool_choice };
    const { json } = await fetchIn(page, '/v1/chat/completions', request);
    expect(json.choices).toEqual(expected.choices);
    expect(json.usage.prompt_tokens).toBe(expected.usage.prompt_tokens);
  }
  const none = await fetchIn(page, '/v1/chat/completions', {
    model: 'agent',
    ...ASKED,
    ...CALLING,
    tool_choice: 'none',
  });
  expect(none.json.choices[0].message).not.toHaveProperty('tool_calls');
});

test('a fault costs only the request that has it', async ({ page }) => {
  const hiccup = { type: 'function', function: { name: 'f', parameters: { type: 'hiccup' } } };
  for (const model of ['tiny', 'agent']) {
    const request = { model, ...ASKED, tools: [hiccup], tool_choice: 'required' };
    const { status, json } = await fetchIn(page, '/v1/chat/completions', request);
    expect([status, json.error]).toMatchObject([
      400,
      { param: 'tools', message: expect.stringContaining('JSON schema error at #: unrecognized type hiccup') },
    ]);
  }
  const { json } = await fetchIn(page, '/v1/chat/completions', { ...ASKED, model: 'tiny', tool_choice: NAMED });
  expectCall(json.choices[0].message.tool_calls[0], ['get_weather']);
});

test('functions, from before there were tools, through the OpenAI client', async ({ page }) => {
  const { function_call, finish } = await page.evaluate(async (declared) => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const { choices } = await openai.chat.completions.create({
      model: 'tiny',
      messages: [{ role: 'user', content: 'Weather in Paris?' }],
      functions: [declared],
      function_call: { name: declared.name },
      seed: 1,
    });
    return { function_call: choices[0]?.message.function_call, finish: choices[0]?.finish_reason };
  }, WEATHER.function);
  expect(finish).toBe('function_call');
  expectCall({ id: 'x'.repeat(32), type: 'function', function: function_call as Call['function'] }, ['get_weather']);
});
