import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const USAGE = {
  prompt_tokens: 37,
  completion_tokens: 6,
  total_tokens: 43,
  prompt_tokens_details: { cached_tokens: 36 },
};
const CALL = { id: 'a1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } };
const ALL = { role: 'assistant', reasoning_content: 'Hm.', content: 'Hello', tool_calls: [CALL] };

function serverThat(message: Json, ...deltas: Json[]): TestServer {
  const server = createTestServer();
  server.engine.onComplete = async function* ({ body }) {
    if (!body.stream) yield { ...CHAT_RESULT, choices: [{ finish_reason: 'stop', index: 0, message }], usage: USAGE };
    if (!body.stream) return;
    for (const delta of [{ role: 'assistant', content: null }, ...deltas]) {
      yield { choices: [{ finish_reason: null, index: 0, delta }], object: 'chat.completion.chunk' };
    }
    yield { choices: [{ finish_reason: 'stop', index: 0, delta: {} }], object: 'chat.completion.chunk' };
    yield { choices: [], usage: USAGE, timings: { predicted_n: 6 }, object: 'chat.completion.chunk' };
  };
  return server;
}

const streaming = () =>
  serverThat(
    {},
    { reasoning_content: 'H' },
    { reasoning_content: 'm.' },
    { content: 'Hel' },
    { content: 'lo' },
    { tool_calls: [{ index: 0, id: 'a1', type: 'function', function: { name: 'f', arguments: '' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] },
    { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] },
  );

const ID = { resp: /^resp_\w{32}$/, rs: /^rs_\w{32}$/, msg: /^msg_\w{32}$/ };
const REASONING = {
  id: expect.stringMatching(ID.rs),
  summary: [],
  type: 'reasoning',
  content: [{ text: 'Hm.', type: 'reasoning_text' }],
  encrypted_content: '',
};
const MESSAGE = {
  content: [{ type: 'output_text', annotations: [], logprobs: [], text: 'Hello' }],
  id: expect.stringMatching(ID.msg),
  role: 'assistant',
  status: 'completed',
  type: 'message',
};
const FUNCTION_CALL = {
  type: 'function_call',
  status: 'completed',
  arguments: '{"a":1}',
  call_id: 'call_a1',
  id: 'fc_a1',
  name: 'f',
};

/** Of a request that asks for nothing but an answer. */
const ECHO = {
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: null,
  parallel_tool_calls: true,
  temperature: null,
  tool_choice: 'auto',
  tools: [],
  top_p: null,
};

test('an answer repeats the request’s fields', async () => {
  const asked = { instructions: 'Be brief.', metadata: { a: 'b' }, temperature: 0, top_p: 0.5, tool_choice: 'none' };
  const response = await serverThat(ALL).send('/v1/responses', { input: 'Hi', ...asked });
  expect(await response.json()).toMatchObject(asked);
});

test('an answer', async () => {
  const server = serverThat(ALL);
  const response = await server.send('/v1/responses', { input: 'Hi' });
  expect(await response.json()).toEqual({
    completed_at: 1_700_000_000,
    created_at: 1_700_000_000,
    id: expect.stringMatching(ID.resp),
    model: 'smollm2-135m-instruct',
    object: 'response',
    output: [{ ...REASONING, status: 'completed' }, MESSAGE, FUNCTION_CALL],
    status: 'completed',
    usage: {
      input_tokens: 37,
      output_tokens: 6,
      total_tokens: 43,
      input_tokens_details: { cached_tokens: 36, cache_write_tokens: 0 },
      output_tokens_details: { reasoning_tokens: 0 },
    },
    ...ECHO,
  });
  expect(server.engine.completions[0]?.body).not.toHaveProperty('input');
});

test('a stream: named events, numbered, without [DONE]', async () => {
  const response = await streaming().send('/v1/responses', { input: 'Hi', stream: true });
  expect(response.headers.get('Content-Type')).toBe('text/event-stream');
  const events = (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(event) ?? [];
      const json = JSON.parse(data ?? '');
      expect(json.type).toBe(name);
      return json;
    });
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    'reasoning_text.delta',
    'reasoning_text.delta',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.delta',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.delta',
    'reasoning_text.done',
    'content_part.done',
    'output_item.done',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'function_call_arguments.done',
    'output_item.done',
    'completed',
  ]);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  expect(events.at(-1)).toMatchObject({
    response: { id: events[0].response.id, status: 'completed', output: [REASONING, MESSAGE, FUNCTION_CALL] },
    timings: { predicted_n: 6 },
  });
});

test('the OpenAI client reads both', async () => {
  const server = streaming();
  const fetch = (url: URL | RequestInfo, init?: RequestInit) => server.fetch(new Request(url as URL, init));
  const openai = new OpenAI({ baseURL: 'https://site/v1', apiKey: 'local', maxRetries: 0, fetch });
  const stream = openai.responses.stream({ model: 'local', input: 'Hi' });
  let text = '';
  stream.on('response.output_text.delta', ({ delta }) => {
    text += delta;
  });
  const final = await stream.finalResponse();
  expect([text, final.output_text]).toEqual(['Hello', 'Hello']);
  expect(final.output[2]).toMatchObject({ type: 'function_call', arguments: '{"a":1}' });

  server.engine.onComplete = serverThat(ALL).engine.onComplete;
  const whole = await openai.responses.create({ model: 'local', input: 'Hi' });
  expect(whole.output_text).toBe('Hello');
});

test('a failure in the midst of a stream', async () => {
  const server = createTestServer();
  server.engine.onComplete = async function* () {
    yield { choices: [{ index: 0, delta: { content: 'a' } }], object: 'chat.completion.chunk' };
    throw new Error('lost');
  };
  const text = await (await server.send('/v1/responses', { input: 'Hi', stream: true })).text();
  expect(text).toMatch(/\n\ndata: \{"error":\{"code":500,"message":"lost".*\}\n\n$/);
});

test('a stream tells the prompt’s progress and timings where they are asked for', async () => {
  const server = createTestServer();
  const chunk = (delta: Json, more: Json = {}) => ({
    choices: [{ finish_reason: null, index: 0, delta }],
    object: 'chat.completion.chunk',
    ...more,
  });
  const progress = (processed: number) => ({ total: 40, cache: 0, processed, time_ms: processed });
  server.engine.onComplete = async function* () {
    const role = { role: 'assistant', content: null };
    for (const processed of [0, 32, 40]) yield chunk(role, { prompt_progress: progress(processed) });
    yield chunk(role);
    yield chunk({ content: 'Hel' }, { timings: { predicted_n: 1 } });
    yield chunk({ content: 'lo' }, { timings: { predicted_n: 2 } });
    yield chunk({});
    yield { choices: [], usage: USAGE, timings: { predicted_n: 3 }, object: 'chat.completion.chunk' };
  };
  const asked = { input: 'Hi', stream: true, return_progress: true, timings_per_token: true };
  const response = await server.send('/v1/responses', asked);
  const events = parseEvents((await response.text()).replaceAll(/^event: .+\n/gm, '')) as Json[];
  expect(events.slice(0, 8).map(({ type, prompt_progress, timings }) => ({ type, prompt_progress, timings }))).toEqual([
    { type: 'response.created' },
    { type: 'response.in_progress', prompt_progress: progress(0) },
    { type: 'response.in_progress', prompt_progress: progress(32) },
    { type: 'response.in_progress', prompt_progress: progress(40) },
    { type: 'response.output_item.added' },
    { type: 'response.content_part.added' },
    { type: 'response.output_text.delta', timings: { predicted_n: 1 } },
    { type: 'response.output_text.delta', timings: { predicted_n: 2 } },
  ]);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  expect(events.at(-1)).toMatchObject({ type: 'response.completed', timings: { predicted_n: 3 } });
  expect(events.filter(({ type }) => type === 'response.in_progress')).toHaveLength(3);
});

describe('the request', () => {
  const converted = async (request: Json) => {
    const server = serverThat({ role: 'assistant', content: 'a' });
    const response = await server.send('/v1/responses', request);
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)]);
    return server.engine.completions[0]?.body as Json;
  };

  test('messages, calls and their results, thoughts', async () => {
    const call = (id: string) => ({ type: 'function_call', call_id: id, name: 'f', arguments: '{}' });
    const { messages } = await converted({
      instructions: 'Be brief.',
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'Hi' }] },
        { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Wait.' }] },
        call('call_1'),
        call('call_2'),
        { type: 'function_call_output', call_id: 'call_1', output: 'one' },
        { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'two' }] },
        { role: 'developer', content: 'Go on.' },
      ],
    });
    const toolCall = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } });
    expect(messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      {
        role: 'assistant',
        content: [{ type: 'text', text: 'Wait.' }],
        reasoning_content: 'Hm.',
        tool_calls: [toolCall('call_1'), toolCall('call_2')],
      },
      { role: 'tool', content: 'one', tool_call_id: 'call_1' },
      { role: 'tool', content: [{ type: 'text', text: 'two' }], tool_call_id: 'call_2' },
      { role: 'developer', content: [{ type: 'text', text: 'Go on.' }] },
    ]);
  });

  test('thoughts of which only a summary is known, and those that only OpenAI can read', async () => {
    const { messages } = await converted({
      input: [
        { role: 'user', content: 'Hi' },
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }] },
        { type: 'reasoning', id: 'rs_2', summary: [{ type: 'summary_text', text: 'Right.' }], content: null },
        { role: 'assistant', content: 'Yes?' },
        { role: 'user', content: 'Go on.' },
        { type: 'reasoning', id: 'rs_3', summary: [], encrypted_content: 'gAAA' },
        { role: 'assistant', content: 'And?' },
        { role: 'user', content: 'End.' },
      ],
    });
    expect(messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', reasoning_content: 'Hm.\n\nRight.' },
      { role: 'user' },
      { role: 'assistant', content: [{ text: 'And?' }] },
      { role: 'user' },
    ]);
    expect((messages as Json[])[3]).not.toHaveProperty('reasoning_content');
  });

  test('searches that OpenAI made, calls without arguments, results in parts', async () => {
    const { messages } = await converted({
      input: [
        { role: 'user', content: 'Hi' },
        { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'llamas' } },
        { type: 'function_call', call_id: 'a', name: 'f' },
        { type: 'function_call', call_id: 'b', name: 'g', arguments: '' },
        {
          type: 'function_call_output',
          call_id: 'a',
          output: [
            { type: 'input_text', text: 'one' },
            { type: 'output_text', text: 'two' },
          ],
        },
        { type: 'function_call_output', call_id: 'b', output: [] },
      ],
    });
    const call = (id: string, name: string) => ({ id, type: 'function', function: { name, arguments: '{}' } });
    expect(messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      { role: 'assistant', content: [], tool_calls: [call('a', 'f'), call('b', 'g')] },
      {
        role: 'tool',
        tool_call_id: 'a',
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two' },
        ],
      },
      { role: 'tool', tool_call_id: 'b', content: '' },
    ]);
  });

  test('parameters under their names there', async () => {
    const schema = { type: 'object' };
    const body = await converted({
      input: 'Hi',
      max_output_tokens: 5,
      reasoning: { effort: 'low' },
      text: { format: { type: 'json_schema', name: 'x', schema } },
      tools: [{ type: 'web_search' }, { type: 'function', name: 'f', parameters: schema, strict: true }],
      temperature: 0.5,
      previous_response_id: null,
    });
    expect(body).toMatchObject({
      n_predict: 5,
      reasoning_effort: 'low',
      response_format: { type: 'json_schema', json_schema: { schema } },
      tools: [{ type: 'function', function: { name: 'f', description: '', parameters: schema } }],
      temperature: 0.5,
    });
    expect(body.tools).toHaveLength(1);
  });

  const cases: [request: Json, param: string, message: string][] = [
    [{}, 'input', "'input' is required"],
    [{ input: 5 }, 'input', "'input' must be a string or array of objects"],
    [
      { input: 'a', previous_response_id: 'r' },
      'previous_response_id',
      "llama.cpp does not support 'previous_response_id'.",
    ],
    [{ input: [5] }, 'input', "Cannot determine type of 'item': input[0] is no item with a type or a role"],
    [
      { input: [{ role: 'user', content: 'a' }, { type: 'computer_call' }] },
      'input',
      "Cannot determine type of 'item': input[1] is a 'computer_call' that lacks a field, or is not known",
    ],
    [
      { input: [{ type: 'item_reference', id: 'msg_1' }] },
      'input',
      'input[0] refers to the item "msg_1" of an earlier response, but this server stores none. Send the items themselves, as clients do with `store: false`.',
    ],
    [
      { input: [{ type: 'function_call', call_id: 'a', name: 'f', arguments: '{' }] },
      'messages',
      "The arguments of messages[0].tool_calls[0], a call of 'f', are not JSON, and end with: { (perhaps the answer was cut off at its limit of tokens). Send the call with whole arguments, or leave it out.",
    ],
    [
      { input: [{ role: 'user', content: [{ type: 'x' }] }] },
      'input',
      "'type' must be one of 'input_text', 'input_image', or 'input_file'",
    ],
    [{ input: [{ role: 'user', content: [{ type: 'input_text' }] }] }, 'input', "'Input text' requires 'text'"],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input', "'image_url' is required"],
    [
      { input: [{ role: 'user', content: [{ type: 'input_file' }] }] },
      'input',
      "'input_file' is not supported by llamacpp at this moment",
    ],
    [
      { input: [{ role: 'assistant', content: [{ type: 'x' }] }] },
      'input',
      "'type' must be one of 'output_text' or 'refusal'",
    ],
    [
      { input: [{ type: 'function_call_output', call_id: 'a', output: [5] }] },
      'input',
      "'type' must be one of 'input_text', 'input_image', or 'input_file'",
    ],
    [{ input: 'a', tools: 5 }, 'tools', "'tools' must be an array of objects"],
  ];
  test.each(cases)('%j', async (request, param, message) => {
    const server = createTestServer();
    const response = await server.send('/responses', request);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: { code: 400, message, type: 'invalid_request_error', param } });
    expect(server.engine.completions).toEqual([]);
  });
});
