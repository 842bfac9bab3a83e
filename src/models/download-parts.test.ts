import { keys } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { LlamatabError } from '../errors.ts';
import type { CatalogModel, DownloadProgress } from './models.ts';
import { failure, hashOf } from './testing/bytes.ts';
import {
  BYTES,
  clearDatabase,
  database,
  HASH,
  model,
  newStore,
  open,
  openSite,
  PART,
  PARTS,
  ranges,
  site,
} from './testing/one-file.ts';

beforeEach(openSite);
afterEach(() => {
  vi.restoreAllMocks();
});

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
      clearDatabase();
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

  test('what a policy forbids is not tried again', async () => {
    const error = new LlamatabError('unavailable_error', 'add https://models.example to connect-src');
    const fetch = vi.fn(() => Promise.reject(error));
    expect(await failure(open(newStore({ fetch, retryDelays: [10_000] })))).toBe(error);
    expect(fetch.mock.calls.length).toBeLessThanOrEqual(PARTS);
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
