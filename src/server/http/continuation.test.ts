/** A second server goes on where the first one stopped, wherever that was, in every API. */
import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CHAT_RESULT, type FakeEngine } from '../testing/fake-engine.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const IDENTITY = { seed: '00112233445566778899aabbccddeeff', time: 1_700_000_123_000 };
const messages = [{ role: 'user', content: 'Hi' }];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What an engine says of itself: no two hosts are equally fast. */
let measured = 0;
const passing = () => ({ timings: { prompt_n: 3, predicted_ms: ++measured }, system_fingerprint: `build ${measured}` });

function chatChunk(delta: Json, finish_reason: string | null = null): Json {
  return { object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }], ...passing() };
}

/** A chat of these words, as llama.cpp streams it; or a text, if it is asked for one. */
function says(...words: string[]): FakeEngine['onComplete'] {
  const usage = { prompt_tokens: 3, completion_tokens: words.length, total_tokens: 3 + words.length };
  return async function* ({ kind, body, onAccepted }) {
    onAccepted?.();
    if (!body.stream) {
      yield CHAT_RESULT;
      return;
    }
    const native = (content: string, stop: boolean) => ({ __verbose: { content, stop, index: 0, ...passing() } });
    if (kind === 'text') {
      for (const text of words) yield { choices: [{ index: 0, text, finish_reason: null }], ...native(text, false) };
      yield { choices: [{ index: 0, text: '', finish_reason: 'stop' }], usage, ...native('', true) };
      return;
    }
    yield chatChunk({ role: 'assistant', content: null });
    // How often that comes hangs on the device.
    for (let count = 0; count < measured % 3; count++)
      yield { ...chatChunk({}), prompt_progress: { processed: count } };
    for (const content of words) yield { ...chatChunk({ content }), ...native(content, false) };
    yield { ...chatChunk({}, 'stop'), ...native('', true) };
    yield { object: 'chat.completion.chunk', choices: [], usage, ...passing() };
  };
}

function serverThat(onComplete: FakeEngine['onComplete']): TestServer {
  const server = createTestServer();
  server.engine.onComplete = onComplete;
  return server;
}

function send(server: TestServer, path: string, body: Json, delivered?: string, status = 200): Promise<Response> {
  const request = new Request(`https://site${path}`, { method: 'POST', body: JSON.stringify(body) });
  const attachments = delivered === undefined ? {} : { delivered: { status, bytes: encoder.encode(delivered) } };
  return server.fetch(request, { identity: IDENTITY, ...attachments });
}

const text = async (response: Promise<Response>) => (await response).text();
const essence = (events: string) =>
  JSON.stringify(
    parseEvents(events).filter((event) => (event as Json).prompt_progress === undefined),
    (name, value) => (['timings', 'system_fingerprint', 'sequence_number'].includes(name) ? undefined : value),
  );

const STREAMS: [name: string, path: string, body: Json][] = [
  ['a chat', '/v1/chat/completions', { messages }],
  ['a text', '/v1/completions', { prompt: 'Hi' }],
  ['llama-server’s own format', '/completion', { prompt: 'Hi' }],
  ['Responses', '/v1/responses', { input: 'Hi' }],
  ['Messages', '/v1/messages', { messages, max_tokens: 9 }],
];

describe.each(STREAMS)('%s', (_, path, body) => {
  const request = { ...body, stream: true };

  test('is gone on with after any event, and its sign of life', async () => {
    const whole = await text(send(serverThat(says('a', 'b', 'c')), path, request));
    const events = whole.split(/(?<=\n\n)/);
    expect(events.length).toBeGreaterThan(3);
    for (let count = 0; count <= events.length; count++) {
      const delivered = `:\n\n${events.slice(0, count).join('')}`;
      const rest = await text(send(serverThat(says('a', 'b', 'c')), path, request, delivered));
      expect(essence(delivered + rest)).toBe(essence(whole));
      expect(rest).not.toContain('another answer');
    }
  });

  test('ends with an error once it was one, and with one when the engine fails', async () => {
    const server = serverThat(async function* () {
      yield* [];
      throw new LlamatabError('server_error', 'The engine broke.');
    });
    const rest = await text(send(server, path, request, ''));
    expect(rest).toContain('The engine broke.');
    expect(await text(send(serverThat(says('a')), path, request, rest))).toBe('');
  });
});

test('ids, seeds and times are those of the request, on every host', async () => {
  const answers = await Promise.all(
    [1, 2].map(async () => {
      const server = serverThat(says('a'));
      const answer = (await (await send(server, '/v1/chat/completions', { messages })).json()) as Json;
      return [answer.id, answer.created, server.engine.completions[0]?.body.seed];
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]?.[1]).toBe(IDENTITY.time / 1000);
});

test('answers side by side are gone on with in whatever order they come', async () => {
  const sides = (order: string) =>
    serverThat(async function* ({ body }) {
      const own = [...order].filter((letter) => (body.seed === 7 ? /[a-c]/ : /[x-z]/).test(letter));
      for (const content of own) yield chatChunk({ content });
    });
  const request = { messages, n: 2, seed: 7, stream: true };
  const delivered = [
    [0, 'a'],
    [0, 'b'],
    [1, 'x'],
  ].map(([index, content]) => chatEvent(index as number, content as string));
  const whole = parseEvents(await text(send(sides('axbycz'), '/v1/chat/completions', request))) as Json[];
  const { id, created, model } = whole[0] as Json;
  const given = delivered.map((event) => `data: ${JSON.stringify({ ...event, id, created, model })}\n\n`).join('');
  const rest = parseEvents(await text(send(sides('axbycz'), '/v1/chat/completions', request, given))) as Json[];
  const contents = (index: number) =>
    rest.flatMap(({ choices }) => (choices as { index: number; delta: Json }[]) ?? []).filter((c) => c.index === index);
  expect(contents(0).map(({ delta }) => delta.content)).toEqual(['c']);
  expect(contents(1).map(({ delta }) => delta.content)).toEqual(['y', 'z']);
});

function chatEvent(index: number, content: string): Json {
  return { ...chatChunk({ content }), choices: [{ index, delta: { content }, finish_reason: null }] };
}

describe('a stream whose text is another one', () => {
  const begin = async (path: string, body: Json) => {
    const whole = await text(send(serverThat(says('one ', 'two ', 'three ')), path, body));
    return whole
      .split(/(?<=\n\n)/)
      .filter((event) => /one|two|assistant/.test(event))
      .join('');
  };
  const limits = { max_tokens: 20, stream: true, stream_options: { include_usage: true } };

  test('is continued as the beginning of a chat’s answer', async () => {
    const body = { messages, ...limits };
    const delivered = await begin('/v1/chat/completions', body);
    const server = serverThat(says('1 ', '2 '));
    const rest = await text(send(server, '/v1/chat/completions', body, delivered));
    const [repeated, continued] = server.engine.completions.map((request) => request.body);
    expect(continued).toMatchObject({
      messages: [...messages, { role: 'assistant', content: 'one two ' }],
      n_predict: 20 - 'one two '.length,
      seed: repeated?.seed,
    });
    expect(server.engine.left).toBe(2);
    const events = parseEvents(rest) as Json[];
    expect(rest).not.toContain('assistant');
    expect(
      events.map((event) => (event.choices as Json[])?.[0]).map((choice) => (choice?.delta as Json)?.content),
    ).toEqual(['1 ', '2 ', undefined, undefined, undefined]);
    // Of the fake's 3 and 2 tokens.
    expect(events.at(-2)?.usage).toMatchObject({ prompt_tokens: 3 - 8, completion_tokens: 2 + 8 });
    const ids = new Set([...parseEvents(delivered), ...events.slice(0, -1)].map((event) => (event as Json).id));
    expect(ids.size).toBe(1);
  });

  test('is continued as a prompt', async () => {
    const body = { prompt: 'Count: ', ...limits };
    const server = serverThat(says('1 '));
    await text(send(server, '/v1/completions', body, await begin('/v1/completions', body)));
    expect(server.engine.completions[1]?.body.prompt).toBe('Count: one two ');
  });

  test.each<[string, string, Json]>([
    ['a grammar', '/v1/chat/completions', { messages, grammar: 'root ::= "x"' }],
    ['a schema', '/v1/chat/completions', { messages, response_format: { type: 'json_object' } }],
    ['several answers', '/v1/chat/completions', { messages, n: 2 }],
    ['several prompts', '/v1/completions', { prompt: ['a', 'b'] }],
    ['another API', '/v1/responses', { input: 'Hi' }],
    ['another API', '/v1/messages', { messages }],
  ])('ends with an error that says so: %s', async (_, path, body) => {
    const asked = { ...body, ...limits };
    const rest = await text(send(serverThat(says('1 ')), path, asked, await begin(path, asked)));
    expect(rest).toContain('another answer from here on');
    expect(rest).not.toContain('[DONE]');
  });

  test.each<[string, string, Json]>([
    ['a chat', '/v1/chat/completions', { messages }],
    ['a text', '/v1/completions', { prompt: 'Count: ' }],
  ])('is not finished here where the upstream server began it: %s', async (_, path, body) => {
    const asked = { ...body, ...limits };
    const begun = parseEvents(await begin(path, asked)) as Json[];
    const delivered = begun.map((event) => `data: ${JSON.stringify({ ...event, id: 'upstream-1', model: 'big' })}\n\n`);
    const rest = await text(send(serverThat(says('1 ')), path, asked, delivered.join('')));
    expect(rest).toContain('another answer from here on');
    expect(parseEvents(rest)).toHaveLength(1);
  });

  test('ends with an error in the middle of thoughts or a call', async () => {
    for (const delta of [{ reasoning_content: 'Hm' }, { tool_calls: [{ index: 0, function: { arguments: '{' } }] }]) {
      const delivered = `data: ${JSON.stringify(chatChunk(delta))}\n\n`;
      const rest = await text(send(serverThat(says('1 ')), '/v1/chat/completions', { messages, ...limits }, delivered));
      expect(rest).toContain('another answer from here on');
    }
  });
});

describe('calls that the model makes by itself', () => {
  const tools = (form: (tool: Json) => Json) => [form({ name: 'f', parameters: { type: 'object', properties: {} } })];
  const ofChat = { tools: tools((tool) => ({ type: 'function', function: tool })) };
  const APIS: [name: string, path: string, body: Json][] = [
    ['a chat', '/v1/chat/completions', { messages, ...ofChat }],
    ['several answers', '/v1/chat/completions', { messages, ...ofChat, n: 2, seed: 7 }],
    ['Responses', '/v1/responses', { input: 'Hi', tools: tools((tool) => ({ type: 'function', ...tool })) }],
    [
      'Messages',
      '/v1/messages',
      { messages, max_tokens: 9, tools: tools(({ name, parameters }) => ({ name, input_schema: parameters })) },
    ],
  ];
  let processes = 0;

  /** llama.cpp draws 32 characters for each call, in each process others, unless the model writes an id. */
  function callingServer(written?: string): TestServer {
    const drawn = `${++processes}`.padStart(31, 'x');
    const server = serverThat(async function* ({ body, onAccepted }) {
      onAccepted?.();
      const call = (index: number) => ({
        index,
        id: written ?? `${drawn}${index}`,
        type: 'function',
        function: { name: 'f', arguments: '{' },
      });
      if (!body.stream) {
        const { index, ...whole } = call(0);
        const message = { role: 'assistant', content: null, tool_calls: [whole] };
        yield { ...CHAT_RESULT, choices: [{ finish_reason: 'tool_calls', index: 0, message }] };
        return;
      }
      yield chatChunk({ role: 'assistant', content: null });
      for (const index of [0, 1]) {
        yield chatChunk({ tool_calls: [call(index)] });
        yield chatChunk({ tool_calls: [{ index, function: { arguments: '}' } }] });
      }
      yield chatChunk({}, 'tool_calls');
    });
    server.engine.metadata['tokenizer.chat_template'] = '{{ tools }}{{ messages }}';
    return server;
  }

  test.each(APIS)('are gone on with after any event: %s', async (_, path, body) => {
    const asked = { ...body, stream: true };
    const whole = await text(send(callingServer(), path, asked));
    expect(whole).not.toContain('xxx');
    const events = whole.split(/(?<=\n\n)/);
    for (let count = 0; count <= events.length; count++) {
      const delivered = events.slice(0, count).join('');
      const rest = await text(send(callingServer(), path, asked, delivered));
      expect(essence(delivered + rest)).toBe(essence(whole));
    }
  });

  test.each(APIS)('have the same ids on every host in an answer that is no stream: %s', async (_, path, body) => {
    const idsIn = (answer: string) => answer.match(/\b(call_|fc_)?[A-Za-z0-9]{32}\b/g);
    const [one, other] = [await text(send(callingServer(), path, body)), await text(send(callingServer(), path, body))];
    expect(one).not.toContain('xxx');
    expect(idsIn(one)).toEqual(idsIn(other));
    expect(new Set(idsIn(one)).size).toBeGreaterThan(1);
  });

  test('keep an id that the model wrote: its template may ask for its form', async () => {
    const streamed = await text(
      send(callingServer('a1B2c3D4e'), '/v1/chat/completions', { ...APIS[0]?.[2], stream: true }),
    );
    expect(streamed.match(/a1B2c3D4e/g)).toHaveLength(2);
    const whole = await text(send(callingServer('a1B2c3D4e'), '/v1/chat/completions', APIS[0]?.[2] ?? {}));
    expect(whole).toContain('"id":"a1B2c3D4e"');
  });
});

test('calls that are required have the same ids on every host, in whatever order several answers come', async () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const asked = { messages, tools, tool_choice: 'required', n: 2, seed: 7, stream: true };
  const idsOf = async (slow: number) => {
    const late = new Gate<void>();
    const server = serverThat(async function* ({ body }) {
      if ((body.seed === 7 ? 0 : 1) === slow) await late.promise;
      yield chatChunk({ content: '{"name": "f", "arguments": {}}' });
      yield chatChunk({}, 'stop');
      late.open();
    });
    const ids: Record<number, string> = {};
    for (const { choices } of parseEvents(await text(send(server, '/v1/chat/completions', asked))) as Json[]) {
      const [choice] = (choices ?? []) as { index: number; delta: { tool_calls?: { id?: string }[] } }[];
      const id = choice?.delta.tool_calls?.[0]?.id;
      if (choice !== undefined && id !== undefined) ids[choice.index] = id;
    }
    return ids;
  };
  const ids = await idsOf(0);
  expect(new Set(Object.values(ids)).size).toBe(2);
  expect(await idsOf(1)).toEqual(ids);
});

describe('an answer that is no stream', () => {
  test('comes whole after the spaces that were its signs of life', async () => {
    const response = await send(serverThat(says('a')), '/v1/chat/completions', { messages }, '   ');
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'Paris.' } }] });
  });

  test('is compared byte for byte', async () => {
    const server = serverThat(says('a'));
    const whole = await text(send(server, '/tokenize', { content: 'abcdef' }));
    expect(whole.length).toBeGreaterThan(9);
    for (const [given, rest] of [
      ['', whole],
      [whole.slice(0, 9), whole.slice(9)],
      [whole, ''],
    ] as const) {
      expect(await text(send(server, '/tokenize', { content: 'abcdef' }, given))).toBe(rest);
    }
    const other = await send(server, '/tokenize', { content: 'abcdef' }, `${whole}x`);
    await expect(other.text()).rejects.toThrow('another answer from here on');
  });

  test('can’t become one of another status: its reason is thrown', async () => {
    const server = serverThat(says('a'));
    await expect(send(server, '/v1/chat/completions', { messages, model: 'no such' }, '')).rejects.toThrow('no such');
    await expect(send(server, '/v1/nowhere', {}, '')).rejects.toThrow('File Not Found');
  });

  test('is not gone on with where it told of the host that is gone', async () => {
    const server = createTestServer();
    const delivered = { status: 200, bytes: encoder.encode('data: {}\n\n') };
    const events = server.fetch(new Request('https://site/v1/models/sse'), { identity: IDENTITY, delivered });
    await expect(events).rejects.toThrow('ask for them');
  });
});

test('what was delivered is decoded as a whole', async () => {
  const whole = await text(send(serverThat(says('grün', ' 🌳')), '/v1/completions', { prompt: 'x', stream: true }));
  const given = whole.slice(0, whole.indexOf('\n\n', whole.indexOf('🌳')) + 2);
  const rest = await text(
    send(serverThat(says('grün', ' 🌳')), '/v1/completions', { prompt: 'x', stream: true }, given),
  );
  expect(essence(given + rest)).toBe(essence(whole));
  expect(decoder.decode(encoder.encode(given))).toBe(given);
});
