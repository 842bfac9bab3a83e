import type { UseStore } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import type { ModelStatus } from './models.ts';
import { failure } from './testing/bytes.ts';
import { database, newStore, openSite, site, siteModel, state } from './testing/site-of-three.ts';

const BYTES = tinyModel({ seed: 5 });

beforeEach(openSite);
afterEach(() => {
  vi.restoreAllMocks();
});

describe('eviction', () => {
  const full = { estimate: async () => ({ usage: 3e6, quota: 3e6 }), persisted: async () => false };
  const silent = () => vi.spyOn(console, 'info').mockReturnValue();

  test('deletes the least recently used, if the site allowed it', async () => {
    silent();
    const before = newStore();
    await before.download(siteModel('one'));
    await before.download(siteModel('two'));
    await before.open(siteModel('one'), () => {});
    expect((await failure(newStore({ storage: full }).download(siteModel('three')))).message).toMatch(/no space/);
    const store = newStore({ storage: full, evict: true });
    const heard: [string, ModelStatus | 'removed'][] = [];
    store.subscribe((model, status) => heard.push([model.id, status]));
    await store.download(siteModel('three'));
    expect(await Promise.all(['one', 'two', 'three'].map((id) => state(store, id)))).toEqual([
      'complete',
      'absent',
      'complete',
    ]);
    expect(heard).toContainEqual(['two', expect.objectContaining({ state: 'absent' })]);
  });

  test('never of what is pinned, in use, or came from the user’s disk', async () => {
    silent();
    const store = newStore({ storage: full, evict: true });
    const loose = newStore();
    await loose.download(siteModel('one'));
    await loose.download(siteModel('two'));
    await loose.addFromFiles([new File([BYTES], 'mine.gguf')]);
    await store.pin(siteModel('one'));
    const release = store.hold(siteModel('two'));
    const error = await failure(store.download(siteModel('three')));
    expect(error.message).toMatch(/All other models are pinned or in use/);
    expect(await Promise.all(['one', 'two', 'mine'].map((id) => state(store, id)))).toEqual(Array(3).fill('complete'));
    expect((await store.space(siteModel('three'))).disk).toMatchObject({ evictable: 0, enough: false });
    release();
    expect((await store.evict(1)).map((model) => model.id)).toEqual(['two']);
    await store.pin(siteModel('one'), false);
    expect((await store.evict(1e9)).map((model) => model.id)).toEqual(['one']);
    expect(await state(store, 'mine')).toBe('complete');
  });

  test('midway, when the browser has less space than it said', async () => {
    silent();
    await newStore().download(siteModel('one'));
    let refusals = 0;
    const refusing: UseStore = (mode, callback) => {
      // The first part of the second model does not fit as long as the first model is there.
      if (mode === 'readwrite' && site.requests.some(({ path }) => path.startsWith('two')) && refusals === 0) {
        refusals++;
        return Promise.reject(new DOMException('full', 'QuotaExceededError'));
      }
      return database(mode, callback);
    };
    const store = newStore({ database: refusing, evict: true });
    await store.download(siteModel('two'));
    expect(refusals).toBe(1);
    expect(await state(store, 'one')).toBe('absent');
    expect(await state(store, 'two')).toBe('complete');
  });
});
