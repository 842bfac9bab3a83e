import { beforeEach, describe, expect, test } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { failure, hashOf, sha256 } from './testing/bytes.ts';
import { BYTES, database, HASH, model, newStore, open, openSite, PART, PARTS, site } from './testing/one-file.ts';

beforeEach(openSite);

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
