import { beforeEach, describe, expect, test } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { failure, hashOf, sha256 } from './testing/bytes.ts';
import { emptyDatabase, ids, newStore, openSite, site, siteModel, state } from './testing/site-of-three.ts';

const BYTES = tinyModel({ seed: 5 });
const ORIGIN = 'https://site.example/models/';

beforeEach(openSite);

describe('export', () => {
  test('gives the files; the archive is another device’s model', async () => {
    site.files.set('m.gguf', BYTES);
    const store = newStore();
    const model = await store.addFromUrl(`${ORIGIN}m.gguf`);
    expect((await failure(store.exportFiles(model))).message).toMatch(/not complete on this device/);
    await store.download(model);
    const [gguf] = await store.exportFiles(model);
    expect(gguf?.name).toBe('m.gguf');
    expect(await hashOf([gguf as File])).toBe(sha256(BYTES));

    const archive = await store.exportArchive(model);
    const other = newStore({ database: emptyDatabase() });
    const imported = await other.addFromFiles([archive]);
    expect(imported).toMatchObject({ id: 'm', name: model.name, source: { kind: 'file' } });
    expect(await hashOf(await other.open(imported, () => {}))).toBe(sha256(BYTES));
  });

  test("of a site's model becomes the same site's model there", async () => {
    const store = newStore();
    await store.download(siteModel('two'));
    const archive = await store.exportArchive(siteModel('two'));
    const other = newStore({ database: emptyDatabase() });
    const before = site.sent;
    expect((await other.addFromFiles([archive])).source).toBeUndefined();
    expect(await state(other, 'two')).toBe('complete');
    expect(await ids(other)).toEqual(['one', 'two', 'three']);
    await other.open(siteModel('two'), () => {});
    expect(site.sent - before).toBe(site.files.get('catalog.json')?.length);
  });

  test('that was damaged on the way is refused', async () => {
    const store = newStore();
    await store.download(siteModel('two'));
    const bytes = new Uint8Array(await (await store.exportArchive(siteModel('two'))).arrayBuffer());
    bytes[500_000] = (bytes[500_000] ?? 0) ^ 1;
    const other = newStore({ database: emptyDatabase() });
    const error = await failure(other.addFromFiles([new File([bytes], 'two.tar')]));
    expect(error.message).toMatch(/two.gguf, part 2 of 3: its SHA-256 is .*the export says.*copy it again/);
    expect(await state(other, 'two')).toBe('absent');
  });
});
