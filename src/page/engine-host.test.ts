/** A page's engine worker that does not come, does not begin, or is ended by the browser, is replaced. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeLocks } from '../../test/support/fake-locks.ts';
import type { EnginePage, EngineSettings, RuntimeManifest } from '../protocol.ts';
import { aliveLock, holdLock, PROTOCOL_VERSION } from '../transport/locks.ts';

const BASE = 'https://site.example/';
const SETTINGS = {} as EngineSettings;
const MANIFEST: RuntimeManifest = {
  version: 'test',
  protocol: PROTOCOL_VERSION,
  files: { 'worker.js': 'worker-1.js', 'wllama.wasm': 'wllama-1.wasm' },
};

/** As the browser's, at the other end of a channel. */
class FakeWorker extends EventTarget {
  static started: FakeWorker[] = [];
  readonly #channel = new MessageChannel();
  terminated = false;
  elected = false;
  /** Times that it was to take a host's place, and whether it does. */
  takeOvers = 0;
  takes: Promise<boolean> = Promise.resolve(false);
  /** What it holds while it hosts. */
  die = () => {};
  constructor() {
    super();
    this.#channel.port1.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent('message', { data }));
    FakeWorker.started.push(this);
  }
  postMessage(message: unknown, transfer: Transferable[] = []) {
    this.#channel.port1.postMessage(message, transfer as []);
  }
  terminate() {
    this.terminated = true;
    this.#channel.port1.close();
    this.die();
  }
  /** Its script has come. @param begins whether its code comes as well, once it is elected */
  load(begins: boolean) {
    const start = async (_base: string, _solo: boolean, page: EnginePage) => {
      await page.onElected();
      this.elected = true;
      if (!begins) return new Promise(() => {});
      const host = crypto.randomUUID();
      const alive = await holdLock(aliveLock(host));
      this.die = alive.release;
      return host;
    };
    const takeOver = () => {
      this.takeOvers++;
      return this.takes;
    };
    expose({ start, isIdle: () => true, takeOver }, this.#channel.port2);
  }
}

const standing = async () => {
  const { createEngineHost } = await import('./engine-host.ts');
  const listener = { settings: () => SETTINGS, onHosting: vi.fn(), onReplaced: vi.fn() };
  const engineHost = createEngineHost(BASE, false, SETTINGS, listener);
  engineHost.stand();
  return { engineHost, listener };
};
const worker = async (number: number) => {
  await vi.waitUntil(() => FakeWorker.started.length >= number);
  return FakeWorker.started[number - 1] as FakeWorker;
};

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal('__LLAMATAB_VERSION__', 'test');
  vi.stubGlobal('navigator', { locks: new FakeLocks() });
  vi.stubGlobal('Worker', FakeWorker);
  vi.stubGlobal('fetch', async () => Response.json(MANIFEST));
  FakeWorker.started = [];
});
afterEach(() => {
  for (const worker of FakeWorker.started) worker.terminate();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('stands again when the browser has ended the worker that hosted', async () => {
  const { engineHost, listener } = await standing();
  const first = await worker(1);
  first.load(true);
  await vi.waitUntil(() => listener.onHosting.mock.calls.length === 1);
  expect(engineHost.hosting).toBe(true);
  first.die();
  const second = await worker(2);
  expect([first.terminated, engineHost.hosting]).toEqual([true, false]);
  const hostsAgain = engineHost.whenHosting();
  expect(listener.onReplaced).toHaveBeenCalledOnce();
  second.load(true);
  await hostsAgain;
  expect(listener.onHosting).toHaveBeenCalledTimes(2);
});

it.each([
  ['whose script neither comes nor fails', async () => {}],
  [
    'that is elected, and whose code neither comes nor fails',
    async (late: FakeWorker) => {
      late.load(false);
      await vi.waitUntil(() => late.elected);
    },
  ],
])('replaces a worker %s, and has more patience with the next', async (_, begin) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { engineHost } = await standing();
  for (const [index, seconds] of [15, 30].entries()) {
    const late = await worker(index + 1);
    await begin(late);
    // Vitest's waiting moves its timers on as well, by less than a second.
    await vi.advanceTimersByTimeAsync((seconds - 1) * 1000);
    expect(late.terminated).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(late.terminated).toBe(true);
  }
  (await worker(3)).load(true);
  await engineHost.whenHosting();
  expect(vi.getTimerCount()).toBe(0);
});

it('counts how often it took a host’s place, not how often it was told that the host is silent', async () => {
  const { engineHost } = await standing();
  const candidate = await worker(1);
  candidate.load(false);
  await vi.waitUntil(() => candidate.elected);
  const told = async (times: number) => {
    for (let i = 0; i < times; i++) engineHost.takeOver(undefined);
    // What was posted has come by then.
    await new Promise((resolve) => setTimeout(resolve));
    await new Promise((resolve) => setTimeout(resolve));
  };
  // Another tab was faster, each time.
  for (let round = 1; round <= 5; round++) {
    await told(3);
    await vi.waitUntil(() => candidate.takeOvers === round);
  }
  candidate.takes = Promise.resolve(true);
  for (let round = 6; round <= 8; round++) {
    await told(3);
    await vi.waitUntil(() => candidate.takeOvers === round);
  }
  await told(3);
  expect(candidate.takeOvers).toBe(8);
});
