import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const USAGE = {
  prompt_tokens: 43,
  completion_tokens: 6,
  total_tokens: 49,
  prompt_tokens_details: { cached_tokens: 42 },
};
const CALL = { id: 'a1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } };
const USER = [{ role: 'user', content: 'Hi' }];

function serverThat(finish_reason: string, message: Json, verbose: Json = {}): TestServer {
  const server = createTestServer();
  server.engine.onComplete = async function* () {
    yield { ...CHAT_RESULT, choices: [{ finish_reason, index: 0, message }], usage: USAGE, __verbose: verbose };
  };
  return server;
}

function streaming(finish_reason: string, deltas: Json[], verbose: Json = {}): TestServer {
  const server = createTestServer();
  server.engine.onComplete = async function* ({ body }) {
    expect(body).toMatchObject({ timings_per_token: true, stream_options: { include_usage: true } });
    const chunk = (delta: Json, finish_reason: string | null = null) => ({
      choices: [{ finish_reason, index: 0, delta }],
      object: 'chat.completion.chunk',
    });
    yield chunk({ role: 'assistant', content: null });
    for (const delta of deltas) yield { ...chunk(delta), timings: { cache_n: 42, prompt_n: 1 } };
    yield { ...chunk({}, finish_reason), __verbose: verbose };
    yield { choices: [], usage: USAGE, object: 'chat.completion.chunk' };
  };
  return server;
}

async function eventsOf(response: Response): Promise<Json[]> {
  return (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(event) ?? [];
      const json = JSON.parse(data ?? '');
      expect(json.type).toBe(name);
      return json;
    });
}

test('an answer', async () => {
  const message = { role: 'assistant', reasoning_content: 'Hm.', content: 'Hello', tool_calls: [CALL] };
  const response = await serverThat('tool_calls', message).send('/v1/messages', { messages: USER });
  expect(await response.json()).toEqual({
    id: expect.stringMatching(/^chatcmpl-\w{32}$/),
    type: 'message',
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 'Hm.', signature: '' },
      { type: 'text', text: 'Hello' },
      { type: 'tool_use', id: 'a1', name: 'f', input: { a: 1 } },
    ],
    model: 'smollm2-135m-instruct',
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: { cache_read_input_tokens: 42, input_tokens: 1, output_tokens: 6 },
  });
});

test('a stop sequence, and the end of the tokens', async () => {
  const message = { role: 'assistant', content: 'The ' };
  const stopped = await serverThat('stop', message, { stopping_word: 'capital' }).send('/v1/messages', {
    messages: USER,
  });
  expect(await stopped.json()).toMatchObject({ stop_reason: 'end_turn', stop_sequence: 'capital' });
  const call = { ...CALL, function: { name: 'f', arguments: '{"a' } };
  const cut = await serverThat('length', { ...message, tool_calls: [call] }).send('/v1/messages', { messages: USER });
  expect(await cut.json()).toMatchObject({ stop_reason: 'max_tokens', content: [{}, { type: 'tool_use', input: {} }] });
});

test('a stream', async () => {
  const deltas = [
    { reasoning_content: 'Hm.' },
    { content: 'Hel' },
    { content: 'lo' },
    { tool_calls: [{ index: 0, id: 'a1', type: 'function', function: { name: 'f', arguments: '' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] },
    { tool_calls: [{ index: 1, id: 'a2', type: 'function', function: { name: 'g', arguments: '{}' } }] },
  ];
  const server = streaming('tool_calls', deltas, { stopping_word: '' });
  const events = await eventsOf(await server.send('/v1/messages', { messages: USER, stream: true }));
  const start = (index: number, content_block: Json) => ({ type: 'content_block_start', index, content_block });
  const delta = (index: number, delta: Json) => ({ type: 'content_block_delta', index, delta });
  const stop = (index: number) => ({ type: 'content_block_stop', index });
  expect(events).toEqual([
    {
      type: 'message_start',
      message: {
        id: expect.stringMatching(/^chatcmpl-\w{32}$/),
        type: 'message',
        role: 'assistant',
        content: [],
        model: 'smollm2-135m-instruct',
        stop_reason: null,
        stop_sequence: null,
        usage: { cache_read_input_tokens: 42, input_tokens: 1, output_tokens: 0 },
      },
    },
    start(0, { type: 'thinking', thinking: '' }),
    delta(0, { type: 'thinking_delta', thinking: 'Hm.' }),
    delta(0, { type: 'signature_delta', signature: '' }),
    stop(0),
    start(1, { type: 'text', text: '' }),
    delta(1, { type: 'text_delta', text: 'Hel' }),
    delta(1, { type: 'text_delta', text: 'lo' }),
    stop(1),
    start(2, { type: 'tool_use', id: 'a1', name: 'f', input: {} }),
    delta(2, { type: 'input_json_delta', partial_json: '{"a":1}' }),
    stop(2),
    start(3, { type: 'tool_use', id: 'a2', name: 'g', input: {} }),
    delta(3, { type: 'input_json_delta', partial_json: '{}' }),
    stop(3),
    { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { output_tokens: 6 } },
    { type: 'message_stop' },
  ]);
});

test('a failure in the midst of a stream', async () => {
  const server = createTestServer();
  server.engine.onComplete = async function* () {
    yield { choices: [{ index: 0, delta: { content: 'a' } }], timings: {}, object: 'chat.completion.chunk' };
    throw new Error('lost');
  };
  const events = await eventsOf(await server.send('/v1/messages', { messages: USER, stream: true }));
  expect(events.at(-1)).toEqual({
    type: 'error',
    error: { code: 500, message: 'lost', type: 'server_error', param: null },
  });
});

describe('the request', () => {
  const converted = async (request: Json) => {
    const server = serverThat('stop', { role: 'assistant', content: 'a' });
    const response = await server.send('/v1/messages', request);
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)]);
    return server.engine.completions[0]?.body as Json;
  };

  test('blocks', async () => {
    const { messages } = await converted({
      system: [
        { type: 'text', text: 'Be ' },
        { type: 'text', text: 'brief.' },
      ],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Hi', cache_control: { type: 'ephemeral' } }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Hm.', signature: '' },
            { type: 'text', text: 'Wait.' },
            { type: 'tool_use', id: 'a1', name: 'f', input: { a: 1 } },
          ],
        },
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 'a1',
              content: [
                { type: 'text', text: 'on' },
                { type: 'text', text: 'e' },
              ],
            },
            { type: 'text', text: 'Go on.' },
          ],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a1', content: 'two' }] },
      ],
    });
    expect(messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      {
        role: 'assistant',
        content: [{ type: 'text', text: 'Wait.' }],
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'a1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
      { role: 'user', content: [{ type: 'text', text: 'Go on.' }] },
      { role: 'tool', tool_call_id: 'a1', content: 'one' },
      { role: 'tool', tool_call_id: 'a1', content: 'two' },
    ]);
  });

  test('parameters under their names there', async () => {
    const input_schema = { type: 'object' };
    expect(
      await converted({
        messages: USER,
        max_tokens: 5,
        stop_sequences: ['a'],
        temperature: 0.5,
        tools: [{ name: 'f', description: 'F', input_schema }],
        tool_choice: { type: 'auto', disable_parallel_tool_use: true },
        thinking: { type: 'enabled', budget_tokens: 7 },
        presence_penalty: 1,
        metadata: { user_id: 'a' },
      }),
    ).toEqual({
      messages: USER,
      n_predict: 5,
      stop: ['a'],
      temperature: 0.5,
      tools: [{ type: 'function', function: { name: 'f', description: 'F', parameters: input_schema } }],
      tool_choice: 'auto',
      parallel_tool_calls: false,
      thinking_budget_tokens: 7,
      seed: expect.any(Number),
      verbose: true,
    });
    expect(await converted({ messages: USER })).toMatchObject({ n_predict: 4096 });
    const seeded = { messages: USER, seed: 1 };
    expect(await converted(seeded)).toMatchObject({ cache_prompt: false });
    expect(await converted({ ...seeded, cache_prompt: true })).toMatchObject({ cache_prompt: true });
    expect(await converted({ messages: USER, thinking: { type: 'disabled' } })).toMatchObject({
      reasoning_effort: 'none',
    });
  });

  test('any tool, or one by name', async () => {
    const tools = [{ name: 'f' }, { name: 'g' }];
    const schemaOf = async (tool_choice: Json) => {
      const { response_format } = await converted({ messages: USER, tools, tool_choice });
      return (response_format as { json_schema: { schema: Json } }).json_schema.schema;
    };
    expect(await schemaOf({ type: 'any' })).toHaveProperty('anyOf');
    expect(await schemaOf({ type: 'tool', name: 'g' })).toMatchObject({ properties: { name: { const: 'g' } } });
  });

  test('faults', async () => {
    const server = createTestServer();
    const response = await server.send('/v1/messages', {});
    expect([response.status, await response.json()]).toEqual([
      500,
      { error: { code: 500, message: "'messages' is required", type: 'server_error', param: 'messages' } },
    ]);
    const unknown = { messages: USER, tools: [{ name: 'f' }], tool_choice: { type: 'tool', name: 'x' } };
    expect((await server.send('/v1/messages', unknown)).status).toBe(400);
  });
});
