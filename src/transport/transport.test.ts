import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks } from '../../test/support/fake-locks.ts';
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { Delivered, TrunkReply, WhoHostsReply } from '../protocol.ts';
import { connectToHost, type HostConnection } from './caller.ts';
import { unable, WINDOW } from './frames.ts';
import { createHostEndpoint, type Handle, STALL_LIMIT } from './host.ts';
import { aliveLock, callerLock, holdLock, hostLock, PROTOCOL_VERSION } from './locks.ts';
import { createRelay } from './relay.ts';

const URL_ = 'https://site.example/v1/chat/completions';
const ports: MessagePort[] = [];

/** A host and a trunk to it, as in two contexts. `die` does what closing a tab does: it frees the locks, and sends nothing. */
async function host(handle: Handle, caller = 'caller') {
  const id = crypto.randomUUID();
  const alive = await holdLock(aliveLock(id));
  const endpoint = createHostEndpoint(id, handle);
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  endpoint.accept(port2);
  const connection = (await connectToHost(port1, caller)) as HostConnection;
  return { connection, endpoint, die: alive.release };
}

type Host = Awaited<ReturnType<typeof host>>;

const post = (body: BodyInit, init: RequestInit = {}) => new Request(URL_, { method: 'POST', body, ...init });
/** Through a relay that knows this host only. */
const send = (connection: HostConnection, request: Request, files?: readonly File[]) =>
  createRelay(async () => connection).send(request, request.url, 'a page', { files });
/** A relay to these hosts, one after the other as they die; after the last there is none. */
const relayTo = (...hosts: { connection: HostConnection }[]) =>
  createRelay(async () => {
    while (hosts[0]?.connection.closed.aborted) hosts.shift();
    if (hosts[0] === undefined) throw new LlamatabError('unavailable_error', 'There is no host.');
    return hosts[0].connection;
  });
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

/** A response whose body the test writes. */
function openResponse(init: ResponseInit = {}) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let onCancel!: () => void;
  const cancelled = new Promise<void>((resolve) => {
    onCancel = resolve;
  });
  const body = new ReadableStream<Uint8Array>({
    start: (c) => {
      controller = c;
    },
    cancel: () => onCancel(),
  });
  const write = (text: string) => controller.enqueue(new TextEncoder().encode(text));
  return { response: new Response(body, init), write, controller, cancelled };
}

let callerLifeline: { release(): void };
beforeEach(async () => {
  vi.stubGlobal('navigator', { locks: new FakeLocks() });
  vi.stubGlobal('__LLAMATAB_VERSION__', 'test');
  callerLifeline = await holdLock(callerLock('caller'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const port of ports.splice(0)) port.close();
  vi.unstubAllGlobals();
});

describe('a request over a trunk', () => {
  it('arrives as it was sent, and its answer comes back whole', async () => {
    const { connection } = await host(async (request) => {
      expect(request.method).toBe('POST');
      expect(request.url).toBe(URL_);
      return new Response(await request.bytes(), {
        status: 418,
        headers: { 'X-Echo': request.headers.get('X-In') ?? '' },
      });
    });
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
    const response = await send(connection, post(bytes, { headers: { 'X-In': 'yes' } }));
    expect(response.status).toBe(418);
    expect(response.headers.get('X-Echo')).toBe('yes');
    expect(await response.bytes()).toEqual(bytes);
  });

  it('keeps methods without a body, and statuses that may not have one', async () => {
    const { connection } = await host(
      async ({ method }) => new Response(null, { status: method === 'GET' ? 204 : 200 }),
    );
    const response = await send(connection, new Request(URL_));
    expect([response.status, response.body]).toEqual([204, null]);
  });

  it('streams chunks as they come', async () => {
    const open = openResponse();
    const { connection } = await host(async () => open.response);
    const response = await send(connection, post('{}'));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (const text of ['one', 'two']) {
      open.write(text);
      const { value } = await reader.read();
      expect(new TextDecoder().decode(value)).toBe(text);
    }
    open.controller.close();
    expect((await reader.read()).done).toBe(true);
  });

  it('is not read faster than its reader reads', async () => {
    const CHUNK = 2 ** 20;
    const chunks = 64;
    let produced = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (produced === chunks) return controller.close();
          controller.enqueue(new Uint8Array(CHUNK).fill(produced++));
        },
      },
      { highWaterMark: 0 },
    );
    const { connection } = await host(async ({ method }) => new Response(method === 'HEAD' ? null : body));
    const response = await send(connection, post('{}'));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await vi.waitFor(() => expect(produced * CHUNK).toBeGreaterThan(WINDOW));
    // Without a limit, all of it would arrive while this request is answered.
    expect((await send(connection, new Request(URL_, { method: 'HEAD' }))).status).toBe(200);
    expect(produced * CHUNK).toBeLessThanOrEqual(WINDOW + 2 * CHUNK);
    let sum = 0;
    for (let chunk = 0; ; chunk++) {
      const { done, value } = await reader.read();
      if (done) break;
      expect(value[0]).toBe(chunk);
      sum += value.length;
      expect(produced * CHUNK - sum).toBeLessThanOrEqual(WINDOW + 2 * CHUNK);
    }
    expect(sum).toBe(chunks * CHUNK);
  });

  it('is given up when its reader has stopped reading', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let cancelled = false;
    let produced = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          controller.enqueue(new Uint8Array(2 ** 20));
          produced++;
        },
        cancel: () => {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    const { connection } = await host(async ({ method }) => new Response(method === 'HEAD' ? null : body));
    const response = await send(connection, post('{}'));
    // The host waits for its reader once it has sent more than the window.
    while (produced * 2 ** 20 <= WINDOW) await send(connection, new Request(URL_, { method: 'HEAD' }));
    vi.advanceTimersByTime(STALL_LIMIT - 1);
    await send(connection, new Request(URL_, { method: 'HEAD' }));
    expect(cancelled).toBe(false);
    vi.advanceTimersByTime(1);
    await expect(response.bytes()).rejects.toThrow('nothing of it was read for 5 minutes');
    expect(cancelled).toBe(true);
  });

  it('carries files beside its body', async () => {
    let seen: readonly File[] | undefined;
    const { connection } = await host(async (request, attachments) => {
      seen = attachments?.files;
      return new Response(await request.text());
    });
    const response = await send(connection, post('{"id":"m"}'), [new File(['abc'], 'm.gguf')]);
    expect(await response.text()).toBe('{"id":"m"}');
    // Node's clone of a File is a Blob.
    expect(await seen?.[0]?.text()).toBe('abc');
  });

  it('does not take away the buffer behind a chunk', async () => {
    const shared = new TextEncoder().encode('abcdef');
    const { connection } = await host(
      async () =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(shared.subarray(0, 3));
              controller.enqueue(shared.subarray(3));
              controller.close();
            },
          }),
        ),
    );
    expect(await (await send(connection, post('{}'))).text()).toBe('abcdef');
    expect(shared.byteLength).toBe(6);
  });

  it('cancels the host when the reader stops', async () => {
    const open = openResponse();
    let signal!: AbortSignal;
    const { connection } = await host(async (request) => {
      signal = request.signal;
      return open.response;
    });
    const relay = relayTo({ connection });
    const response = await relay.send(post('{}'), URL_, 'a page');
    expect(relay.underWay).toBe(1);
    const abort = vi.spyOn(AbortController.prototype, 'abort');
    const cancelling = response.body?.cancel();
    // An event within this call would stop WebKit's service worker for good.
    expect(abort).not.toHaveBeenCalled();
    await cancelling;
    await open.cancelled;
    expect(signal.aborted).toBe(true);
    expect(relay.underWay).toBe(0);
  });

  it('cancels the host when the caller aborts, before the answer and during it', async () => {
    const open = openResponse();
    const aborted: Promise<void>[] = [];
    const { connection } = await host((request) => {
      aborted.push(new Promise((resolve) => request.signal.addEventListener('abort', () => resolve())));
      return aborted.length === 1 ? new Promise(() => {}) : Promise.resolve(open.response);
    });
    for (const phase of ['before', 'within']) {
      const abort = new AbortController();
      const answer = send(connection, post('{}', { signal: abort.signal }));
      if (phase === 'within') {
        const response = await answer;
        abort.abort();
        await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' });
      } else {
        await vi.waitUntil(() => aborted.length === 1);
        abort.abort();
        await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
      }
      await aborted.at(-1);
    }
  });

  it('aborts what a caller asked for when the caller dies', async () => {
    const open = openResponse();
    const { connection } = await host(async () => open.response);
    const response = await send(connection, post('{}'));
    callerLifeline.release();
    await open.cancelled;
    // One who is there all the same does not wait for ever, or take the beginning for the whole.
    await expect(response.text()).rejects.toThrow('gone');
  });

  it('is under way at the host until its answer is complete', async () => {
    const open = openResponse();
    const { connection, endpoint } = await host(async () => open.response);
    const response = await send(connection, post('{}'));
    expect(endpoint.underWay).toEqual([URL_]);
    open.controller.close();
    await response.text();
    expect(endpoint.underWay).toEqual([]);
  });

  it('ends with an error when the server throws, or its stream fails', async () => {
    const open = openResponse();
    const { connection } = await host(async ({ url }) => {
      if (url.endsWith('throws')) throw new Error('the server threw');
      return open.response;
    });
    const failed = await send(connection, new Request(`${URL_}/throws`));
    expect([failed.status, (await failed.json()).error.message]).toEqual([500, 'the server threw']);
    const response = await send(connection, post('{}'));
    open.controller.error(new Error('the stream failed'));
    await expect(response.text()).rejects.toThrow('the stream failed');
  });

  it('forwards further trunks', async () => {
    const { connection } = await host(async () => new Response('here'));
    const { port1, port2 } = new MessageChannel();
    ports.push(port1, port2);
    connection.forward(port2);
    const further = (await connectToHost(port1, 'caller')) as HostConnection;
    expect(further.host).toBe(connection.host);
    expect(await (await send(further, post('{}'))).text()).toBe('here');
  });

  describe('to something else', () => {
    const answered = (...replies: (TrunkReply | WhoHostsReply)[]) => {
      const { port1, port2 } = new MessageChannel();
      ports.push(port1, port2);
      for (const reply of replies) port2.postMessage(reply);
      return port1;
    };
    const hello = (version: number) => ({ type: 'hello' as const, version, host: 'id' });

    it('fails with what keeps a page from hosting, which was a candidate first', async () => {
      const onCandidate = vi.fn();
      const trunk = answered({ type: 'candidate' }, unable(reloadNeeded('Its files are gone')));
      await expect(connectToHost(trunk, 'caller', onCandidate)).rejects.toMatchObject({
        type: 'unavailable_error',
        message: 'Its files are gone. Reload the page.',
        details: { reload: true },
      });
      expect(onCandidate).toHaveBeenCalledOnce();
    });

    it('says to reload where the host is of a later version, and waits for another where it is of an earlier one', async () => {
      await expect(connectToHost(answered(hello(PROTOCOL_VERSION + 1)), 'caller')).rejects.toMatchObject({
        type: 'unavailable_error',
        message: expect.stringMatching(/later version.*Reload the page\.$/),
        details: { reload: true },
      });
      expect(await connectToHost(answered(hello(PROTOCOL_VERSION - 1)), 'caller')).toBeNull();
    });
  });
});

describe('the relay', () => {
  it('sends a request again, body and all, when the host dies before it answers', async () => {
    const identities: unknown[] = [];
    const first = await host((_, { identity }) => {
      identities.push(identity);
      return new Promise(() => {});
    });
    const second = await host(async (request, { identity, delivered }) => {
      identities.push(identity);
      expect(delivered).toBeUndefined();
      return new Response(`second: ${await request.text()}`);
    });
    const answer = relayTo(first, second).send(post('the body'), URL_, 'a page');
    await vi.waitUntil(() => identities.length === 1);
    first.die();
    expect(await (await answer).text()).toBe('second: the body');
    expect(identities[1]).toEqual(identities[0]);
    expect(identities[0]).toMatchObject({ seed: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });

  it('goes on in the same response when the host dies in the middle of it', async () => {
    const [one, two] = [openResponse({ status: 201 }), openResponse({ status: 201 })];
    const told: (Delivered | undefined)[] = [];
    const hosts = [one, two].map(({ response }) =>
      host(async (_, { delivered }) => {
        told.push(delivered);
        return response;
      }),
    );
    const [first, second] = await Promise.all(hosts);
    const relay = relayTo(first as Host, second as Host);
    const response = await relay.send(post('{}'), URL_, 'a page');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (const part of ['one ', 'two ']) {
      one.write(part);
      const { value } = await reader.read();
      expect(text(value)).toBe(part);
      // What the reader does with its bytes changes nothing.
      value?.fill(0);
    }
    first?.die();
    const next = reader.read();
    two.write('three');
    expect(text((await next).value)).toBe('three');
    two.controller.close();
    expect((await reader.read()).done).toBe(true);
    expect(told[0]).toBeUndefined();
    expect([told[1]?.status, text(told[1]?.bytes)]).toEqual([201, 'one two ']);
    expect(relay.underWay).toBe(0);
  });

  it('breaks the answer off where the next host can’t go on, or there is none', async () => {
    for (const next of [async () => Promise.reject(new Error('It is another answer.')), null]) {
      const open = openResponse();
      const first = await host(async () => open.response);
      const relay = relayTo(first, ...(next ? [await host(next)] : []));
      const response = await relay.send(post('{}'), URL_, 'a page');
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      open.write('one');
      await reader.read();
      first.die();
      await expect(reader.read()).rejects.toThrow(next ? 'It is another answer.' : 'There is no host.');
      expect(relay.underWay).toBe(0);
    }
  });

  it('tells the next host that it was sent before', async () => {
    const told: (boolean | undefined)[] = [];
    const first = await host((_, attachments) => {
      told.push(attachments?.again);
      first.die();
      return new Promise(() => {});
    });
    const second = await host(async (_, attachments) => {
      told.push(attachments?.again);
      return new Response('answer');
    });
    const response = await relayTo(first, second).send(post('{}'), URL_, 'a page');
    expect([await response.text(), told]).toEqual(['answer', [false, true]]);
  });

  it('does not send files twice once an answer has begun', async () => {
    const open = openResponse();
    const [first, second] = [await host(async () => open.response), await host(async () => new Response('again'))];
    const response = await relayTo(first, second).send(post('{}'), URL_, 'a page', {
      files: [new File(['abc'], 'm.gguf')],
    });
    first.die();
    await expect(response.text()).rejects.toThrow('Add them again');
  });

  it('goes on from host to host as long as each adds something', async () => {
    const parts = ['a', 'b', 'c', 'd', 'e', 'f'];
    const hosts: Host[] = [];
    for (const part of parts) {
      const open = openResponse();
      const own = await host(async () => open.response);
      hosts.push(own);
      open.write(part);
      if (part === 'f') open.controller.close();
    }
    const response = await relayTo(...hosts).send(post('{}'), URL_, 'a page');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (const [i, part] of parts.entries()) {
      expect(text((await reader.read()).value)).toBe(part);
      if (i < parts.length - 1) hosts[i]?.die();
    }
    expect((await reader.read()).done).toBe(true);
  });

  it('gives up after three hosts that added nothing', async () => {
    let asked = 0;
    const open = openResponse();
    const first = await host(async () => open.response);
    let current = first;
    const relay = createRelay(async () => {
      if (current.connection.closed.aborted) {
        const own = await host(() => {
          asked++;
          own.die();
          return new Promise(() => {});
        });
        current = own;
      }
      return current.connection;
    });
    const response = await relay.send(post('{}'), URL_, 'a page');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    open.write('one');
    await reader.read();
    first.die();
    await expect(reader.read()).rejects.toThrow('lost 3 times');
    expect(asked).toBe(2);
  });

  it('does not let one request kill every host', async () => {
    let hosts = 0;
    const relay = createRelay(async () => {
      hosts++;
      const { connection, die } = await host(() => {
        die();
        return new Promise(() => {});
      });
      return connection;
    });
    const response = await relay.send(post('{}'), URL_, 'a page');
    expect([response.status, hosts]).toEqual([503, 3]);
    expect((await response.json()).error.type).toBe('unavailable_error');
  });

  it('holds the end of an answer back where it has to wait, until the caller goes', async () => {
    for (const how of ['end', 'break off', 'cancel'] as const) {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const abort = new AbortController();
      const { connection } = await host(async () => new Response('whole'));
      const relay = createRelay(async () => connection);
      const options = { signal: abort.signal, beforeEnd: () => released };
      const response = await relay.send(post('{}'), URL_, 'a page', options);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      expect(text((await reader.read()).value)).toBe('whole');
      const next = reader.read();
      expect(relay.underWay).toBe(1);
      if (how === 'break off') abort.abort(new TypeError('frozen'));
      if (how === 'cancel') await reader.cancel();
      release();
      if (how === 'break off') await expect(next).rejects.toThrow('frozen');
      else expect((await next).done).toBe(true);
      await relay.whenIdle();
    }
  });

  it('tells when nothing is under way', async () => {
    const open = openResponse();
    const { connection } = await host(async () => open.response);
    const relay = createRelay(async () => connection);
    await relay.whenIdle();
    const response = await relay.send(post('{}'), URL_, 'a page');
    let idle = false;
    const told = relay.whenIdle().then(() => {
      idle = true;
    });
    open.write('one');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    expect([relay.underWay, idle]).toEqual([1, false]);
    open.controller.close();
    await told;
    expect(relay.underWay).toBe(0);
  });

  it('answers with an envelope when there is no host', async () => {
    const relay = createRelay(() => Promise.reject(new LlamatabError('unavailable_error', 'There is no host.')));
    const response = await relay.send(post('{}'), URL_, 'a page');
    expect(response.status).toBe(503);
    expect(response.headers.get('X-Llamatab')).toBe('test');
    expect(await response.json()).toEqual({
      error: { code: 503, message: 'There is no host.', type: 'unavailable_error', param: null },
    });
  });

  it('rejects when the caller aborts', async () => {
    for (const findHost of [
      async () => (await host(() => new Promise(() => {}))).connection,
      () => new Promise<never>(() => {}),
    ]) {
      const abort = new AbortController();
      const answer = createRelay(findHost).send(post('{}', { signal: abort.signal }), URL_, 'a page');
      abort.abort();
      await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    }
  });
});

describe('locks', () => {
  const HOST = hostLock('https://site.example/');

  it('go to the next in the queue, and a holder learns that its lock was stolen', async () => {
    const first = await holdLock(HOST);
    const second = holdLock(HOST);
    first.release();
    const { stolen } = await second;
    navigator.locks.request(HOST, { steal: true }, () => {});
    await stolen;
  });

  it('give up a place in the queue', async () => {
    await holdLock(HOST);
    const abort = new AbortController();
    const waiting = holdLock(HOST, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
