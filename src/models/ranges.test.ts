/** One file at one URL, by ranges: what a hub or any web server offers. */
import 'fake-indexeddb/auto';
import { createHash } from 'node:crypto';
import { createStore, entries, keys, type UseStore } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { FakeSite } from './fake-site.ts';
import { createModelStore, type ModelStoreOptions } from './model-store.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from './models.ts';

const BYTES = tinyModel();
const PART = 200_000;
const PARTS = Math.ceil(BYTES.length / PART);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const HASH = sha256(BYTES);
const hashOf = async (blobs: Blob[]) => sha256(new Uint8Array(await new Blob(blobs).arrayBuffer()));
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error as Error,
  );

/** The model at one URL, with a hash of the whole, of each part, or none. */
function model(hashes: 'whole' | 'parts' | 'none' = 'whole'): CatalogModel {
  const parts = Array.from({ length: PARTS }, (_, i) => sha256(BYTES.slice(i * PART, (i + 1) * PART)));
  return {
    id: 'm',
    files: [
      {
        name: 'm.gguf',
        size: BYTES.length,
        pieces: [
          {
            url: 'm.gguf',
            size: BYTES.length,
            ...(hashes === 'whole' ? { sha256: HASH } : hashes === 'parts' ? { parts } : {}),
          },
        ],
      },
    ],
    capabilities: ['chat'],
    contextLength: 2048,
    name: 'M',
    authors: 'A',
    license: 'MIT',
  };
}

let site: FakeSite;
let database: UseStore;
let databases = 0;

beforeEach(() => {
  site = new FakeSite();
  site.files.set('m.gguf', BYTES);
  site.files.set(
    'catalog.json',
    new TextEncoder().encode(JSON.stringify({ version: 1, default: 'm', models: [model()] })),
  );
  database = createStore(`ranges-${databases++}`, 'models');
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** As a page that has just been opened has it. */
function newStore(options: Partial<ModelStoreOptions> = {}): ModelStore {
  return createModelStore({
    catalogUrl: site.catalogUrl,
    fetch: site.fetch,
    database,
    partSize: PART,
    retryDelays: [1, 1, 1],
    ...options,
  });
}
const open = (store: ModelStore, of = model()) => store.open(of, () => {});
/** Ranges that were asked for. */
const ranges = () => site.requests.filter(({ path }) => path === 'm.gguf').map(({ range }) => range ?? 'all');

describe.each(['whole', 'parts', 'none'] as const)('with hashes: %s', (hashes) => {
  test('fetches each range once, three at a time, and nothing on the next visit', async () => {
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    expect(new Set(ranges()).size).toBe(PARTS);
    expect(ranges()).toHaveLength(PARTS);
    expect(site.mostUnderway).toBe(3);
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    expect(ranges()).toHaveLength(PARTS);
    expect(site.sent).toBe(BYTES.length);
  });

  test('without Range: one stream, cut into parts', async () => {
    site.ranges = false;
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    expect(ranges()).toHaveLength(1);
    expect(site.sent).toBe(BYTES.length);
    expect((await keys(database)).filter((key) => String(key).startsWith('piece:'))).toHaveLength(PARTS);
  });

  test('without Range, a stream that is lost starts again, and stores only what is missing', async () => {
    site.ranges = false;
    site.break('m.gguf', 'dropped');
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    expect(ranges()).toHaveLength(2);
  });

  test('a dropped connection goes on where it stopped', async () => {
    site.break('m.gguf', 'dropped', 'dropped', 'dropped', 'dropped', 'dropped');
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    // Not a byte more than the file.
    expect(site.sent).toBe(BYTES.length);
  });

  test('a visit that ends midway is taken up by the next: acknowledged parts are not fetched again', async () => {
    const controller = new AbortController();
    const first = newStore();
    const opening = failure(first.open(model(hashes), () => {}, controller.signal));
    await vi.waitFor(async () => expect(await first.stored(model(hashes))).toBeGreaterThanOrEqual(2 * PART), {
      interval: 1,
    });
    controller.abort();
    await opening;
    await vi.waitFor(() => expect(site.underway).toBe(0));
    const acknowledged = await first.stored(model(hashes));
    const before = site.sent;
    expect(await hashOf(await open(newStore(), model(hashes)))).toBe(HASH);
    // Less, where a part that had come was still being stored when the visit ended.
    expect(site.sent - before).toBeLessThanOrEqual(BYTES.length - acknowledged);
  });
});

describe('a file that changes on its server', () => {
  /** Downloads some parts, changes the site, and goes on. */
  async function goOn(change: () => void, of: CatalogModel): Promise<Error> {
    const controller = new AbortController();
    const store = newStore();
    const opening = failure(store.open(of, () => {}, controller.signal));
    await vi.waitFor(async () => expect(await store.stored(of)).toBeGreaterThanOrEqual(PART), { interval: 1 });
    controller.abort();
    await opening;
    expect(await store.stored(of)).toBeLessThan(BYTES.length);
    change();
    return failure(open(newStore(), of));
  }
  const other = () => site.files.set('m.gguf', tinyModel({ seed: 9 }));

  test('is noticed by its tag, or its date, before a byte is taken', async () => {
    for (const headers of [{ ETag: '"1"' }, { 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }]) {
      site.headers = headers;
      database = createStore(`ranges-${databases++}`, 'models');
      const error = await goOn(() => {
        other();
        site.headers = { ETag: '"2"', 'Last-Modified': 'Tue, 02 Jan 2024 00:00:00 GMT' };
      }, model('none'));
      expect(error.message).toMatch(/another file than the one that the download began with .*delete the model/);
    }
  });

  test('is noticed by the hash of the whole; its parts are dropped, and the next download is right', async () => {
    const error = await goOn(other, model('whole'));
    expect(error.message).toMatch(/the SHA-256 of the whole is [0-9a-f]{64}, published is .* parts were deleted/);
    const store = newStore();
    expect(await store.stored(model())).toBe(0);
    site.files.set('m.gguf', BYTES);
    expect(await hashOf(await open(store))).toBe(HASH);
  });

  test('is noticed by its length', async () => {
    const error = await goOn(() => site.files.set('m.gguf', BYTES.slice(0, -7)), model('none'));
    expect(error.message).toMatch(/the file has \d+ bytes, the catalog says \d+/);
  });

  test('a tag that differs between the servers of one CDN is no change where each part has a hash', async () => {
    let request = 0;
    const fetch: typeof site.fetch = (url, init) => {
      site.headers = { ETag: `"${request++}"` };
      return site.fetch(url, init);
    };
    expect(await hashOf(await open(newStore({ fetch }), model('parts')))).toBe(HASH);
  });
});

describe('faults', () => {
  test('a flipped bit is noticed where the part has a hash: that part is fetched again, alone', async () => {
    site.break('m.gguf', 'flipped-bit');
    expect(await hashOf(await open(newStore(), model('parts')))).toBe(HASH);
    expect(ranges()).toHaveLength(PARTS + 1);
  });

  test('a range that is not satisfiable says that the file was longer', async () => {
    site.files.set('m.gguf', BYTES.slice(0, PART));
    site.break('m.gguf', { status: 416 });
    const error = await failure(open(newStore({ retryDelays: [] })));
    expect(error.message).toMatch(/the file has no byte 0: it was longer|the file has 200000 bytes/);
  });

  test('Retry-After is waited for, and said', async () => {
    site.break('m.gguf', { status: 503, headers: { 'Retry-After': '1' } });
    const seen: DownloadProgress[] = [];
    await newStore().open(model(), (progress) => seen.push(progress));
    const waiting = seen.find(({ state }) => state === 'retrying');
    expect(waiting).toMatchObject({ retryIn: 1, reason: expect.stringMatching(/HTTP 503.*come back in 1 s/) });
  });

  test('a server that asks to wait for an hour is not waited for', async () => {
    site.break('m.gguf', { status: 429, headers: { 'Retry-After': '3600' } });
    expect((await failure(open(newStore()))).message).toMatch(/HTTP 429. The server asks to come back in 3600 s/);
  });

  test('a busy server gets fewer requests at once', async () => {
    site.break('m.gguf', { status: 429 });
    let most = 0;
    const fetch: typeof site.fetch = async (url, init) => {
      const response = await site.fetch(url, init);
      if (ranges().length > 5) most = Math.max(most, site.underway);
      return response;
    };
    expect(await hashOf(await open(newStore({ fetch })))).toBe(HASH);
    expect(most).toBe(1);
  });

  test('a lost network is waited for as long as it takes, and counts no attempt', async () => {
    let online = false;
    let comeBack = () => {};
    const network = {
      get online() {
        return online;
      },
      whenOnline: () =>
        new Promise<void>((resolve) => {
          comeBack = resolve;
        }),
    };
    site.break('m.gguf', 'offline', 'offline', 'offline', 'offline', 'offline', 'offline');
    const seen: DownloadProgress[] = [];
    const store = newStore({ network, retryDelays: [] });
    const opening = store.open(model(), (progress) => seen.push(progress));
    await vi.waitFor(() => expect(seen.at(-1)?.state).toBe('offline'), 2000);
    expect(seen.at(-1)?.reason).toMatch(/Failed to fetch/);
    site.break('m.gguf');
    online = true;
    comeBack();
    expect(await hashOf(await opening)).toBe(HASH);
  });
});

describe('pause, resume, cancel', () => {
  test('a paused download stops, keeps what it has, and goes on', async () => {
    const store = newStore();
    const seen: DownloadProgress[] = [];
    const done = store.download(model(), { onProgress: (progress) => seen.push(progress) });
    await vi.waitFor(async () => expect(await store.stored(model())).toBeGreaterThan(0), { interval: 1 });
    store.pause(model());
    await vi.waitFor(() => expect(site.underway).toBe(0));
    expect(seen.at(-1)?.state).toBe('paused');
    expect(await store.status(model())).toMatchObject({ state: 'partial', download: { state: 'paused' } });
    const sent = site.sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(site.sent).toBe(sent);
    store.resume(model());
    await done;
    expect(await store.status(model())).toMatchObject({ state: 'complete', loaded: BYTES.length });
  });

  test('who asks for a paused model resumes it by download(), and waits with open()', async () => {
    const store = newStore();
    const waiting = open(store);
    store.pause(model());
    await store.download(model());
    expect(await hashOf(await waiting)).toBe(HASH);
  });

  test('a cancelled download is over for all, and leaves nothing', async () => {
    const store = newStore();
    site.break('m.gguf', 'stalled', 'stalled', 'stalled');
    const waiting = [failure(open(store)), failure(store.download(model()))];
    await vi.waitFor(() => expect(site.underway).toBe(3));
    await store.cancel(model());
    for (const error of await Promise.all(waiting)) expect(error.message).toMatch(/was cancelled/);
    expect(await store.status(model())).toMatchObject({ state: 'absent', loaded: 0 });
    expect((await keys(database)).filter((key) => !String(key).startsWith('model:'))).toEqual([]);
  });
});

describe('verify and repair', () => {
  /** Puts other bytes in the place of a stored part. */
  async function damage(index: number): Promise<void> {
    const bytes = BYTES.slice(index * PART, (index + 1) * PART);
    const hash = sha256(bytes);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    await database('readwrite', (store) => {
      store.put(new Blob([bytes]), `piece:${hash}`);
      return Promise.resolve();
    });
  }

  test.each(['whole', 'parts', 'none'] as const)(
    'a damaged part is found and fetched again, alone (%s)',
    async (hashes) => {
      const store = newStore();
      await open(store, model(hashes));
      expect(await store.verify(model(hashes))).toEqual({ ok: true, checked: BYTES.length, bad: [] });
      await damage(2);
      const report = await store.verify(model(hashes));
      expect(report).toMatchObject({ ok: false, bad: [{ file: 'm.gguf', part: 3, of: PARTS }] });
      expect(report.bad[0]?.reason).toMatch(/its SHA-256 is/);
      const before = site.sent;
      expect(await store.repair(model(hashes))).toEqual(report);
      expect(site.sent - before).toBe(PART);
      expect((await store.verify(model(hashes))).ok).toBe(true);
      expect(await hashOf(await open(store, model(hashes)))).toBe(HASH);
    },
  );

  test('what is fetched again has to be the same, even where no hash is published', async () => {
    const store = newStore();
    await open(store, model('none'));
    await damage(2);
    site.files.set('m.gguf', tinyModel({ seed: 9 }));
    const error = await failure(store.repair(model('none')));
    expect(error.message).toMatch(/when it was first downloaded it was [0-9a-f]{64}.*two versions are never mixed/);
    expect(await store.status(model('none'))).toMatchObject({ state: 'failed' });
  });
});

describe('what is remembered', () => {
  test('a failure, until the next attempt', async () => {
    site.break('m.gguf', { status: 404 });
    await failure(open(newStore()));
    const store = newStore();
    expect(await store.status(model())).toMatchObject({
      state: 'failed',
      error: { type: 'unavailable_error', message: expect.stringContaining('HTTP 404') },
    });
    await open(store);
    expect(await newStore().status(model())).not.toHaveProperty('error');
  });

  test('a manifest that is not one, or of another version, is no reason to download again', async () => {
    await open(newStore());
    for (const junk of [1, 'x', {}, { version: 2 }, { version: 1, fingerprint: 1 }, null]) {
      await database('readwrite', (store) => {
        store.put(junk, `model:${site.catalogUrl} m`);
        return Promise.resolve();
      });
      const before = site.sent;
      expect(await hashOf(await open(newStore()))).toBe(HASH);
      expect(site.sent).toBe(before);
    }
  });

  test('no token, anywhere', async () => {
    const store = newStore();
    const added = await store.addFromUrl('https://site.example/models/m.gguf', { token: 'hf_SECRET' });
    await open(store, added);
    expect(site.requests.some(({ authorization }) => authorization === 'Bearer hf_SECRET')).toBe(true);
    expect(JSON.stringify(await entries(database))).not.toContain('SECRET');
  });
});
