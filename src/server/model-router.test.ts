import { beforeEach, describe, expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import { CATALOG, CHAT_MODEL, EMBEDDING_MODEL, FakeEngine, FakeStore, Gate } from './fakes.ts';
import { ModelRouter, type ModelState } from './model-router.ts';

const { signal } = new AbortController();
let engine: FakeEngine;
let store: FakeStore;
let router: ModelRouter;
let states: ModelState['value'][];

beforeEach(() => {
  engine = new FakeEngine();
  store = new FakeStore(CATALOG);
  router = new ModelRouter(store, engine);
  states = [];
  router.subscribe((_, state) => states.push(state.value));
});

/** What comes of a request that ends as soon as it has its model. */
const acquire = (model: CatalogModel, signal: AbortSignal) => router.lend(model, signal, (loaded) => loaded);

const failure = () => {
  const state = router.state(CHAT_MODEL.id);
  return state.value === 'unloaded' ? state.error?.message : undefined;
};

describe('lend', () => {
  test('downloads and loads once for all who ask', async () => {
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

  test('does not call what is stored a download', async () => {
    store.onOpen = async (report) => report({ loaded: 100, total: 100, speed: 0 });
    await acquire(CHAT_MODEL, signal);
    expect(states).toEqual(['loading', 'loaded']);
  });

  test('the abort of one who waits ends only their wait', async () => {
    const download = new Gate();
    store.onOpen = () => download.promise;
    const abort = new AbortController();
    const [impatient, patient] = [acquire(CHAT_MODEL, abort.signal), acquire(CHAT_MODEL, signal)];
    abort.abort();
    await expect(impatient).rejects.toMatchObject({ name: 'AbortError' });
    download.open();
    expect((await patient).info.build).toBe('b11364-46ca246');
  });

  test('the load goes on when all who waited are gone', async () => {
    const download = new Gate();
    store.onOpen = () => download.promise;
    const abort = new AbortController();
    const waiting = acquire(CHAT_MODEL, abort.signal);
    abort.abort();
    await expect(waiting).rejects.toThrow();
    download.open();
    await router.load(CHAT_MODEL).loaded;
    expect(states.at(-1)).toBe('loaded');
    expect(store.opens).toBe(1);
  });

  test('an aborted request loads nothing', async () => {
    await expect(acquire(CHAT_MODEL, AbortSignal.abort())).rejects.toThrow();
    expect(store.opens).toBe(0);
  });
});

describe('a failure', () => {
  test('is told to all who wait, remembered, and tried again by the next', async () => {
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
    expect(router.state(CHAT_MODEL.id).value).toBe('loaded');
  });
});

describe('unload', () => {
  test('frees a loaded model', async () => {
    await acquire(CHAT_MODEL, signal);
    router.unload(CHAT_MODEL);
    expect(engine.loaded[0]?.unloaded).toBe(true);
    expect(router.state(CHAT_MODEL.id)).toEqual({ value: 'unloaded' });
    // The engine may report the loss of what was unloaded: no failure.
    engine.loaded[0]?.lostGate.open(new LlamatabError('unavailable_error', 'unloaded'));
    await Promise.resolve();
    expect(failure()).toBeUndefined();
  });

  test('ends a download; those who wait are told', async () => {
    let seen: AbortSignal | undefined;
    store.onOpen = (_, signal) => {
      seen = signal;
      return new Promise(() => {});
    };
    const waiting = acquire(CHAT_MODEL, signal);
    router.unload(CHAT_MODEL);
    await expect(waiting).rejects.toMatchObject({ type: 'unavailable_error' });
    expect(seen?.aborted).toBe(true);
    expect(router.state(CHAT_MODEL.id)).toEqual({ value: 'unloaded' });
  });

  test('frees what an engine loads all the same', async () => {
    const loading = new Gate();
    engine.onLoad = () => loading.promise;
    const waiting = acquire(CHAT_MODEL, signal);
    await Promise.resolve();
    await Promise.resolve();
    router.unload(CHAT_MODEL);
    await expect(waiting).rejects.toThrow('was unloaded');
    loading.open();
    await expect.poll(() => engine.loaded[0]?.unloaded).toBe(true);
  });

  test('of what is not loaded does nothing', () => {
    router.unload(CHAT_MODEL);
    expect(states).toEqual([]);
  });
});
