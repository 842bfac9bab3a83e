import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const CHAT = '/v1/chat/completions';
const ask = (more: Json = {}) => ({ messages: [{ role: 'user', content: 'Hi' }], ...more });
const chunk = (content: string): Json => ({
  choices: [{ finish_reason: null, index: 0, delta: { content } }],
  object: 'chat.completion.chunk',
});
const contents = (text: string) =>
  parseEvents(text).map((event) => (event === '[DONE]' ? event : ((event as Json).choices as Json[])[0]?.delta));

let server: TestServer;
beforeEach(() => {
  vi.useFakeTimers();
  server = createTestServer();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What has been sent so far, without waiting for more. */
function record(response: Response): { text: () => string; cancel: () => Promise<void>; ended: () => boolean } {
  const reader = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream() as never)
    .getReader();
  let text = '';
  let ended = false;
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
    }
  };
  read()
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  return { text: () => text, cancel: () => reader.cancel(), ended: () => ended };
}

/** Whether a promise has settled, after everything that can run now has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await vi.advanceTimersByTimeAsync(0);
  return settled;
}

describe('the status', () => {
  test.each([true, false])('is sent when the engine has accepted the request (stream: %s)', async (stream) => {
    const gate = new Gate<Json>();
    let signal: AbortSignal | undefined;
    server.engine.onComplete = async function* (request) {
      signal = request.signal;
      request.onAccepted?.();
      yield await gate.promise;
    };
    const response = await server.send(CHAT, ask({ stream }));
    expect(response.status).toBe(200);
    // By its body alone a reader can now end the work.
    await response.body?.cancel();
    expect(signal?.aborted).toBe(true);
  });

  test('is sent then even if the engine fails later: the body reports it and breaks off', async () => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* (request) {
      request.onAccepted?.();
      yield await gate.promise;
    };
    const response = await server.send(CHAT, ask());
    gate.fail(new LlamatabError('server_error', 'The engine crashed'));
    expect(response.status).toBe(200);
    // Nobody can take the envelope for an answer.
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    expect(JSON.parse(new TextDecoder().decode(value))).toMatchObject({ error: { message: 'The engine crashed' } });
    await expect(reader.read()).rejects.toThrow('The engine crashed');
  });

  test('waits for the first result', async () => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield await gate.promise;
    };
    const response = server.send(CHAT, ask({ stream: true }));
    expect(await isSettled(response)).toBe(false);
    gate.open(chunk('a'));
    expect((await response).status).toBe(200);
  });

  test.each([true, false])('is the error’s where the engine fails first (stream: %s)', async (stream) => {
    server.engine.onComplete = async function* () {
      yield await Promise.reject(
        new LlamatabError('exceed_context_size_error', 'too long', { n_prompt_tokens: 9, n_ctx: 4 }),
      );
    };
    const response = await server.send(CHAT, ask({ stream }));
    expect(response.status).toBe(400);
    expect(response.headers.get('Content-Type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toEqual({
      error: {
        code: 400,
        message: 'too long',
        type: 'exceed_context_size_error',
        param: null,
        n_prompt_tokens: 9,
        n_ctx: 4,
      },
    });
  });

  test('is 500 where the engine ends without a result', async () => {
    server.engine.onComplete = async function* () {};
    expect((await server.send(CHAT, ask())).status).toBe(500);
  });
});

describe('the heartbeat', () => {
  test('commits a stream after 30 seconds of silence and goes on with a comment every 30', async () => {
    const first = new Gate<Json>();
    const second = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield await first.promise;
      yield await second.promise;
    };
    const pending = server.send(CHAT, ask({ stream: true }));
    await vi.advanceTimersByTimeAsync(29_999);
    expect(await isSettled(pending)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    const response = await pending;
    expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'text/event-stream']);
    const sent = record(response);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent.text()).toBe(':\n\n:\n\n');
    first.open(chunk('a'));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.text()).toMatch(/^:\n\n:\n\ndata: .*\n\n:\n\n$/);
    second.open(chunk('b'));
    await vi.advanceTimersByTimeAsync(0);
    expect(contents(sent.text())).toEqual([{ content: 'a' }, { content: 'b' }, '[DONE]']);
    expect(sent.ended()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('costs one timer for a whole stream, and counts from the last chunk', async () => {
    const gates = Array.from({ length: 4 }, () => new Gate<Json>());
    server.engine.onComplete = async function* () {
      for (const gate of gates) yield await gate.promise;
    };
    gates[0]?.open(chunk('a'));
    const sent = record(await server.send(CHAT, ask({ stream: true })));
    for (const gate of gates.slice(1)) {
      await vi.advanceTimersByTimeAsync(20_000);
      expect(vi.getTimerCount()).toBe(1);
      gate.open(chunk('a'));
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(sent.text()).not.toContain(':\n\n:');
    expect(sent.text()).not.toMatch(/^:/m);
    expect(sent.ended()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is not heaped up for a reader that does not read', async () => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield chunk('a');
      yield await gate.promise;
    };
    const response = await server.send(CHAT, ask({ stream: true }));
    await vi.advanceTimersByTimeAsync(300_000);
    const sent = record(response);
    await vi.advanceTimersByTimeAsync(0);
    expect(sent.text()).toMatch(/^data: .*\n\n$/);
    await sent.cancel();
    gate.open(chunk('b'));
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sends whitespace before a JSON answer, which stays JSON', async () => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield await gate.promise;
    };
    const pending = server.send(CHAT, ask({ sse_ping_interval: 2 }));
    await vi.advanceTimersByTimeAsync(2000);
    const sent = record(await pending);
    await vi.advanceTimersByTimeAsync(4000);
    expect(sent.text()).toBe('  ');
    gate.open(CHAT_RESULT);
    await vi.advanceTimersByTimeAsync(0);
    expect(JSON.parse(sent.text())).toMatchObject({ object: 'chat.completion' });
    expect(sent.ended()).toBe(true);
  });

  test.each([true, false])('an error after it is told in the body (stream: %s)', async (stream) => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield await gate.promise;
    };
    const pending = server.send(CHAT, ask({ stream }));
    await vi.advanceTimersByTimeAsync(30_000);
    const response = await pending;
    expect(response.status).toBe(200);
    const sent = record(response);
    gate.fail(new LlamatabError('server_error', 'out of memory'));
    await vi.advanceTimersByTimeAsync(0);
    const envelope = { error: { code: 500, message: 'out of memory', type: 'server_error', param: null } };
    expect(stream ? parseEvents(sent.text()) : [JSON.parse(sent.text())]).toEqual([envelope]);
    expect(sent.ended()).toBe(true);
  });

  test('covers the time that a model takes to come', async () => {
    const download = new Gate();
    server.store.onOpen = () => download.promise;
    const pending = server.send(CHAT, ask());
    await vi.advanceTimersByTimeAsync(30_000);
    expect((await pending).status).toBe(200);
    download.open();
  });

  test.each([-1, 0])('sse_ping_interval %i turns it off', async (sse_ping_interval) => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* () {
      yield await gate.promise;
    };
    const pending = server.send(CHAT, ask({ sse_ping_interval, stream: true }));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await isSettled(pending)).toBe(false);
    gate.open(chunk('a'));
    expect((await pending).status).toBe(200);
  });
});

describe('an error in mid-stream', () => {
  test('is the last event, without [DONE]', async () => {
    server.engine.onComplete = async function* () {
      yield chunk('a');
      throw new LlamatabError('server_error', 'Context size has been exceeded.');
    };
    const response = await server.send(CHAT, ask({ stream: true }));
    const events = parseEvents(await response.text());
    expect(events).toHaveLength(2);
    expect(events[1]).toEqual({
      error: { code: 500, message: 'Context size has been exceeded.', type: 'server_error', param: null },
    });
  });
});

describe('going away', () => {
  const endless = async function* (request: { signal?: AbortSignal | undefined }): AsyncGenerator<Json> {
    for (;;) {
      yield chunk('a');
      await new Promise((_, reject) => {
        const abort = () => reject(new DOMException('aborted', 'AbortError'));
        if (request.signal?.aborted) abort();
        request.signal?.addEventListener('abort', abort);
        setTimeout(_, 1000);
      });
    }
  };

  test('aborting before the first result ends the work and answers something', async () => {
    server.engine.onComplete = async function* ({ signal }) {
      await new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
      yield chunk('never');
    };
    const abort = new AbortController();
    const pending = server.send(CHAT, ask({ stream: true }), { signal: abort.signal });
    expect(await isSettled(pending)).toBe(false);
    abort.abort('not an AbortError');
    await vi.advanceTimersByTimeAsync(0);
    expect((await pending).status).toBe(503);
    expect(server.engine.completions[0]?.signal?.aborted).toBe(true);
    expect(server.engine.left).toBe(1);
  });

  test('aborting in mid-stream ends the work and the body', async () => {
    server.engine.onComplete = endless;
    const abort = new AbortController();
    const response = await server.send(CHAT, ask({ stream: true }), { signal: abort.signal });
    const sent = record(response);
    await vi.advanceTimersByTimeAsync(2500);
    abort.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(server.engine.left).toBe(1);
    expect(sent.ended()).toBe(true);
    expect(sent.text()).not.toContain('error');
    expect(sent.text()).not.toContain('[DONE]');
  });

  test('IndexedDB’s AbortError is not the sender’s: it is told', async () => {
    const aborted = () => Promise.reject(new DOMException('The transaction was aborted.', 'AbortError'));
    server.store.onOpen = aborted;
    const error = { code: 500, type: 'server_error', message: 'The transaction was aborted.', param: null };
    expect(await (await server.send(CHAT, ask())).json()).toEqual({ error });

    const open = new Gate();
    server.store.onOpen = () => open.promise.then(aborted);
    const asked = server.send(CHAT, ask({ stream: true }), { headers: { 'X-Conversation-Id': 'a' } });
    await vi.advanceTimersByTimeAsync(30_000);
    const begun = await asked;
    open.open();
    expect(begun.status).toBe(200);
    expect(parseEvents(await begun.text())).toEqual([{ error }]);
  });

  test.each([true, false])('cancelling the body ends the work (stream: %s)', async (stream) => {
    server.engine.onComplete = stream
      ? endless
      : async function* ({ signal }) {
          await new Promise((_, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason));
          });
          yield CHAT_RESULT;
        };
    const pending = server.send(CHAT, ask({ stream }));
    await vi.advanceTimersByTimeAsync(30_000);
    const response = await pending;
    await response.body?.cancel('tab closed');
    await vi.advanceTimersByTimeAsync(0);
    expect(server.engine.completions[0]?.signal?.aborted).toBe(true);
    expect(server.engine.left).toBe(1);
  });

  test('an aborted request never reaches the engine', async () => {
    const response = await server.send(CHAT, ask(), { signal: AbortSignal.abort() }).catch((error) => error);
    expect(response).toBeDefined();
    expect(server.engine.completions).toEqual([]);
  });

  test('a JSON answer leaves the engine’s generator after its one result', async () => {
    await server.send(CHAT, ask());
    await vi.advanceTimersByTimeAsync(0);
    expect(server.engine.left).toBe(1);
  });
});
