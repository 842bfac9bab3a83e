import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import type { Delivered } from '../../protocol.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, NOW, type TestServer } from '../testing/test-server.ts';
import {
  createResumableStreams,
  KEEP_ENDED,
  KEEP_UNFINISHED,
  MAX_BUFFER_BYTES,
  MAX_ENDED,
  type StoredStream,
} from './resumable-streams.ts';
import { Scope } from './scope.ts';
import { EVENT_STREAM_HEADERS } from './sse.ts';

afterEach(() => vi.useRealTimers());

const CHAT = '/v1/chat/completions';
const question = { messages: [{ role: 'user', content: 'Hi' }], stream: true };
const chunk = (content: string): Json => ({ object: 'chat.completion.chunk', choices: [{ delta: { content } }] });

/** A chat stream under the id, aborted by `client`. */
function ask(server: TestServer, id: string, client = new AbortController(), body: Json = question, path = CHAT) {
  return server.send(path, body, { headers: { 'X-Conversation-Id': id }, signal: client.signal });
}

/** An engine that yields a chunk for each call of `say`, until it is told to end. */
function speaker(server: TestServer) {
  const queue: Gate<string | null>[] = [];
  let asked = 0;
  const gate = (index: number) => {
    while (queue.length <= index) queue.push(new Gate());
    return queue[index] as Gate<string | null>;
  };
  let said = 0;
  const signals: AbortSignal[] = [];
  server.engine.onComplete = async function* ({ signal, onAccepted }) {
    if (signal) signals.push(signal);
    onAccepted?.();
    for (;;) {
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
      const word = await Promise.race([gate(asked++).promise, aborted]);
      if (word === null) return;
      yield chunk(word);
    }
  };
  return {
    signals,
    say: (word: string) => gate(said++).open(word),
    end: () => gate(said++).open(null),
  };
}

const resume = (server: TestServer, id: string, from?: number | string) =>
  server.send(`/v1/stream?conv_id=${id}${from === undefined ? '' : `&from=${from}`}`);

async function lookup(server: TestServer, ...ids: unknown[]): Promise<Json[]> {
  return (await server.send('/v1/streams/lookup', { conversation_ids: ids })).json() as Promise<Json[]>;
}

async function failure(response: Response | Promise<Response>) {
  const { status, error } = await (await response)
    .json()
    .then(async (json) => ({ status: (await response).status, error: (json as { error: Json }).error }));
  return [status, error.type, error.message];
}

const NOT_FOUND = [404, 'not_found_error', 'Stream not found or expired'];

describe('a stream with X-Conversation-Id', () => {
  test('goes on when its client disconnects, and can be resumed at any byte', async () => {
    const server = createTestServer();
    const { say, end, signals } = speaker(server);
    const client = new AbortController();
    const response = await ask(server, 'c', client);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    say('one');
    const { value } = await reader.read();
    const received = value?.byteLength ?? 0;
    client.abort();
    await reader.cancel();
    say('two');
    const rest = await resume(server, 'c', received);
    expect(rest.headers.get('Content-Type')).toBe('text/event-stream');
    say('three');
    end();
    const taken = await rest.text();
    expect(signals[0]?.aborted).toBe(false);

    const whole = await (await resume(server, 'c')).text();
    expect(new TextDecoder().decode(value) + taken).toBe(whole);
    expect(whole.match(/one|two|three|\[DONE\]/g)).toEqual(['one', 'two', 'three', '[DONE]']);
    const bytes = new TextEncoder().encode(whole).byteLength;
    for (const from of [0, 1, received - 1, received + 7, bytes - 1, bytes]) {
      expect(await (await resume(server, 'c', from)).text()).toBe(whole.slice(from));
    }
  });

  test('reaches its own client, and others beside it, as it does without', async () => {
    const server = createTestServer();
    const { say, end } = speaker(server);
    const response = await ask(server, 'c');
    const second = await resume(server, 'c');
    say('one');
    end();
    expect(response.headers.get('X-Accel-Buffering')).toBe('no');
    expect(await response.text()).toBe(await second.text());
  });

  test('is found by id, and by id and model; others are never listed', async () => {
    const server = createTestServer();
    const { say, end } = speaker(server);
    const response = await ask(server, 'a::tiny');
    say('one');
    const alive = { conversation_id: 'a::tiny', is_done: false, started_at: NOW / 1000, completed_at: 0 };
    await expect.poll(() => lookup(server, 'a')).toEqual([{ ...alive, total_bytes: expect.any(Number) }]);
    end();
    const text = await response.text();
    expect(await lookup(server, 'b', 'a::tiny', 5, null)).toEqual([
      { ...alive, is_done: true, total_bytes: new TextEncoder().encode(text).byteLength, completed_at: NOW / 1000 },
    ]);
    expect(await lookup(server, 'b', 'a:', 'a::', '')).toEqual([]);
    for (const body of [{}, { conversation_ids: 'a::tiny' }, []]) {
      expect(await (await server.send('/v1/streams/lookup', body)).json()).toEqual([]);
    }
  });

  test('is stopped by DELETE, which frees the slot', async () => {
    const server = createTestServer();
    const { say, signals } = speaker(server);
    const response = await ask(server, 'c');
    say('one');
    const stop = () => server.send('/v1/stream?conv_id=c', undefined, { method: 'DELETE' });
    const stopped = await stop();
    expect([stopped.status, await stopped.text()]).toEqual([204, '']);
    expect(await response.text()).not.toContain('[DONE]');
    expect(signals[0]?.aborted).toBe(true);
    await expect.poll(() => server.engine.left).toBe(1);
    expect(await failure(resume(server, 'c'))).toEqual(NOT_FOUND);
    expect((await stop()).status).toBe(204);
  });

  test('is stopped while the model loads, in llama-server’s words', async () => {
    const server = createTestServer();
    const gate = new Gate();
    server.engine.onLoad = () => gate.promise;
    const asked = ask(server, 'early');
    await expect.poll(() => server.engine.loads.length).toBe(1);
    expect((await server.send('/v1/stream?conv_id=early', undefined, { method: 'DELETE' })).status).toBe(204);
    expect(await failure(asked)).toEqual([
      400,
      'invalid_request_error',
      'request cancelled by a stop while the model was loading',
    ]);
    gate.open();
    expect(await lookup(server, 'early')).toEqual([]);
    expect(server.engine.completions).toEqual([]);
  });

  test('ends when its conversation asks anew', async () => {
    const server = createTestServer();
    const { signals, say, end } = speaker(server);
    const old = await ask(server, 'c');
    const next = await ask(server, 'c');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(await old.text()).toBe('');
    // The old one's turn at the gate was lost with it.
    say('lost');
    say('new');
    end();
    expect(await next.text()).toContain('new');
    expect(await (await resume(server, 'c')).text()).toContain('new');
  });

  test('leaves nothing when it fails before its first byte', async () => {
    const server = createTestServer();
    const held = new Gate();
    // biome-ignore lint/correctness/useYield: fails before its first result
    server.engine.onComplete = async function* () {
      await held.promise;
    };
    const answered = ask(server, 'c');
    await expect.poll(() => server.engine.completions.length).toBe(1);
    const waiting = resume(server, 'c');
    held.fail(new Error('broken'));
    expect(await failure(answered)).toEqual([500, 'server_error', 'broken']);
    expect(await failure(waiting)).toEqual(NOT_FOUND);
    expect(await lookup(server, 'c')).toEqual([]);
    expect((await ask(server, 'c', undefined, { ...question, messages: 5 })).status).toBe(400);
    expect(await lookup(server, 'c')).toEqual([]);
  });

  test('outlives a client that leaves before the first byte', async () => {
    const server = createTestServer();
    const { say, end } = speaker(server);
    const loaded = new Gate();
    server.engine.onLoad = () => loaded.promise;
    const client = new AbortController();
    const answered = ask(server, 'c', client);
    await expect.poll(() => server.engine.loads.length).toBe(1);
    client.abort();
    loaded.open();
    say('one');
    end();
    await answered;
    expect(await (await resume(server, 'c')).text()).toContain('one');
  });

  test('is kept for 300 s after its end', async () => {
    vi.useFakeTimers();
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield chunk('one');
    };
    await (await ask(server, 'c')).text();
    await vi.advanceTimersByTimeAsync(KEEP_ENDED - 1);
    expect((await resume(server, 'c')).status).toBe(200);
    await vi.advanceTimersByTimeAsync(1);
    expect(await failure(resume(server, 'c'))).toEqual(NOT_FOUND);
  });

  test('goes when many others have ended since', async () => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield chunk('one');
    };
    for (let index = 0; index <= MAX_ENDED; index++) await (await ask(server, `c${index}`)).text();
    expect(await lookup(server, 'c0')).toEqual([]);
    expect(await lookup(server, 'c1')).toHaveLength(1);
  });

  test('is kept by its last 4 MiB, in whole events', async () => {
    const server = createTestServer();
    const word = 'x'.repeat(64 * 1024);
    server.engine.onComplete = async function* () {
      for (let index = 0; index < 80; index++) yield chunk(word);
    };
    const whole = await (await ask(server, 'c')).text();
    const [{ total_bytes: total } = {}] = await lookup(server, 'c');
    expect(total).toBe(whole.length);
    const lost = [400, 'invalid_request_error', 'Stream offset lost, please restart'];
    expect(await failure(resume(server, 'c'))).toEqual(lost);
    expect(await failure(resume(server, 'c', whole.length - MAX_BUFFER_BYTES - 1))).toEqual(lost);
    const event = whole.length - MAX_BUFFER_BYTES + (whole.slice(-MAX_BUFFER_BYTES).indexOf('data: ') ?? 0);
    expect(await (await resume(server, 'c', event)).text()).toBe(whole.slice(event));
  });

  test('ends with an error for a reader that is too slow for the buffer', async () => {
    const server = createTestServer();
    const word = 'x'.repeat(64 * 1024);
    server.engine.onComplete = async function* () {
      for (let index = 0; index < 80; index++) yield chunk(word);
    };
    const slow = await ask(server, 'c');
    await expect.poll(() => lookup(server, 'c')).toMatchObject([{ is_done: true }]);
    const events = (await slow.text()).split('\n\n').filter(Boolean);
    expect(events.at(-1)).toContain('"message":"Stream offset lost, please restart"');
    expect(events.length).toBeLessThan(5);
  });

  test('is any that streams; an answer that does not is as it was', async () => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield { object: 'text_completion', choices: [] };
    };
    const plain = await ask(server, 'c', undefined, { prompt: 'x' }, '/v1/completions');
    expect(plain.headers.get('Content-Type')).toContain('application/json');
    expect(await lookup(server, 'c')).toEqual([]);
    await (await ask(server, 'c', undefined, { prompt: 'x', stream: true }, '/v1/completions')).text();
    expect(await lookup(server, 'c')).toHaveLength(1);
  });

  test('an abort still ends an answer that is no stream', async () => {
    const server = createTestServer();
    const { signals } = speaker(server);
    const client = new AbortController();
    const answered = ask(server, 'c', client, { ...question, stream: false });
    await expect.poll(() => signals.length).toBe(1);
    client.abort();
    await expect((await answered).text()).rejects.toThrow('abort');
    expect(signals[0]?.aborted).toBe(true);
  });

  test('without the header nothing is kept', async () => {
    const server = createTestServer();
    await (await server.send(CHAT, { ...question, stream: false })).text();
    expect(await lookup(server, '', 'undefined', 'null')).toEqual([]);
  });
});

describe('GET /v1/stream', () => {
  test.each(['', '?from=0', '?conv_id='])('without an id: %j', async (query) => {
    for (const method of ['GET', 'DELETE']) {
      expect(await failure(createTestServer().send(`/v1/stream${query}`, undefined, { method }))).toEqual([
        400,
        'invalid_request_error',
        'Missing conversation id in path',
      ]);
    }
  });

  test('of an unknown id', async () => {
    expect(await failure(resume(createTestServer(), 'nobody'))).toEqual(NOT_FOUND);
  });

  test.each(['x', '-1', '1.5', '1e2', '999999', '99999999999999999999'])('from %s', async (from) => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield chunk('one');
    };
    await (await ask(server, 'c')).text();
    expect(await failure(resume(server, 'c', from))).toEqual([400, 'invalid_request_error', "Invalid 'from' offset"]);
  });
});

describe('with a store', () => {
  const IDENTITY = { seed: '00112233445566778899aabbccddeeff', time: NOW - 5_000 };

  /** What the hosts of a site share. */
  function memoryStore() {
    const kept = new Map<string, StoredStream>();
    return {
      kept,
      all: async () => [...kept.values()],
      put: async (stream: StoredStream) => void kept.set(stream.id, stream),
      delete: async (id: string) => void kept.delete(id),
    };
  }

  const askAs = (server: TestServer, identity = IDENTITY, body: Json = question, delivered?: Delivered) =>
    server.fetch(
      new Request(`https://site${CHAT}`, {
        method: 'POST',
        headers: { 'X-Conversation-Id': 'a' },
        body: JSON.stringify(body),
      }),
      { identity, delivered },
    );
  const contentsOf = (events: string) =>
    events.split('\n\n').flatMap((event) => (event.startsWith('data: {') ? JSON.parse(event.slice(6)).choices : []));

  /** A host that has said two words, and all that is known of it by the next one. */
  async function lostAfterTwoWords() {
    const store = memoryStore();
    const first = createTestServer({ streams: store });
    const said = speaker(first);
    said.say('one ');
    said.say('two ');
    const response = await askAs(first);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('two ')) text += new TextDecoder().decode((await reader.read()).value);
    await vi.waitFor(() => expect(new TextDecoder().decode(store.kept.get('a')?.bytes)).toBe(text), 10_000);
    return { store, text };
  }

  /** An engine that says all of it. */
  function nextHost(store: ReturnType<typeof memoryStore>, words = ['one ', 'two ', 'three']) {
    const next = createTestServer({ streams: store });
    const said = speaker(next);
    for (const word of words) said.say(word);
    said.end();
    return next;
  }

  test('the next host goes on when somebody asks for it, and not before', async () => {
    const { store, text } = await lostAfterTwoWords();
    const next = nextHost(store);
    expect(await lookup(next, 'a')).toMatchObject([
      { is_done: false, total_bytes: text.length, started_at: (NOW - 5_000) / 1000 },
    ]);
    expect(next.engine.completions).toEqual([]);
    const rest = await (await resume(next, 'a', text.length)).text();
    expect(contentsOf(rest)).toEqual([{ delta: { content: 'three' } }]);
    expect(rest.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(await (await resume(next, 'a')).text()).toBe(text + rest);
    expect(next.engine.completions).toHaveLength(1);

    // It is kept to its end, and for the host after.
    await vi.waitFor(() => expect(store.kept.get('a')?.completedAt).toBe(NOW), 10_000);
    const last = nextHost(store);
    expect(await lookup(last, 'a')).toMatchObject([{ is_done: true, total_bytes: (text + rest).length }]);
    expect(await (await resume(last, 'a', 3)).text()).toBe((text + rest).slice(3));
    expect(last.engine.completions).toEqual([]);
  });

  test('a page that has lost its host joins the stream that another has had taken up', async () => {
    const { store, text } = await lostAfterTwoWords();
    const next = nextHost(store);
    const resumed = await resume(next, 'a');
    const joined = await askAs(next);
    expect(await joined.text()).toBe(await resumed.text());
    expect((await (await resume(next, 'a')).text()).startsWith(text)).toBe(true);
    expect(next.engine.completions).toHaveLength(1);
  });

  test('DELETE ends it for all hosts', async () => {
    const { store } = await lostAfterTwoWords();
    const next = nextHost(store);
    await next.send('/v1/stream?conv_id=a', undefined, { method: 'DELETE' });
    expect([store.kept.size, (await resume(next, 'a')).status]).toEqual([0, 404]);
    expect(next.engine.completions).toEqual([]);
  });

  test('what nobody has come back for is forgotten', async () => {
    const { store } = await lostAfterTwoWords();
    const one = store.kept.get('a') as StoredStream;
    for (const [age, completedAt, kept] of [
      [KEEP_UNFINISHED - 1, null, 1],
      [KEEP_UNFINISHED, null, 0],
      [KEEP_ENDED - 1, NOW, 1],
      [KEEP_ENDED, NOW, 0],
    ] as const) {
      store.kept.set('a', { ...one, storedAt: NOW - age, completedAt });
      createTestServer({ streams: store });
      await vi.waitFor(() => expect(store.kept.size).toBe(kept), 10_000);
    }
  });

  test('a stream that has lost its beginning is not stored', async () => {
    const store = memoryStore();
    const server = createTestServer({ streams: store });
    const said = speaker(server);
    const length = MAX_BUFFER_BYTES / 2;
    for (let i = 0; i < 3; i++) said.say('x'.repeat(length));
    said.end();
    expect((await (await askAs(server)).text()).length).toBeGreaterThan(MAX_BUFFER_BYTES);
    await vi.waitFor(() => expect(store.kept.size).toBe(0), 10_000);
  });

  /** An answer of five events to a page, of which the host had stored only the first `count` when it went. */
  async function storedInPart(count: number) {
    const words = ['one ', 'two ', 'three ', 'four'];
    const whole = await (await askAs(nextHost(memoryStore(), words))).text();
    const events = whole.split(/(?<=\n\n)/);
    const store = memoryStore();
    const request = {
      method: 'POST',
      url: `https://site${CHAT}`,
      headers: [['X-Conversation-Id', 'a']] as [string, string][],
      body: new TextEncoder().encode(JSON.stringify(question)).buffer,
    };
    const bytes = new TextEncoder().encode(events.slice(0, count).join(''));
    store.kept.set('a', { id: 'a', request, identity: IDENTITY, storedAt: NOW, completedAt: null, bytes });
    const next = nextHost(store, words);
    const loading = new Gate();
    next.engine.onLoad = () => loading.promise;
    return { store, events, whole, bytes, next, loading };
  }

  test.each([0, 1, 2])(
    'a page that had more than the %i events that were stored goes on where it was',
    async (count) => {
      const { next, loading, events } = await storedInPart(count);
      const had = events.slice(0, 3).join('');
      const resumed = resume(next, 'a', had.length);
      // Before anything is stored, the head tells that the engine has taken the request.
      if (count === 0) loading.open();
      const { status, body } = await resumed;
      loading.open();
      expect(status).toBe(200);
      expect(await new Response(body).text()).toBe(events.slice(3).join(''));
      expect(await (await resume(next, 'a')).text()).toBe(events.join(''));
    },
  );

  test('its bytes are counted without signs of life that it never had', async () => {
    vi.useFakeTimers();
    const { next, loading, events, bytes } = await storedInPart(1);
    const had = events.slice(0, 3).join('');
    const resumed = await resume(next, 'a', had.length);
    const beside = await resume(next, 'a', bytes.byteLength);
    await vi.advanceTimersByTimeAsync(60_000);
    loading.open();
    expect(await resumed.text()).toBe(events.slice(3).join(''));
    expect(await beside.text()).toBe(events.slice(1).join(''));
  });

  test('nobody had more: there are signs of life', async () => {
    vi.useFakeTimers();
    const { next, loading, events, bytes } = await storedInPart(1);
    const resumed = await resume(next, 'a', bytes.byteLength);
    await vi.advanceTimersByTimeAsync(60_000);
    loading.open();
    expect(await resumed.text()).toBe(`:\n\n:\n\n${events.slice(1).join('')}`);
  });

  test('a page that asks for more than there will be is told so at the end', async () => {
    const { next, loading, whole } = await storedInPart(1);
    const resumed = await resume(next, 'a', whole.length + 1);
    loading.open();
    const invalid = { type: 'invalid_request_error', message: "Invalid 'from' offset" };
    expect(parseEvents(await resumed.text())).toMatchObject([{ error: invalid }]);
    expect(await failure(resume(next, 'a', whole.length + 1))).toEqual([400, invalid.type, invalid.message]);
  });

  test.each([3, 2])('it gets the whole error that ends the stream before it is there (%i events)', async (count) => {
    const { next, loading, events } = await storedInPart(1);
    const resumed = await resume(next, 'a', events.slice(0, count).join('').length);
    loading.fail(new Error('no memory'));
    expect(parseEvents(await resumed.text())).toMatchObject([{ error: { message: 'no memory' } }]);
  });

  test('a stream that is stopped ends for those who wait for more of it, too', async () => {
    const { next, whole } = await storedInPart(1);
    const resumed = await resume(next, 'a', whole.length);
    await next.send('/v1/stream?conv_id=a', undefined, { method: 'DELETE' });
    expect(await resumed.text()).toBe('');
  });

  test.each(['asked for', 'delivered in part'])(
    'what is stored stays until there is more: a stream that is %s',
    async (how) => {
      const { store, next, bytes, loading, whole } = await storedInPart(2);
      const [put, del] = [vi.spyOn(store, 'put'), vi.spyOn(store, 'delete')];
      const again = createTestServer({ streams: store });
      Object.assign(again.engine, { onLoad: next.engine.onLoad, onComplete: next.engine.onComplete });
      const answer =
        how === 'asked for' ? resume(again, 'a') : askAs(again, IDENTITY, question, { status: 200, bytes });
      const text = (await answer).text();
      loading.open();
      expect((how === 'asked for' ? '' : new TextDecoder().decode(bytes)) + (await text)).toBe(whole);
      await vi.waitFor(() => expect(store.kept.get('a')?.completedAt).toBe(NOW));
      expect(Math.min(...put.mock.calls.map(([stream]) => stream.bytes.byteLength))).toBe(bytes.byteLength);
      expect(del).not.toHaveBeenCalled();
    },
  );

  test.each([0, 2])('what could not be taken up once is still there (%i events)', async (count) => {
    const { store, next, loading, whole } = await storedInPart(count);
    loading.open();
    const { catalog } = next.store;
    next.store.catalog = () => Promise.reject(new Error('offline'));
    expect(await failure(resume(next, 'a'))).toEqual([500, 'server_error', 'offline']);
    expect(store.kept.size).toBe(1);
    expect(await lookup(next, 'a')).toMatchObject([{ is_done: false }]);
    next.store.catalog = catalog;
    expect(await (await resume(next, 'a')).text()).toBe(whole);
  });
});

test('a body that fails by itself ends with an error', async () => {
  const streams = createResumableStreams(
    () => NOW,
    () => Promise.reject(new Error('not asked')),
  );
  const headers = { 'X-Conversation-Id': 'a' };
  const request = new Request(`https://site${CHAT}`, { method: 'POST', headers, body: JSON.stringify(question) });
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new DOMException('The transaction was aborted.', 'AbortError'));
    },
  });
  const answered = await streams.keep(
    new Scope(request),
    async () => new Response(broken, { headers: EVENT_STREAM_HEADERS }),
  );
  expect(parseEvents(await answered.text())).toMatchObject([{ error: { message: 'The transaction was aborted.' } }]);
});
