import { beforeEach, describe, expect, test } from 'vitest';
import { failure } from './testing/bytes.ts';
import { newStore, openSite, site, siteModel, state } from './testing/site-of-three.ts';

beforeEach(openSite);

describe('space', () => {
  const storage = (usage: number, quota: number) => ({
    estimate: async () => ({ usage, quota }),
    persisted: async () => true,
  });

  test('is told before a download, from the header', async () => {
    const report = await newStore({ storage: storage(1e6, 3e6) }).space(siteModel('one'));
    const size = siteModel('one').files[0]?.size ?? 0;
    expect(report.disk).toEqual({
      needed: size,
      missing: size,
      usage: 1e6,
      quota: 3e6,
      free: 2e6,
      evictable: 0,
      persisted: true,
      enough: true,
    });
    expect(report.memory).toMatchObject({ weights: size, contextLength: 2048, enough: true });
    expect(report.memory.kvCache).toBeGreaterThan(0);
    expect(report.memory.total).toBe(size + report.memory.kvCache);
    const half = await newStore().space(siteModel('one'), { contextLength: 1024 });
    expect(half.memory.kvCache).toBe(report.memory.kvCache / 2);
    expect(half.disk).toMatchObject({ usage: null, quota: null, free: null, persisted: false, enough: true });
  });

  test('that is too little is said before the first byte, with numbers', async () => {
    const store = newStore({ storage: storage(2.5e6, 3e6) });
    const error = await failure(store.download(siteModel('one')));
    expect(error.message).toMatch(/no space for the 1\.1 MB that the model still needs.*2\.5 MB of 3\.0 MB/);
    expect(site.requests).toEqual([]);
    expect((await store.space(siteModel('one'))).disk.enough).toBe(false);
  });

  test('models that are shared are not counted or deleted twice', async () => {
    const store = newStore({ partSize: 300_000 });
    const copy = { ...siteModel('one'), id: 'copy' };
    await store.download(siteModel('one'));
    const { sent } = site;
    await store.download(copy);
    expect(site.sent).toBe(sent);
    await store.remove(copy);
    expect(await state(store, 'one')).toBe('complete');
    expect((await store.verify(siteModel('one'))).ok).toBe(true);
  });
});
