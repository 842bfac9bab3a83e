import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import type { ToolCall } from '../other-apis/chat-results.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const WEATHER = {
  type: 'object',
  properties: { city: { $ref: '#/$defs/city' } },
  required: ['city'],
  $defs: { city: { type: 'string' } },
};
const TOOLS = [
  { type: 'function', function: { name: 'get_weather', description: 'Weather of a city', parameters: WEATHER } },
  { type: 'function', function: { name: 'now' } },
];
const BODY = { messages: [{ role: 'user', content: 'Weather in Paris?' }], tools: TOOLS };
const NAMED = { type: 'function', function: { name: 'get_weather' } };
const KNOWS_TOOLS = '{% if tools %}{{ tools | tojson }}{% endif %}{{ messages }}';

async function ask(server: TestServer, body: object): Promise<{ status: number; json: Json; sent: Json }> {
  const response = await server.send('/v1/chat/completions', { ...BODY, ...body });
  return {
    status: response.status,
    json: (await response.json()) as Json,
    sent: server.engine.completions[0]?.body ?? {},
  };
}

function serverThat(answers: string | string[], chatTemplate?: string): TestServer {
  const server = createTestServer();
  if (chatTemplate !== undefined) server.engine.metadata['tokenizer.chat_template'] = chatTemplate;
  server.engine.onComplete = async function* () {
    if (typeof answers === 'string') {
      yield {
        ...CHAT_RESULT,
        choices: [{ finish_reason: 'stop', index: 0, message: { role: 'assistant', content: answers } }],
      };
      return;
    }
    const chunk = (delta: Json, finish_reason: string | null = null) => ({
      choices: [{ finish_reason, index: 0, delta }],
      object: 'chat.completion.chunk',
    });
    yield chunk({ role: 'assistant', content: null });
    for (const content of answers) yield { ...chunk({ content }), timings: { predicted_n: 1 } };
    yield chunk({}, 'stop');
    yield { choices: [], usage: {}, object: 'chat.completion.chunk' };
  };
  return server;
}

describe('a template that knows tools', () => {
  test('is llama.cpp’s to apply', async () => {
    const { sent } = await ask(serverThat('', KNOWS_TOOLS), { tool_choice: 'auto', parallel_tool_calls: true });
    expect(sent).toMatchObject({ tool_choice: 'auto', parallel_tool_calls: true });
    expect(sent.tools).toHaveLength(2);
    expect(sent.messages).toEqual(BODY.messages);
    expect(sent).not.toHaveProperty('response_format');
  });

  test('required: it shows the tools, and the output is held to a schema', async () => {
    const server = serverThat('{"name": "now", "arguments": {}}', KNOWS_TOOLS);
    const { sent, json } = await ask(server, { tool_choice: 'required' });
    expect(sent).toMatchObject({ tool_choice: 'none', response_format: { type: 'json_schema' } });
    expect(sent.tools).toHaveLength(2);
    expect(sent.messages).toEqual(BODY.messages);
    expect(json.choices).toMatchObject([{ message: { tool_calls: [{ function: { name: 'now' } }] } }]);
  });

  test('a function by name: only that one', async () => {
    const { sent } = await ask(serverThat('{}', KNOWS_TOOLS), { tool_choice: NAMED });
    expect(sent.tools).toMatchObject([{ function: { name: 'get_weather' } }]);
    expect(sent.response_format).toMatchObject({
      json_schema: { schema: { properties: { name: { const: 'get_weather' } } } },
    });
  });

  test.each<[asked: Json, budget: number | undefined]>([
    [{ max_tokens: 100 }, 50],
    [{ max_tokens: 100, thinking_budget_tokens: 80 }, 80],
    [{ max_tokens: 100, reasoning_budget_tokens: 80 }, undefined],
    [{}, undefined],
  ])('thoughts leave room for a call: %j', async (asked, budget) => {
    const { sent } = await ask(serverThat('{}', KNOWS_TOOLS), { tool_choice: 'required', ...asked });
    expect(sent.thinking_budget_tokens).toBe(budget);
  });

  test('defer_loading: of the tool or of its function, a boolean', async () => {
    const [tool] = TOOLS;
    const { sent } = await ask(serverThat('', KNOWS_TOOLS), {
      tools: [
        { ...tool, defer_loading: true },
        { type: 'function', function: { name: 'now', defer_loading: false } },
        { type: 'function', function: { name: 'then' } },
      ],
    });
    expect((sent.tools as Json[]).map(({ defer_loading }) => defer_loading)).toEqual([true, false, undefined]);
    const refused = await ask(serverThat('', KNOWS_TOOLS), { tools: [{ ...tool, defer_loading: 5 }] });
    expect([refused.status, (refused.json.error as Json).message]).toEqual([
      500,
      expect.stringContaining("Failed to parse tools: Expected 'defer_loading' to be a boolean, got 5; tools = ["),
    ]);
  });

  test('parallel_tool_calls: false, which llama.cpp does not always keep', async () => {
    const server = serverThat('', KNOWS_TOOLS);
    const call = (name: string) => ({ id: name, type: 'function', function: { name, arguments: '{}' } });
    const message = { role: 'assistant', content: '', tool_calls: [call('now'), call('get_weather')] };
    server.engine.onComplete = async function* ({ body }) {
      if (!body.stream) yield { ...CHAT_RESULT, choices: [{ finish_reason: 'tool_calls', index: 0, message }] };
      for (const [index, call] of body.stream ? message.tool_calls.entries() : []) {
        const delta = { tool_calls: [{ index, ...call }] };
        yield { choices: [{ finish_reason: null, index: 0, delta }], object: 'chat.completion.chunk' };
      }
    };
    const { json } = await ask(server, { parallel_tool_calls: false });
    expect(json.choices).toMatchObject([{ message: { tool_calls: [{ id: 'now' }] } }]);
    const response = await server.send('/v1/chat/completions', { ...BODY, parallel_tool_calls: false, stream: true });
    expect(parseEvents(await response.text())).toMatchObject([
      { choices: [{ delta: { tool_calls: [{ id: 'now' }] } }] },
      '[DONE]',
    ]);
  });

  test('allowed_tools', async () => {
    const allowed_tools = { mode: 'auto', tools: [{ type: 'function', function: { name: 'now' } }] };
    const { sent } = await ask(serverThat('', KNOWS_TOOLS), { tool_choice: { type: 'allowed_tools', allowed_tools } });
    expect(sent).toMatchObject({ tool_choice: 'auto', tools: [{ function: { name: 'now' } }] });
    expect(sent.tools).toHaveLength(1);
  });

  test('its own variant for tools counts too', async () => {
    const server = serverThat('');
    server.engine.metadata['tokenizer.chat_template.tool_use'] = KNOWS_TOOLS;
    expect((await ask(server, { tool_choice: 'required' })).sent).toHaveProperty('tools');
  });

  test('parameters that are no schema', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'hiccup' } } }];
    const { status, json } = await ask(serverThat('', KNOWS_TOOLS), { tools });
    expect([status, json.error]).toMatchObject([
      400,
      {
        param: 'tools',
        message: expect.stringContaining("JSON schema error at #: unrecognized type hiccup (in the parameters of 'f')"),
      },
    ]);
  });
});

describe('a template that knows no tools', () => {
  test.each([{}, { tool_choice: 'auto' }, { tool_choice: 'none' }])(
    '%o: as llama-server, which leaves it at that',
    async (choice) => {
      const { sent, json } = await ask(serverThat('Sunny.'), choice);
      expect(sent.messages).toEqual(BODY.messages);
      expect(sent).not.toHaveProperty('response_format');
      expect(json).toMatchObject({ choices: [{ finish_reason: 'stop', message: { content: 'Sunny.' } }] });
    },
  );

  test('required: a schema over those of the tools, and a description of them', async () => {
    const { sent } = await ask(serverThat('{}'), { tool_choice: 'required' });
    const call = (name: string, $ref: string) => ({
      type: 'object',
      properties: { name: { const: name }, arguments: { $ref } },
      required: ['name', 'arguments'],
      additionalProperties: false,
    });
    expect(sent.response_format).toEqual({
      type: 'json_schema',
      json_schema: {
        schema: {
          anyOf: [call('get_weather', '#/$defs/0'), call('now', '#/$defs/1')],
          $defs: {
            0: { ...WEATHER, properties: { city: { $ref: '#/$defs/0/$defs/city' } } },
            1: { type: 'object', properties: {} },
          },
        },
      },
    });
    const [system, ...others] = sent.messages as Json[];
    expect(system).toEqual({ role: 'system', content: expect.stringContaining('"get_weather"') });
    expect(others).toEqual(BODY.messages);
    for (const field of ['tools', 'tool_choice', 'parallel_tool_calls']) expect(sent).not.toHaveProperty(field);
  });

  test('earlier calls and the caller’s own system message', async () => {
    const calls = [{ id: '1', type: 'function', function: { name: 'now', arguments: '{}' } }];
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', tool_call_id: '1', content: 'noon' },
    ];
    const { sent } = await ask(serverThat('{}'), { messages, tool_choice: NAMED });
    expect(sent.messages).toEqual([
      {
        role: 'system',
        content: expect.stringMatching(/^Be brief\.\n\nThese functions can be called:\n.*get_weather/s),
      },
      { role: 'assistant', content: '{"name": "now", "arguments": {}}' },
      { role: 'tool', tool_call_id: '1', content: 'noon' },
    ]);
  });

  test('the answer', async () => {
    const { json } = await ask(serverThat('{"name": "get_weather", "arguments": {"city": "Paris"}}'), {
      tool_choice: NAMED,
    });
    expect(json.choices).toEqual([
      {
        finish_reason: 'tool_calls',
        index: 0,
        message: {
          role: 'assistant',
          content: '',
          refusal: null,
          tool_calls: [
            {
              id: expect.stringMatching(/^[A-Za-z0-9]{32}$/),
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city": "Paris"}' },
            },
          ],
        },
        logprobs: null,
      },
    ]);
  });

  test('the stream', async () => {
    const server = serverThat(['{"name": "get_', 'weather", "argum', 'ents": {"city"', ': "Paris"', '}}']);
    const response = await server.send('/v1/chat/completions', { ...BODY, tool_choice: NAMED, stream: true });
    const events = parseEvents(await response.text()) as { choices: Json[]; timings?: object }[];
    const choices = events.slice(0, -1).map(({ choices }) => choices[0]);
    const call = (delta: Json) => ({ finish_reason: null, index: 0, delta: { tool_calls: [{ index: 0, ...delta }] } });
    expect(choices).toEqual([
      { finish_reason: null, index: 0, delta: { role: 'assistant', content: null } },
      { finish_reason: null, index: 0, delta: {} },
      { finish_reason: null, index: 0, delta: {} },
      call({ id: expect.any(String), type: 'function', function: { name: 'get_weather', arguments: '' } }),
      call({ function: { arguments: '{"city"' } }),
      call({ function: { arguments: ': "Paris"' } }),
      call({ function: { arguments: '}' } }),
      { finish_reason: 'tool_calls', index: 0, delta: {} },
      undefined,
    ]);
    expect(events.filter(({ timings }) => timings)).toHaveLength(5);
    expect(events.at(-1)).toBe('[DONE]');
  });

  test('several calls', async () => {
    const text = '[{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]';
    const { json, sent } = await ask(serverThat(text), { tool_choice: 'required', parallel_tool_calls: true });
    expect(sent.response_format).toMatchObject({
      json_schema: { schema: { type: 'array', minItems: 1, maxItems: 8 } },
    });
    const [{ message }] = json.choices as [{ message: { tool_calls: { id: string }[] } }];
    expect(new Set(message.tool_calls.map(({ id }) => id)).size).toBe(2);
  });

  test('a call that is cut off by max_tokens', async () => {
    const server = serverThat('');
    server.engine.onComplete = async function* () {
      const message = { role: 'assistant', content: '{"name": "now", "arguments": {"a' };
      yield { ...CHAT_RESULT, choices: [{ finish_reason: 'length', index: 0, message }] };
    };
    const { json } = await ask(server, { tool_choice: 'required' });
    expect(json.choices).toMatchObject([
      { finish_reason: 'length', message: { tool_calls: [{ function: { name: 'now', arguments: '{"a' } }] } },
    ]);
  });
});

describe('faults', () => {
  const cases: [body: Json, param: string, message: string][] = [
    [
      { tool_choice: { type: 'function', function: { name: 'f' } } },
      'tool_choice',
      "'tool_choice' names the function 'f', which 'tools' does not hold: get_weather, now.",
    ],
    [{ tool_choice: NAMED, tools: [] }, 'tool_choice', "'tools' does not hold: none."],
    [{ tool_choice: { type: 'function' } }, 'tool_choice', "'tool_choice' names no function: set 'function.name'."],
    [{ tool_choice: { type: 'custom' } }, 'tool_choice', 'but its type is "custom".'],
    [{ tool_choice: {} }, 'tool_choice', 'but its type is missing.'],
    [{ tool_choice: { type: 'allowed_tools' } }, 'tool_choice', "needs 'mode'"],
    [
      { tool_choice: 'required', messages: [{ role: 'assistant', content: 'a' }] },
      'tool_choice',
      "end 'messages' with another role",
    ],
    [{ tools: Array(513).fill(TOOLS[1]) }, 'tools', "'tools' has 513 entries; the limit is 512."],
  ];
  test.each(cases)('%o', async (body, param, message) => {
    const { status, json } = await ask(serverThat(''), body);
    expect([status, json.error]).toMatchObject([
      400,
      { type: 'invalid_request_error', param, message: expect.stringContaining(message) },
    ]);
  });
});

describe('several answers, each with a call', () => {
  const CALLS = ['{"name": "get_weather", "arguments": {"city": "Paris"}}', '{"name": "now", "arguments": {}}'];

  /** Whole or in halves, one answer for each seed from 7 on; the second comes first. */
  function severalCalls(): TestServer {
    const server = createTestServer();
    const secondEnded = new Gate();
    server.engine.onComplete = async function* ({ body }) {
      const text = CALLS[(body.seed as number) - 7] ?? '';
      if (text !== CALLS[1]) await secondEnded.promise;
      const usage = { completion_tokens: 2, prompt_tokens: 3, total_tokens: 5 };
      const chunk = (delta: Json, finish_reason: string | null = null) => ({
        choices: [{ finish_reason, index: 0, delta }],
        object: 'chat.completion.chunk',
      });
      if (body.stream !== true) {
        const message = { role: 'assistant', content: text };
        yield { ...CHAT_RESULT, usage, choices: [{ finish_reason: 'stop', index: 0, message }] };
      } else {
        yield chunk({ role: 'assistant', content: null });
        yield chunk({ content: text.slice(0, 20) });
        yield chunk({ content: text.slice(20) });
        yield chunk({}, 'stop');
        yield { choices: [], usage, object: 'chat.completion.chunk' };
      }
      secondEnded.open();
    };
    return server;
  }

  const CHOICES = [
    { index: 0, finish_reason: 'tool_calls', name: 'get_weather', given: '{"city": "Paris"}' },
    { index: 1, finish_reason: 'tool_calls', name: 'now', given: '{}' },
  ];

  test('whole', async () => {
    const server = severalCalls();
    const { json } = await ask(server, { tool_choice: 'required', n: 2, seed: 7 });
    const choices = json.choices as { index: number; finish_reason: string; message: { tool_calls: ToolCall[] } }[];
    expect(
      choices.map(({ index, finish_reason, message: { tool_calls } }) => ({
        index,
        finish_reason,
        name: tool_calls[0]?.function.name,
        given: tool_calls[0]?.function.arguments,
      })),
    ).toEqual(CHOICES);
    expect(new Set(choices.map(({ message }) => message.tool_calls[0]?.id)).size).toBe(2);
    expect(json.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
    // The output of each is held to the schemas.
    for (const { body } of server.engine.completions) expect(body).toHaveProperty('response_format.json_schema');
  });

  test('streamed', async () => {
    const response = await severalCalls().send('/v1/chat/completions', {
      ...BODY,
      tool_choice: 'required',
      n: 2,
      seed: 7,
      stream: true,
      stream_options: { include_usage: true },
    });
    const events = parseEvents(await response.text());
    expect(events.pop()).toBe('[DONE]');
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } });
    const chunks = (events as { choices: Chunk[] }[]).flatMap(({ choices }) => choices);
    const ids = new Set<string>();
    const choices = [0, 1].map((wanted) => {
      const own = chunks.filter(({ index }) => index === wanted);
      const calls = own.flatMap(({ delta }) => delta.tool_calls ?? []);
      expect(calls.every(({ index }) => index === 0)).toBe(true);
      expect(own.some(({ delta }) => delta.content)).toBe(false);
      for (const { id } of calls) if (id !== undefined) ids.add(id);
      return {
        index: wanted,
        finish_reason: own.at(-1)?.finish_reason,
        name: calls.map(({ function: { name = '' } }) => name).join(''),
        given: calls.map((call) => call.function.arguments).join(''),
      };
    });
    expect(choices).toEqual(CHOICES);
    expect(ids.size).toBe(2);
  });

  test('as the older functions', async () => {
    const { messages } = BODY;
    const functions = TOOLS.map((tool) => tool.function);
    const response = await severalCalls().send('/v1/chat/completions', {
      messages,
      functions,
      function_call: { name: 'get_weather' },
      n: 2,
      seed: 7,
    });
    const { choices } = (await response.json()) as { choices: Json[] };
    expect(choices).toMatchObject([
      { index: 0, finish_reason: 'function_call', message: { function_call: { name: 'get_weather' } } },
      { index: 1, finish_reason: 'function_call', message: { function_call: { name: 'now' } } },
    ]);
  });

  test('by a template that knows tools: the first call of each answer, where one is asked for', async () => {
    const server = createTestServer();
    server.engine.metadata['tokenizer.chat_template'] = KNOWS_TOOLS;
    server.engine.onComplete = async function* ({ body }) {
      const call = (name: string) => ({
        id: `${name}-${body.seed}`,
        type: 'function',
        function: { name, arguments: '{}' },
      });
      const message = { role: 'assistant', content: '', tool_calls: [call('now'), call('get_weather')] };
      yield { ...CHAT_RESULT, choices: [{ finish_reason: 'tool_calls', index: 0, message }] };
    };
    const { json } = await ask(server, { tool_choice: 'auto', parallel_tool_calls: false, n: 2, seed: 7 });
    const choices = json.choices as { index: number; message: { tool_calls: { id: string }[] } }[];
    expect(choices.map(({ index, message }) => [index, message.tool_calls.map(({ id }) => id)])).toEqual([
      [0, ['now-7']],
      [1, ['now-8']],
    ]);
    expect(server.engine.completions.map(({ body }) => body.tool_choice)).toEqual(['auto', 'auto']);
  });
});

interface Chunk {
  index: number;
  finish_reason: string | null;
  delta: {
    content?: string | null;
    tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[];
  };
}
