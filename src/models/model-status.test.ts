import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import type { ModelStatus } from './models.ts';
import { newStore, openSite, site, siteModel } from './testing/site-of-three.ts';

const BYTES = tinyModel({ seed: 5 });
const ORIGIN = 'https://site.example/models/';

beforeEach(openSite);
afterEach(() => {
  vi.restoreAllMocks();
});

describe('what the store tells', () => {
  test('states, sizes, pins and uses', async () => {
    const store = newStore();
    expect(await store.status(siteModel('one'))).toMatchObject({ state: 'absent', loaded: 0, lastUsed: null });
    await store.open(siteModel('one'), () => {});
    const used = (await store.status(siteModel('one'))).lastUsed;
    expect(used).toBeGreaterThan(0);
    await store.touch(siteModel('one'));
    await store.pin(siteModel('one'));
    const status = await newStore().status(siteModel('one'));
    expect(status).toMatchObject({ state: 'complete', pinned: true, kept: 'disk' });
    expect(status.lastUsed).toBeGreaterThan(used ?? 0);
    expect(await store.list()).toHaveLength(3);
  });

  test('downloads as they go, and what becomes of them', async () => {
    const store = newStore();
    const heard: (ModelStatus | 'removed')[] = [];
    const end = store.subscribe((_, status) => heard.push(status));
    await store.download(siteModel('one'));
    await vi.waitFor(() => expect(heard.at(-1)).toMatchObject({ state: 'complete' }));
    site.files.set('m.gguf', BYTES);
    await store.remove(await store.addFromUrl(`${ORIGIN}m.gguf`));
    expect(heard.at(-1)).toBe('removed');
    const count = heard.length;
    end();
    await store.remove(siteModel('one'));
    expect(heard).toHaveLength(count);
  });
});
