import { entries, keys } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DownloadProgress } from './models.ts';
import { failure, hashOf } from './testing/bytes.ts';
import { BYTES, database, HASH, model, newStore, open, openSite, site } from './testing/one-file.ts';

beforeEach(openSite);
afterEach(() => {
  vi.restoreAllMocks();
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

  test('download() resumes a paused download, and open() waits for it', async () => {
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
