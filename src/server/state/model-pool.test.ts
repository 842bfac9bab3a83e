import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EngineLost } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { CatalogModel } from '../../models/models.ts';
import { CATALOG, CHAT_MODEL, EMBEDDING_MODEL } from '../testing/catalog.ts';
import { FakeEngine, type FakeModel } from '../testing/fake-engine.ts';
import { FakeStore } from '../testing/fake-store.ts';
import { Gate } from '../testing/gate.ts';
import { ALWAYS_ADMITTED, MAX_WAITING, ModelPool, type ModelState } from './model-pool.ts';

const { signal } = new AbortController();
const borrower = { signal, autoload: true };
let engine: FakeEngine;
let store: FakeStore;
let pool: ModelPool;
let states: ModelState['value'][];

beforeEach(() => {
  engine = new FakeEngine();
  store = new FakeStore(CATALOG);
  pool = new ModelPool(store, engine);
  states = [];
  pool.subscribe((_, state) => states.push(state.value));
});

/** What comes of a request that ends as soon as it has its model. */
const acquire = (model: CatalogModel, signal: AbortSignal) =>
  pool.lend(model, { signal, autoload: true }, (loaded) => loaded);

const failure = () => {
  const state = pool.state(CHAT_MODEL.id);
  return state.value === 'unloaded' ? state.error?.message : undefined;
};

describe('lend', () => {
  test('downloads and loads once for all requests', async () => {
    const acquired = await Promise.all(
      Array.from({ length: 20 }, () => acquire(CHAT_MODEL, new AbortController().signal)),
    );
    expect(new Set(acquired).size).toBe(1);
    expect([store.opens, engine.loads.length]).toEqual([1, 1]);
    await acquire(CHAT_MODEL, signal);
    expect(engine.loads).toEqual([
      { id: CHAT_MODEL.id, files: [expect.any(Blob)], kind: 'completion', contextLength: 2048 },
    ]);
  });

  test('gives the engine a model’s draft apart from its own files', async () => {
    const [file] = CHAT_MODEL.files;
    if (file === undefined) throw new Error();
    const drafted = { ...CHAT_MODEL, files: [file, { ...file, name: 'draft.gguf' }], draft: 'draft.gguf' };
    const blobs = [new Blob(['model']), new Blob(['draft'])];
    store.open = async () => blobs;
    await acquire(drafted, signal);
    expect(engine.loads[0]?.files).toEqual([blobs[0]]);
    expect(engine.loads[0]?.draft).toBe(blobs[1]);
  });

  test('loads models side by side, those for embeddings with pooling', async () => {
    await Promise.all([acquire(CHAT_MODEL, signal), acquire(EMBEDDING_MODEL, signal)]);
    expect(engine.loads.map(({ kind }) => kind)).toEqual(['completion', 'embedding']);
  });

  test('goes through downloading, if something is missing, and loading', async () => {
    store.onOpen = async (report) => {
      report({ loaded: 10, total: 100, speed: 5 });
      report({ loaded: 100, total: 100, speed: 0 });
    };
    await acquire(CHAT_MODEL, signal);
    expect(states).toEqual(['loading', 'downloading', 'downloading', 'loading', 'loaded']);
  });

  test('does not call opening a stored model a download', async () => {
    store.onOpen = async (report) => report({ loaded: 100, total: 100, speed: 0 });
    await acquire(CHAT_MODEL, signal);
    expect(states).toEqual(['loading', 'loaded']);
  });

  test('aborting one request ends only its own wait', async () => {
    const download = new Gate();
    store.onOpen = () => download.promise;
    const abort = new AbortController();
    const [impatient, patient] = [acquire(CHAT_MODEL, abort.signal), acquire(CHAT_MODEL, signal)];
    abort.abort();
    await expect(impatient).rejects.toMatchObject({ name: 'AbortError' });
    download.open();
    expect((await patient).info.build).toBe('b11364-46ca246');
  });

  test('the load goes on when all its requests are gone', async () => {
    const download = new Gate();
    store.onOpen = () => download.promise;
    const abort = new AbortController();
    const waiting = acquire(CHAT_MODEL, abort.signal);
    abort.abort();
    await expect(waiting).rejects.toThrow();
    download.open();
    await pool.load(CHAT_MODEL).loaded;
    expect(states.at(-1)).toBe('loaded');
    expect(store.opens).toBe(1);
  });

  test('an aborted request loads nothing', async () => {
    await expect(acquire(CHAT_MODEL, AbortSignal.abort())).rejects.toThrow();
    expect(store.opens).toBe(0);
  });
});

describe('a failure', () => {
  test('is reported to all waiting requests, remembered, and retried by the next', async () => {
    store.onOpen = () => Promise.reject(new LlamatabError('unavailable_error', 'piece 2 is missing (404)'));
    const waiting = [acquire(CHAT_MODEL, signal), acquire(CHAT_MODEL, signal)];
    for (const each of waiting) await expect(each).rejects.toMatchObject({ type: 'unavailable_error' });
    expect(failure()).toBe('piece 2 is missing (404)');
    store.onOpen = async () => {};
    await acquire(CHAT_MODEL, signal);
    expect(states).toEqual(['loading', 'unloaded', 'loading', 'loaded']);
  });

  test('of the engine too', async () => {
    engine.onLoad = () => Promise.reject(new LlamatabError('server_error', 'bad magic'));
    await expect(acquire(CHAT_MODEL, signal)).rejects.toThrow('bad magic');
    expect(failure()).toBe('bad magic');
  });

  test('under a loaded model drops it: the next request loads it again', async () => {
    await acquire(CHAT_MODEL, signal);
    engine.loaded[0]?.lostGate.open(new LlamatabError('server_error', 'out of memory'));
    await Promise.resolve();
    expect(failure()).toBe('out of memory');
    await acquire(CHAT_MODEL, signal);
    expect(engine.loads).toHaveLength(2);
    expect(pool.state(CHAT_MODEL.id).value).toBe('loaded');
  });
});

describe('unload', () => {
  test('frees a loaded model', async () => {
    await acquire(CHAT_MODEL, signal);
    pool.unload(CHAT_MODEL);
    expect(engine.loaded[0]?.unloaded).toBe(true);
    expect(pool.state(CHAT_MODEL.id)).toEqual({ value: 'unloaded' });
    // The engine may report the loss of a model that was unloaded: not a failure.
    engine.loaded[0]?.lostGate.open(new LlamatabError('unavailable_error', 'unloaded'));
    await Promise.resolve();
    expect(failure()).toBeUndefined();
  });

  test('ends a download and rejects the requests that wait', async () => {
    let seen: AbortSignal | undefined;
    store.onOpen = (_, signal) => {
      seen = signal;
      return new Promise(() => {});
    };
    const waiting = acquire(CHAT_MODEL, signal);
    pool.unload(CHAT_MODEL);
    await expect(waiting).rejects.toMatchObject({ type: 'unavailable_error' });
    expect(seen?.aborted).toBe(true);
    expect(pool.state(CHAT_MODEL.id)).toEqual({ value: 'unloaded' });
  });

  test('frees what an engine loads all the same', async () => {
    const loading = new Gate();
    engine.onLoad = () => loading.promise;
    const waiting = acquire(CHAT_MODEL, signal);
    await expect.poll(() => engine.loads.length).toBe(1);
    pool.unload(CHAT_MODEL);
    await expect(waiting).rejects.toThrow('was unloaded');
    loading.open();
    await expect.poll(() => engine.loaded[0]?.unloaded).toBe(true);
  });

  test('of a model that is not loaded does nothing', () => {
    pool.unload(CHAT_MODEL);
    expect(states).toEqual([]);
  });
});

describe('the memory budget', () => {
  const models = ['a', 'b', 'c', 'd'].map((id): CatalogModel => ({ ...CHAT_MODEL, id, aliases: [] }));
  const [a, b, c] = models as [CatalogModel, CatalogModel, CatalogModel];
  const loaded = () => models.filter(({ id }) => pool.state(id).value === 'loaded').map(({ id }) => id);
  /** A request that lasts until the gate opens. */
  const use = (model: CatalogModel) => {
    const gate = new Gate();
    return { done: pool.lend(model, borrower, () => gate.promise), end: () => gate.open() };
  };
  const budget = (memory: number) => {
    store = new FakeStore({ ...CATALOG, models });
    pool = new ModelPool(store, engine, { memory });
  };
  /** All that can happen without the test has happened. */
  const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

  beforeEach(() => budget(250));

  test('is for models beside each other; the least recently used makes room', async () => {
    for (const model of [a, b, a, c]) await acquire(model, signal);
    expect(loaded()).toEqual(['a', 'c']);
    expect(engine.loads.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(engine.loaded[1]?.unloaded).toBe(true);
  });

  test('a model in use is waited for, not unloaded', async () => {
    const uses = [use(a), use(b)];
    await expect.poll(loaded).toEqual(['a', 'b']);
    const waiting = acquire(c, signal);
    await settled();
    expect(loaded()).toEqual(['a', 'b']);
    uses[1]?.end();
    await waiting;
    expect(loaded()).toEqual(['a', 'c']);
    uses[0]?.end();
    await Promise.all(uses.map(({ done }) => done));
  });

  test('the wait for room ends with an unload of the model that waits', async () => {
    const uses = [use(a), use(b)];
    await expect.poll(loaded).toEqual(['a', 'b']);
    const waiting = acquire(c, signal);
    await settled();
    pool.unload(c);
    await expect(waiting).rejects.toThrow('was unloaded while it was loading');
    for (const { end } of uses) end();
    await acquire(c, signal);
    expect(loaded()).toContain('c');
  });

  test('an aborted request keeps nothing in use', async () => {
    const abort = new AbortController();
    const uses = [
      use(a),
      pool.lend(
        b,
        { signal: abort.signal, autoload: true },
        () =>
          new Promise((_, reject) => {
            abort.signal.addEventListener('abort', () => reject(abort.signal.reason));
          }),
      ),
    ] as const;
    await expect.poll(loaded).toEqual(['a', 'b']);
    abort.abort();
    await expect(uses[1]).rejects.toMatchObject({ name: 'AbortError' });
    await acquire(c, signal);
    expect(loaded()).toEqual(['a', 'c']);
    uses[0].end();
  });

  test('a stream that is left keeps nothing in use', async () => {
    const stream = pool.lendEach(a, borrower, async function* () {
      yield 1;
      yield 2;
    });
    await acquire(b, signal);
    expect((await stream.next()).value).toBe(1);
    const waiting = acquire(c, signal);
    await waiting;
    // `b` was free, `a` in use.
    expect(loaded()).toEqual(['a', 'c']);
    await stream.return(undefined);
    await acquire(b, signal);
    // Which was used last.
    expect(loaded()).toEqual(['a', 'b']);
  });

  test('pinned models stay: the error names them', async () => {
    await acquire(a, signal);
    await acquire(b, signal);
    await store.pin(a);
    await store.pin(b);
    await expect(acquire(c, signal)).rejects.toThrow(
      "The model 'c' takes 1 MiB of memory. Of the 1 MiB that there are for models, 1 MiB are taken by 'a', 'b', pinned: " +
        'unpin or unload one, or allow more with serve({ memory }).',
    );
    expect(loaded()).toEqual(['a', 'b']);
    await store.pin(b, false);
    await acquire(c, signal);
    expect(loaded()).toEqual(['a', 'c']);
  });

  test('a model that alone takes more is refused where the site set it, else tried', async () => {
    engine.onMemory = async () => 300 * 2 ** 20;
    budget(200 * 2 ** 20);
    await expect(acquire(a, signal)).rejects.toThrow(
      "The model 'a' takes 300 MiB of memory, and this site allows 200 MiB (serve({ memory }))",
    );
    pool = new ModelPool(store, engine);
    engine.onMemory = async () => 2 ** 50;
    await acquire(a, signal);
    await acquire(b, signal);
    expect(loaded()).toEqual(['b']);
  });

  test('requests get room in their order', async () => {
    budget(100);
    const first = use(a);
    await expect.poll(loaded).toEqual(['a']);
    const order: string[] = [];
    const waiting = [b, c].map((model) => pool.lend(model, borrower, () => void order.push(model.id)));
    await settled();
    first.end();
    await Promise.all(waiting);
    expect(order).toEqual(['b', 'c']);
  });
});

describe('sleep', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    store = new FakeStore(CATALOG);
    pool = new ModelPool(store, engine, { sleepIdleSeconds: 60 });
  });
  afterEach(() => vi.useRealTimers());

  test('comes after so long without a request, and ends with the next', async () => {
    await acquire(CHAT_MODEL, signal);
    await vi.advanceTimersByTimeAsync(40_000);
    await acquire(CHAT_MODEL, signal);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(pool.state(CHAT_MODEL.id).value).toBe('loaded');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(pool.state(CHAT_MODEL.id)).toEqual({ value: 'sleeping', known: {} });
    expect(engine.loaded[0]?.unloaded).toBe(true);
    await acquire(CHAT_MODEL, signal);
    expect(pool.state(CHAT_MODEL.id).value).toBe('loaded');
  });

  test('not while a request lasts, nor to a pinned model', async () => {
    const gate = new Gate();
    const using = pool.lend(CHAT_MODEL, borrower, () => gate.promise);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(pool.state(CHAT_MODEL.id).value).toBe('loaded');
    await store.pin(CHAT_MODEL);
    gate.open();
    await using;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(pool.state(CHAT_MODEL.id).value).toBe('loaded');
  });
});

describe('lendEach on an engine that is lost', () => {
  /** Runs `work` with each model that is lent, and tells what it gave. */
  async function run(work: (model: FakeModel, attempt: number) => AsyncIterable<string>) {
    const given: string[] = [];
    let attempt = 0;
    const results = pool.lendEach(CHAT_MODEL, borrower, (loaded) => work(loaded as FakeModel, ++attempt));
    try {
      for await (const result of results) given.push(result);
    } catch (error) {
      given.push((error as Error).message);
    }
    return { given, loads: engine.loads.length };
  }
  const lose = (model: FakeModel) => {
    const reason = new EngineLost('The GPU was lost: driver reset');
    model.lostGate.open(reason);
    return reason;
  };

  test('computes anew what had no result yet', async () => {
    const { given, loads } = await run(async function* (model, attempt) {
      if (attempt === 1) throw lose(model);
      yield 'answer';
    });
    expect({ given, loads }).toEqual({ given: ['answer'], loads: 2 });
  });

  test('ends what was under way with the reason', async () => {
    const { given, loads } = await run(async function* (model) {
      yield 'half';
      throw lose(model);
    });
    expect({ given, loads }).toEqual({ given: ['half', 'The GPU was lost: driver reset'], loads: 1 });
  });

  test('loads the model again, though the request would not have had it loaded', async () => {
    await acquire(CHAT_MODEL, signal);
    let attempt = 0;
    const results = pool.lendEach(CHAT_MODEL, { signal, autoload: false }, async function* (loaded) {
      if (++attempt === 1) throw lose(loaded as FakeModel);
      yield 'answer';
    });
    expect((await results.next()).value).toBe('answer');
    expect(engine.loads).toHaveLength(2);
  });

  test('does not try a third time', async () => {
    const { given, loads } = await run(async function* (model) {
      yield* [];
      throw lose(model);
    });
    expect({ given, loads }).toEqual({ given: ['The GPU was lost: driver reset'], loads: 2 });
  });

  test.each([
    ['an error of the request itself', new LlamatabError('invalid_request_error', 'no')],
    ['a model that was unloaded', new LlamatabError('unavailable_error', 'no')],
  ])('leaves %s as it is', async (_, error) => {
    const { loads } = await run(async function* () {
      yield* [];
      throw error;
    });
    expect(loads).toBe(1);
  });

  test('is remembered, so that people can be told', async () => {
    await run(async function* (model, attempt) {
      if (attempt === 1) throw lose(model);
      yield 'answer';
    });
    expect(pool.restarts).toEqual([
      { model: CHAT_MODEL.id, time: expect.any(Number), reason: 'The GPU was lost: driver reset' },
    ]);
  });
});

describe('the queue', () => {
  test('is bounded: 200 requests may wait, the next one is told to come later', async () => {
    const gate = new Gate<string>();
    const ask = () =>
      pool.lendEach(CHAT_MODEL, borrower, async function* () {
        yield await gate.promise;
      });
    await acquire(CHAT_MODEL, signal);
    const slots = 4;
    const asked = Array.from({ length: MAX_WAITING + slots }, () => ask().next());
    await expect(ask().next()).rejects.toMatchObject({
      type: 'unavailable_error',
      message: expect.stringContaining('200 requests wait'),
    });
    gate.open('answer');
    expect((await Promise.all(asked)).every(({ value }) => value === 'answer')).toBe(true);
  });

  test('has room for a few of each caller, however many another has sent', async () => {
    const gate = new Gate<string>();
    const ask = (caller: string) =>
      pool
        .lendEach(CHAT_MODEL, { ...borrower, caller }, async function* () {
          yield await gate.promise;
        })
        .next();
    await acquire(CHAT_MODEL, signal);
    const asked = Array.from({ length: MAX_WAITING + 4 }, () => ask('greedy'));
    await expect(ask('greedy')).rejects.toThrow('The queue is full');
    asked.push(...Array.from({ length: ALWAYS_ADMITTED }, () => ask('modest')));
    await expect(ask('modest')).rejects.toThrow('The queue is full');
    gate.open('answer');
    expect((await Promise.all(asked)).every(({ value }) => value === 'answer')).toBe(true);
  });

  test('has room for whoever was let in before, by the host that is gone', async () => {
    const gate = new Gate<string>();
    const ask = (admitted = false) =>
      pool
        .lendEach(CHAT_MODEL, { ...borrower, admitted }, async function* () {
          yield await gate.promise;
        })
        .next();
    // While the model loads nobody knows how many slots it will have.
    const asked = Array.from({ length: MAX_WAITING + 4 }, () => ask(true));
    await expect(ask()).rejects.toThrow('The queue is full');
    gate.open('answer');
    expect((await Promise.all(asked)).every(({ value }) => value === 'answer')).toBe(true);
  });

  test('has room again when a request is over, or left', async () => {
    const gate = new Gate<string>();
    const ask = () =>
      pool.lendEach(CHAT_MODEL, borrower, async function* () {
        yield 'first';
        yield await gate.promise;
      });
    await acquire(CHAT_MODEL, signal);
    const asked = Array.from({ length: MAX_WAITING + 4 }, ask);
    await Promise.all(asked.map((results) => results.next()));
    await asked[7]?.return(undefined);
    const late = ask();
    expect((await late.next()).value).toBe('first');
    await expect(ask().next()).rejects.toThrow('The queue is full');
  });
});
