import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Send } from './model-watch.ts';
import { RealtimeSocket } from './realtime.ts';

/** Node has them from its version 23 on, or not at all. */
class FakeEvent extends Event {
  constructor(type: string, init: object = {}) {
    super(type);
    Object.assign(this, init);
  }
}

beforeEach(() => {
  vi.stubGlobal('CloseEvent', FakeEvent);
  vi.stubGlobal('ErrorEvent', FakeEvent);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** A server whose events the test sends, and which keeps the client's. */
function fakeServer() {
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  const posts: { path: string; body: unknown; gate: PromiseWithResolvers }[] = [];
  const send: Send = async (path, { body, signal } = {}) => {
    const gate = withResolvers();
    posts.push({ path, body: JSON.parse(body as string), gate });
    signal?.addEventListener('abort', () => gate.reject(signal.reason));
    await gate.promise;
    if (path !== 'realtime') return new Response(null, { status: 204 });
    return new Response(
      new ReadableStream<Uint8Array>({
        start(controller) {
          stream = controller;
          signal?.addEventListener('abort', () => controller.error(signal.reason));
        },
      }),
    );
  };
  const say = (event: object) => stream?.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
  return { send, posts, say, end: () => stream?.close() };
}

interface PromiseWithResolvers {
  promise: Promise<void>;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}

function connect(options = {}) {
  const server = fakeServer();
  const socket = new RealtimeSocket(server.send, 'https://site/base/', options);
  const fired: unknown[][] = [];
  for (const type of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(type, (event) => {
      const { data, code, reason, message } = event as Event & Record<string, unknown>;
      fired.push([type, ...[data, code, reason, message].filter((value) => value !== undefined)]);
    });
  }
  return { ...server, socket, fired };
}

async function opened(options = {}) {
  const connected = connect(options);
  connected.posts[0]?.gate.resolve();
  await expect.poll(() => connected.socket.readyState).toBe(RealtimeSocket.OPEN);
  return connected;
}

test('opens, hears and is heard, in order', async () => {
  const { socket, posts, say, fired } = await opened({ model: 'm', intent: 'transcription' });
  expect(posts[0]).toMatchObject({
    path: 'realtime',
    body: { model: 'm', intent: 'transcription', session: expect.stringMatching(/^[0-9a-f-]{36}$/) },
  });
  expect(socket.url).toBe('https://site/base/v1/realtime');
  const messages: string[] = [];
  socket.onmessage = ({ data }) => messages.push(data);
  say({ type: 'session.created' });
  await expect.poll(() => fired).toEqual([['open'], ['message', '{"type":"session.created"}']]);
  expect(messages).toEqual(['{"type":"session.created"}']);

  for (const type of ['a', 'b', 'c']) socket.send(JSON.stringify({ type }));
  expect(socket.bufferedAmount).toBe(3 * '{"type":"a"}'.length);
  expect(posts.slice(1).map(({ body }) => body)).toEqual([[{ type: 'a' }]]);
  posts[1]?.gate.resolve();
  await expect.poll(() => posts[2]?.body).toEqual([{ type: 'b' }, { type: 'c' }]);
  posts[2]?.gate.resolve();
  await expect.poll(() => socket.bufferedAmount).toBe(0);
  const opening = posts[0]?.body as { session: string } | undefined;
  expect(posts[2]?.path).toBe(`realtime/${opening?.session}`);
});

test('closing', async () => {
  const { socket, fired, posts } = await opened();
  socket.close();
  expect(socket.readyState).toBe(RealtimeSocket.CLOSING);
  await expect.poll(() => fired).toEqual([['open'], ['close', 1000, '']]);
  socket.send('{}');
  socket.close();
  expect(posts).toHaveLength(1);
});

test('closing before it is open', async () => {
  const { socket, fired } = connect();
  socket.close(4000, 'enough');
  await expect.poll(() => fired).toEqual([['close', 4000, 'enough']]);
});

test('not before it is open', () => {
  const { socket } = connect();
  expect(() => socket.send('{}')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }));
});

test('a session that the engine ends', async () => {
  const { fired, end } = await opened();
  end();
  await expect.poll(() => fired.at(-1)).toEqual(['close', 1000, 'The session ended.']);
});

test('a session that can’t be had', async () => {
  const { posts, fired, socket } = connect();
  posts[0]?.gate.reject(new Error('no such model'));
  const failed = [
    ['error', 'no such model'],
    ['close', 1011, 'no such model'],
  ];
  await expect.poll(() => fired).toEqual(failed);
  expect(socket.readyState).toBe(RealtimeSocket.CLOSED);
});

test('an error that ends the stream', async () => {
  const { say, fired } = await opened();
  say({ error: { code: 500, type: 'server_error', message: 'lost', param: null } });
  await expect.poll(() => fired.at(-1)).toEqual(['close', 1011, 'lost']);
});

test('a message that does not arrive', async () => {
  const { posts, socket, fired } = await opened();
  socket.send('{}');
  posts[1]?.gate.reject(new Error('gone'));
  await expect.poll(() => fired.at(-1)).toEqual(['close', 1011, 'gone']);
});

test('what is no JSON is answered as llama-server does', async () => {
  const { posts, socket, fired } = await opened();
  socket.send('{');
  await expect.poll(() => fired.at(-1)).toEqual(['message', expect.stringContaining('invalid JSON')]);
  expect(posts).toHaveLength(1);
});

test('OpenAI’s client takes it for a WebSocket', async () => {
  const server = fakeServer();
  class Socket {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: the client makes its socket itself, of the global class
      return new RealtimeSocket(server.send, 'https://site/');
    }
  }
  vi.stubGlobal('WebSocket', Socket);
  const client = new OpenAI({ apiKey: 'local', baseURL: 'https://site/v1', dangerouslyAllowBrowser: true });
  const realtime = new OpenAIRealtimeWebSocket({ model: 'local', dangerouslyAllowBrowser: true }, client);
  const heard: unknown[] = [];
  realtime.on('session.created', (event) => heard.push(event));
  const closed = new Promise((resolve) => realtime.socket.addEventListener('close', resolve));
  server.posts[0]?.gate.resolve();
  await expect.poll(() => realtime.socket.readyState).toBe(RealtimeSocket.OPEN);
  server.say({ type: 'session.created', event_id: 'e', session: {} });
  await expect.poll(() => heard).toEqual([{ type: 'session.created', event_id: 'e', session: {} }]);
  realtime.send({ type: 'input_audio_buffer.commit' });
  expect(server.posts[1]?.body).toEqual([{ type: 'input_audio_buffer.commit' }]);
  realtime.close();
  await closed;
});
