import 'fake-indexeddb/auto';
import { clear, createStore, entries, set, type UseStore } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { tinyCatalogModel } from '../../test/tiny-model/write-tiny-models.ts';
import { LlamatabError } from '../errors.ts';
import { createModelStore, type ModelStoreOptions } from './model-store.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from './models.ts';
import { failure, hashOf, sha256 } from './testing/bytes.ts';
import { FakeSite, type Fault } from './testing/fake-site.ts';

const BYTES = tinyModel();
const { model: TINY, files: PIECES } = tinyCatalogModel('tiny');
const [FIRST = '', SECOND = '', THIRD = ''] = PIECES.keys();

let site: FakeSite;
let database: UseStore;
let databases = 0;

beforeEach(() => {
  site = new FakeSite();
  for (const [path, bytes] of PIECES) site.files.set(path, bytes);
  site.files.set(
    'catalog.json',
    new TextEncoder().encode(JSON.stringify({ version: 1, default: 'tiny', models: [TINY] })),
  );
  database = createStore(`store-${databases++}`, 'models');
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A store as a page that has just been opened has it: on the same database, with nothing remembered. */
function newStore(options: Partial<ModelStoreOptions> = {}): ModelStore {
  return createModelStore({
    catalogUrl: site.catalogUrl,
    fetch: site.fetch,
    database,
    retryDelays: [1, 1],
    ...options,
  });
}

const open = (store: ModelStore, model = TINY) => store.open(model, () => {});
const HASH = sha256(BYTES);

/** An IndexedDB that refuses what `refuse` says. */
function failing(refuse: (mode: IDBTransactionMode) => DOMException | undefined): UseStore {
  return (mode, callback) => {
    const error = refuse(mode);
    return error === undefined ? database(mode, callback) : Promise.reject(error);
  };
}

describe('open', () => {
  test('gives the file of the pieces, and asks for each once, now and on later visits', async () => {
    const store = newStore();
    expect(await store.stored(TINY)).toBe(0);
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(await store.stored(TINY)).toBe(BYTES.length);
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(await hashOf(await open(newStore()))).toBe(HASH);
    expect(site.requests).toHaveLength(PIECES.size);
  });

  test('stores each piece under its hash', async () => {
    await open(newStore());
    const keys = (await entries<string, unknown>(database)).map(([key]) => key);
    const pieces = keys.filter((key) => !key.startsWith('model:'));
    expect(pieces.sort()).toEqual([...PIECES.values()].map((piece) => `piece:${sha256(piece)}`).sort());
    expect(keys).toContain(`model:${site.catalogUrl} tiny`);
  });

  test('gives shards one by one', async () => {
    const other = tinyCatalogModel('other', { seed: 2 });
    for (const [path, bytes] of other.files) site.files.set(path, bytes);
    const blobs = await open(newStore(), { ...TINY, files: [...TINY.files, ...other.model.files] });
    expect(await Promise.all(blobs.map((blob) => hashOf([blob])))).toEqual([HASH, sha256(tinyModel({ seed: 2 }))]);
  });

  test('downloads three pieces at a time', async () => {
    const { model, files } = recut(100_000);
    for (const [path, bytes] of files) site.files.set(path, bytes);
    expect(await hashOf(await open(newStore(), model))).toBe(HASH);
    expect(site.mostUnderway).toBe(3);
    expect(site.requests).toHaveLength(files.size);
  });

  test('fetches pieces of the same content once', async () => {
    // Tensor data that is longer than needed: two pieces of zeros behind the file.
    const zeros = new Uint8Array(1000);
    const piece = { url: 'zeros', size: zeros.length, sha256: sha256(zeros) };
    site.files.set('zeros', zeros);
    const [file] = TINY.files;
    if (file === undefined) throw new Error('no file');
    const model = { ...TINY, files: [{ ...file, size: file.size + 2000, pieces: [...file.pieces, piece, piece] }] };
    const [blob] = await open(newStore(), model);
    expect(blob?.size).toBe(BYTES.length + 2000);
    expect(site.count('zeros')).toBe(1);
  });

  test('shares one download among its callers', async () => {
    const store = newStore();
    const opened = await Promise.all([open(store), open(store), open(store)]);
    for (const blobs of opened) expect(await hashOf(blobs)).toBe(HASH);
    expect(site.requests).toHaveLength(PIECES.size);
  });

  test('fetches what an earlier visit left unfinished, and nothing else', async () => {
    site.break(THIRD, { status: 404 });
    await failure(open(newStore()));
    // Pieces that were under way at that moment may be incomplete, so this one is stored by hand.
    await set(
      `piece:${sha256(site.files.get(FIRST) as Uint8Array)}`,
      new Blob([site.files.get(FIRST) as Uint8Array<ArrayBuffer>]),
      database,
    );
    const before = site.count(FIRST);
    expect(await hashOf(await open(newStore()))).toBe(HASH);
    expect(site.count(FIRST)).toBe(before);
  });

  test('never mixes versions: a changed catalog names other pieces', async () => {
    await open(newStore());
    const next = tinyCatalogModel('tiny', { seed: 9 });
    for (const [path, bytes] of next.files) site.files.set(path, bytes);
    const store = newStore();
    expect(await store.stored(next.model)).toBe(0);
    expect(await hashOf(await open(store, next.model))).toBe(sha256(tinyModel({ seed: 9 })));
  });

  test('resolves URLs against the catalog, and takes absolute ones', async () => {
    const absolute = `https://site.example/models/${SECOND}`;
    const [file] = TINY.files;
    if (file === undefined) throw new Error('no file');
    const pieces = file.pieces.map((piece) => (piece.url === SECOND ? { ...piece, url: absolute } : piece));
    await open(newStore(), { ...TINY, files: [{ ...file, pieces }] });
    expect(site.requests.map((request) => request.path).sort()).toEqual([FIRST, SECOND, THIRD]);
  });
});

describe('progress', () => {
  test('rises to the total, and says at once what is there', async () => {
    const store = newStore();
    const seen: DownloadProgress[] = [];
    await store.open(TINY, (progress) => seen.push(progress));
    expect(seen[0]).toMatchObject({ loaded: 0, total: BYTES.length, speed: 0, state: 'checking' });
    expect(seen.at(-1)).toMatchObject({ loaded: BYTES.length, total: BYTES.length });
    expect(seen.at(-1)?.speed).toBeGreaterThan(0);
    const loaded = seen.map((progress) => progress.loaded);
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
  });

  test('has no speed when nothing comes from the network', async () => {
    await open(newStore());
    const seen: DownloadProgress[] = [];
    await newStore().open(TINY, (progress) => seen.push(progress));
    expect(seen.at(-1)).toMatchObject({ loaded: BYTES.length, total: BYTES.length, speed: 0 });
  });

  test('is told to every caller, also to one that joins late', async () => {
    const store = newStore();
    site.break(SECOND, 'stalled');
    const early: number[] = [];
    const late: number[] = [];
    const leave = new AbortController();
    const first = failure(store.open(TINY, ({ loaded }) => early.push(loaded), leave.signal));
    await vi.waitFor(() => expect(early.at(-1)).toBeGreaterThan(700_000), 2000);
    const second = failure(store.open(TINY, ({ loaded }) => late.push(loaded), leave.signal));
    expect(late[0]).toBeGreaterThan(700_000);
    leave.abort();
    await Promise.all([first, second]);
  });
});

describe('faults of the server', () => {
  const hopeless: [Fault, RegExp][] = [
    [{ status: 404 }, /HTTP 404. Check that the file is deployed/],
    [{ status: 403 }, /HTTP 403: the server does not give it to this browser/],
    ['html', /a web page instead of bytes/],
  ];
  test.each(hopeless)('%j fails at once and names the piece', async (fault, message) => {
    site.break(SECOND, fault);
    const error = await failure(open(newStore()));
    expect(error).toBeInstanceOf(LlamatabError);
    expect(error).toMatchObject({ type: 'unavailable_error' });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`tiny: tiny.gguf, part 2 of 3 (https://site.example/models/${SECOND})`);
    expect(site.count(SECOND)).toBe(1);
  });

  const passing: Fault[] = ['offline', 'dropped', { status: 500 }, { status: 503 }, { status: 429 }];
  test.each(passing)('%j is tried again, a bounded number of times', async (fault) => {
    site.break(SECOND, fault, fault);
    expect(await hashOf(await open(newStore()))).toBe(HASH);
    expect(site.count(SECOND)).toBe(3);

    const store = newStore({ database: createStore(`store-${databases++}`, 'models') });
    site.break(SECOND, fault, fault, fault);
    const error = await failure(open(store));
    expect(error).toMatchObject({ type: 'unavailable_error' });
    expect(error.message).toMatch(/part 2 of 3 .*(try again|Try again)/);
    expect(site.count(SECOND)).toBe(6);
  });

  test('a lost connection says where', async () => {
    site.break(SECOND, 'dropped', 'dropped', 'dropped');
    expect((await failure(open(newStore()))).message).toMatch(/lost at byte 350000 of 400000 \(network error\)/);
  });

  test('a connection that goes silent counts as lost', async () => {
    site.break(SECOND, 'stalled');
    expect(await hashOf(await open(newStore({ stallTimeout: 50 })))).toBe(HASH);
    site.break(SECOND, 'stalled', 'stalled', 'stalled');
    const store = newStore({ stallTimeout: 50, database: createStore(`store-${databases++}`, 'models') });
    expect((await failure(open(store))).message).toMatch(/lost at byte \d+ .*nothing came for 0.05 s/);
  });

  const wrong: [Fault, RegExp][] = [
    [{ cut: 1 }, /ends after 399999 of 400000 bytes/],
    [{ cut: -1 }, /goes on after the 400000 bytes/],
    [{ cut: 1, announced: true }, /has 399999 bytes, the catalog says 400000/],
    [
      'flipped-bit',
      new RegExp(`its SHA-256 is [0-9a-f]{64}, the catalog says ${sha256(PIECES.get(SECOND) as Uint8Array)}`),
    ],
  ];
  test.each(wrong)('%j is fetched once more, then fails', async (fault, message) => {
    site.break(SECOND, fault);
    expect(await hashOf(await open(newStore()))).toBe(HASH);
    const asked = () => site.requests.filter((request) => request.path === SECOND).map((request) => request.cache);
    expect(asked()).toEqual(['no-store', 'no-store']);

    site.requests.length = 0;
    site.break(SECOND, fault, fault);
    const store = newStore({ database: createStore(`store-${databases++}`, 'models') });
    const error = await failure(open(store));
    expect(error).toMatchObject({ type: 'unavailable_error' });
    expect(error.message).toMatch(message);
    expect(asked()).toEqual(['no-store', 'no-store']);
    // What is wrong is never stored.
    expect(await store.stored(TINY)).toBeLessThanOrEqual(BYTES.length - 400_000);
  });

  test('a content length of compressed bytes is no fault', async () => {
    const fetch: typeof site.fetch = async (url, init) => {
      const response = await site.fetch(url, init);
      return new Response(response.body, { headers: { 'Content-Encoding': 'gzip', 'Content-Length': '7' } });
    };
    expect(await hashOf(await open(newStore({ fetch })))).toBe(HASH);
  });

  test('the other pieces stop with the one that failed, and the next open() starts afresh', async () => {
    const store = newStore();
    site.break(FIRST, { status: 404 });
    site.break(SECOND, 'stalled');
    await failure(open(store));
    expect(site.underway).toBe(0);
    site.break(SECOND);
    expect(await hashOf(await open(store))).toBe(HASH);
  });

  test('no SHA-256 in an insecure context is said before anything is fetched', async () => {
    vi.stubGlobal('crypto', {});
    expect((await failure(open(newStore()))).message).toMatch(/SHA-256.*https:\/\/ or http:\/\/localhost/);
    expect(site.requests).toHaveLength(0);
  });
});

describe('files that are no models', () => {
  const publish = (bytes: Uint8Array<ArrayBuffer>): CatalogModel => {
    site.files.set('bad.gguf', bytes);
    const piece = { url: 'bad.gguf', size: bytes.length, sha256: sha256(bytes) };
    return { ...TINY, id: 'bad', files: [{ ...piece, name: 'bad.gguf', pieces: [piece] }] };
  };

  test('garbage is refused though its hash is right', async () => {
    const error = await failure(open(newStore(), publish(new TextEncoder().encode('not a model at all'))));
    expect(error).toMatchObject({ type: 'server_error' });
    expect(error.message).toMatch(
      /^bad: bad.gguf is not a GGUF: starts with "not a model at all"\. Its bytes are those/,
    );
  });

  test('so is a truncated model', async () => {
    const error = await failure(open(newStore(), publish(BYTES.slice(0, 700_000))));
    expect(error.message).toMatch(
      /^bad: bad.gguf is truncated: tensor ".*" ends at byte \d+ but the file has 700000\./,
    );
  });
});

describe('abort', () => {
  test('before anything happens', async () => {
    expect(await failure(newStore().open(TINY, () => {}, AbortSignal.abort()))).toMatchObject({ name: 'AbortError' });
    expect(site.requests).toHaveLength(0);
  });

  test('by the only caller ends the transfer, and keeps the pieces that are complete', async () => {
    const store = newStore();
    const controller = new AbortController();
    site.break(SECOND, 'stalled');
    const opening = failure(store.open(TINY, () => {}, controller.signal));
    await vi.waitFor(async () => expect(await store.stored(TINY)).toBe(BYTES.length - 400_000));
    controller.abort();
    expect(await opening).toMatchObject({ name: 'AbortError' });
    await vi.waitFor(() => expect(site.underway).toBe(0));
    expect(await hashOf(await open(store))).toBe(HASH);
    expect([FIRST, SECOND, THIRD].map((path) => site.count(path))).toEqual([1, 2, 1]);
  });

  test('by one of two callers leaves the other its download', async () => {
    const store = newStore();
    const controller = new AbortController();
    const leaving = failure(store.open(TINY, () => {}, controller.signal));
    const staying = open(store);
    await vi.waitFor(() => expect(site.underway).toBeGreaterThan(0), { interval: 1 });
    controller.abort();
    expect(await leaving).toMatchObject({ name: 'AbortError' });
    expect(await hashOf(await staying)).toBe(HASH);
    expect(site.requests).toHaveLength(PIECES.size);
  });

  test('a caller that comes right after the last one left gets a download of its own', async () => {
    const store = newStore();
    const controller = new AbortController();
    const leaving = failure(store.open(TINY, () => {}, controller.signal));
    await vi.waitFor(() => expect(site.underway).toBeGreaterThan(0), { interval: 1 });
    controller.abort();
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(await leaving).toMatchObject({ name: 'AbortError' });
  });

  test('during the pause before a further attempt', async () => {
    const controller = new AbortController();
    site.break(SECOND, 'offline');
    const opening = failure(newStore({ retryDelays: [60_000] }).open(TINY, () => {}, controller.signal));
    await vi.waitFor(() => expect(site.count(SECOND)).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort();
    expect(await opening).toMatchObject({ name: 'AbortError' });
  });
});

describe('faults of the browser', () => {
  test('no space is said with numbers and a remedy', async () => {
    let writes = 0;
    const full = failing((mode) =>
      mode === 'readwrite' && ++writes > 2 ? new DOMException('Quota exceeded', 'QuotaExceededError') : undefined,
    );
    const storage = {
      estimate: async () => ({ usage: 1_500_000, quota: 3_000_000 }),
      persisted: async () => false,
    };
    const store = newStore({ database: full, storage });
    const error = await failure(open(store));
    expect(error).toMatchObject({ type: 'unavailable_error' });
    expect(error.message).toMatch(
      /no space for the next 0\.\d MB .* counts 1\.5 MB of 3\.0 MB used.* Delete other models/,
    );
    expect(await store.stored(TINY)).toBeGreaterThan(0);
  });

  test('no space is said without numbers where the browser has none', async () => {
    const full = failing((mode) => (mode === 'readwrite' ? new DOMException('', 'QuotaExceededError') : undefined));
    const storage = { estimate: () => Promise.reject(new TypeError('not here')), persisted: async () => false };
    expect((await failure(open(newStore({ database: full, storage })))).message).toMatch(
      /no space for the model's record\. Delete/,
    );
  });

  /** How a browser fails a transaction: when it is opened, when its connection is lost, or after its work was done. */
  const FAULTS: Record<string, (use: () => ReturnType<UseStore>) => Promise<unknown>> = {
    'can’t be opened': () => Promise.reject(new DOMException('The connection is closing', 'InvalidStateError')),
    'is aborted': async (use) => {
      await use();
      throw new DOMException('The transaction was aborted', 'AbortError');
    },
    'ends without an error': () => Promise.reject(null),
  };

  test.each(Object.entries(FAULTS))(
    'any one transaction that %s costs no byte',
    async (_, fault) => {
      const warn = vi.spyOn(console, 'warn').mockReturnValue();
      for (let failing = 1, count = failing; count >= failing; failing++) {
        database = createStore(`store-${databases++}`, 'models');
        site.sent = 0;
        count = 0;
        const flaky: UseStore = (mode, callback) => {
          const use = () => database(mode, callback);
          return (++count === failing ? fault(use) : use()) as ReturnType<typeof use>;
        };
        const store = newStore({ database: flaky });
        await open(store);
        expect(await store.status(TINY)).toMatchObject({ state: 'complete', kept: 'disk' });
        expect(await hashOf(await open(newStore({ database: flaky })))).toBe(HASH);
        expect([failing, site.sent]).toEqual([failing, BYTES.length]);
        if (count < failing) break;
      }
      expect(warn).not.toHaveBeenCalled();
      // A visit for each of its transactions.
    },
    60_000,
  );

  test('a database that fails for good does not make the store forget what it holds', async () => {
    let broken = false;
    const store = newStore({
      database: failing(() => (broken ? new DOMException('no', 'UnknownError') : undefined)),
    });
    await open(store);
    broken = true;
    expect((await failure(open(store))).message).toMatch(/can't be read now .* not lost/);
    broken = false;
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(site.requests).toHaveLength(PIECES.size);
  });

  test('what is cleared during a download is fetched again by itself', async () => {
    let cleared = false;
    const clearing: UseStore = async (mode, callback) => {
      const result = await database(mode, callback);
      const all = await entries<string, unknown>(database);
      if (!cleared && all.filter(([key]) => key.startsWith('piece:')).length === PIECES.size) {
        cleared = true;
        await clear(database);
      }
      return result;
    };
    const store = newStore({ database: clearing });
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(await store.status(TINY)).toMatchObject({ state: 'complete' });
    expect(site.requests).toHaveLength(2 * PIECES.size);
  });

  test.each([
    ['IndexedDB that fails', failing(() => new DOMException('The operation failed', 'InvalidStateError'))],
    [
      'IndexedDB that refuses Blobs',
      failing((mode) => (mode === 'readwrite' ? new DOMException('could not be cloned', 'DataCloneError') : undefined)),
    ],
    [
      'no IndexedDB at all',
      (() => {
        throw new ReferenceError('indexedDB is not defined');
      }) as UseStore,
    ],
  ])('with %s the model stays in memory for this visit, and a warning says so', async (_, broken) => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    const store = newStore({ database: broken });
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(await store.stored(TINY)).toBe(BYTES.length);
    expect(await hashOf(await open(store))).toBe(HASH);
    expect(site.requests).toHaveLength(PIECES.size);
    expect(warn).toHaveBeenLastCalledWith(expect.stringMatching(/stays in memory and is downloaded again/));
    expect(warn.mock.calls.length).toBeLessThanOrEqual(2);
    await store.remove(TINY);
    expect(await store.stored(TINY)).toBe(0);
    await open(newStore({ database: broken }));
    expect(site.requests).toHaveLength(2 * PIECES.size);
  });

  // Chromium hands out the Blob of a file that is gone, and rejects when it is read; of a file that was shortened, the read
  // never settles.
  test.each([
    ['is gone', () => Promise.reject(new DOMException('gone', 'NotFoundError'))],
    ['was shortened', () => new Promise<never>(() => {})],
  ])('a stored piece whose file %s is fetched again, alone', { timeout: 20_000 }, async (_, readLost) => {
    await open(newStore());
    const lastPiece = PIECES.get(THIRD) as Uint8Array;
    const { slice } = Blob.prototype;
    vi.spyOn(Blob.prototype, 'slice').mockImplementation(function (this: Blob, ...range) {
      const part = slice.apply(this, range);
      if (this.size === lastPiece.length && site.count(THIRD) < 2) part.arrayBuffer = readLost;
      return part;
    });
    const blobs = await open(newStore());
    expect(await hashOf(blobs)).toBe(HASH);
    expect([FIRST, SECOND, THIRD].map((path) => site.count(path))).toEqual([1, 1, 2]);
  });

  test('a stored piece of the wrong size or kind is fetched again', async () => {
    await open(newStore());
    const key = (path: string) => `piece:${sha256(PIECES.get(path) as Uint8Array)}`;
    await set(key(FIRST), new Blob(['short']), database);
    await set(key(SECOND), 'no blob', database);
    const store = newStore();
    expect(await hashOf(await open(store))).toBe(HASH);
    expect([FIRST, SECOND, THIRD].map((path) => site.count(path))).toEqual([2, 2, 1]);
  });
});

describe('remove', () => {
  test('deletes the pieces and nothing else', async () => {
    const store = newStore();
    await store.catalog();
    await open(store);
    await store.remove(TINY);
    expect(await store.stored(TINY)).toBe(0);
    expect((await entries<string, unknown>(database)).map(([key]) => key)).toEqual([`catalog:${site.catalogUrl}`]);
    await store.remove(TINY);
    expect(await hashOf(await open(store))).toBe(HASH);
  });

  test('ends a download under way and tells those that wait for it', async () => {
    const store = newStore();
    site.break(SECOND, 'stalled');
    const opening = failure(open(store));
    await vi.waitFor(async () => expect(await store.stored(TINY)).toBeGreaterThan(0));
    await store.remove(TINY);
    expect(await opening).toMatchObject({
      type: 'unavailable_error',
      message: expect.stringMatching(/tiny was deleted/),
    });
    expect(await store.stored(TINY)).toBe(0);
  });

  test('fails loudly when IndexedDB does', async () => {
    const broken = failing(() => new DOMException('The operation failed', 'InvalidStateError'));
    expect(await failure(newStore({ database: broken }).remove(TINY))).toMatchObject({ type: 'server_error' });
  });
});

describe('catalog', () => {
  test('is read once, and again after a failure', async () => {
    const store = newStore();
    site.break('catalog.json', { status: 404 });
    await failure(store.catalog());
    const [first, second] = await Promise.all([store.catalog(), store.catalog()]);
    expect(first).toBe(second);
    expect(first.models[0]).toEqual(TINY);
    expect(site.count('catalog.json')).toBe(2);
  });

  test('is that of the last deploy, however long the tab has been open', async () => {
    let time = 0;
    const store = newStore({ now: () => time });
    const put = (id: string) => {
      const catalog = { version: 1, default: id, models: [{ ...TINY, id }] };
      site.files.set('catalog.json', new TextEncoder().encode(JSON.stringify(catalog)));
    };
    put('first');
    expect((await store.catalog()).default).toBe('first');
    put('second');
    expect((await store.catalog()).default).toBe('first');
    time = 60_000;
    expect((await store.catalog()).default).toBe('second');
    time = 120_000;
    site.break('catalog.json', { status: 404 });
    expect((await store.catalog()).default).toBe('second');
  });
});

/** The tiny model in pieces of another size. */
function recut(size: number) {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (let at = 0; at < BYTES.length; at += size) files.set(`cut-${at}`, BYTES.slice(at, at + size));
  const pieces = Array.from(files, ([url, bytes]) => ({ url, size: bytes.length, sha256: sha256(bytes) }));
  const model: CatalogModel = {
    ...TINY,
    files: [{ name: 'tiny.gguf', size: BYTES.length, sha256: sha256(BYTES), pieces }],
  };
  return { model, files };
}
