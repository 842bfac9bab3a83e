import { beforeEach, describe, expect, test } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { tinyEye } from '../../test/tiny-model/tiny-projector.ts';
import type { CatalogModel } from './models.ts';
import { failure, hashOf, sha256 } from './testing/bytes.ts';
import { database, emptyDatabase, ids, newStore, openSite, site, state } from './testing/site-of-three.ts';

const BYTES = tinyModel({ seed: 5 });
const ORIGIN = 'https://site.example/models/';

beforeEach(openSite);

describe('addFromUrl', () => {
  test('reads the header only, and is there on the next visit', async () => {
    site.files.set('my model.gguf', BYTES);
    site.files.set('my%20model.gguf', BYTES);
    const model = await newStore().addFromUrl(`${ORIGIN}my model.gguf`);
    expect(model).toMatchObject({
      id: 'my-model',
      files: [{ name: 'my model.gguf', size: BYTES.length }],
      capabilities: ['chat', 'completion'],
      contextLength: 2048,
      source: { kind: 'url', url: `${ORIGIN}my%20model.gguf` },
    });
    const store = newStore();
    expect(await ids(store)).toEqual(['one', 'two', 'three', 'my-model']);
    const [, , , added] = (await store.catalog()).models;
    expect(await hashOf(await store.open(added as CatalogModel, () => {}))).toBe(sha256(BYTES));
    expect(await state(store, 'my-model')).toBe('complete');
    // The same address is the same model.
    expect((await store.addFromUrl(`${ORIGIN}my model.gguf`)).id).toBe('my-model');
    await store.remove(added as CatalogModel);
    expect(await ids(newStore())).toEqual(['one', 'two', 'three']);
  });

  test('takes all shards of the first', async () => {
    for (const i of [1, 2]) site.files.set(`m-0000${i}-of-00002.gguf`, tinyModel({ seed: i }));
    const store = newStore();
    const model = await store.addFromUrl(`${ORIGIN}m-00001-of-00002.gguf`);
    expect(model.id).toBe('m');
    const blobs = await store.open(model, () => {});
    expect(await Promise.all(blobs.map((blob) => hashOf([blob])))).toEqual(
      [1, 2].map((seed) => sha256(tinyModel({ seed }))),
    );
    site.files.delete('m-00002-of-00002.gguf');
    const alone = emptyDatabase();
    const error = await failure(newStore({ database: alone }).addFromUrl(`${ORIGIN}m-00001-of-00002.gguf`));
    expect(error.message).toMatch(/m-00002-of-00002.gguf: HTTP 404/);
  });

  test('names are unique', async () => {
    site.files.set('one.gguf', BYTES);
    site.files.set('b.gguf', BYTES);
    const store = newStore();
    expect((await store.addFromUrl(`${ORIGIN}one.gguf`)).id).toBe('one-2');
    expect((await store.addFromUrl(`${ORIGIN}b.gguf`, { id: 'bee/1' })).id).toBe('bee/1');
    for (const id of ['one', 'bee/1', 'local', 'no spaces', '../x', '']) {
      expect(await failure(store.addFromUrl(`${ORIGIN}unknown.gguf`, { id }))).toMatchObject({
        type: 'invalid_request_error',
        details: { param: 'id' },
      });
    }
  });

  test('what is no model is refused with the reason', async () => {
    site.files.set('page.gguf', new TextEncoder().encode('hello'));
    const store = newStore();
    const cases: [string, string, RegExp][] = [
      ['no address', 'invalid_request_error', /is not an http\(s\) address/],
      ['ftp://x/y', 'invalid_request_error', /is not an http\(s\) address/],
      [`${ORIGIN}page.gguf`, 'invalid_request_error', /is not a GGUF: starts with "hello"/],
      [`${ORIGIN}missing.gguf?key=SECRET`, 'unavailable_error', /missing.gguf: HTTP 404/],
    ];
    for (const [url, type, message] of cases) {
      const error = await failure(store.addFromUrl(url));
      expect(error).toMatchObject({ type });
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain('SECRET');
    }
    site.break('html.gguf', 'html');
    expect((await failure(store.addFromUrl(`${ORIGIN}html.gguf`))).message).toMatch(/a web page instead of a file/);
    expect(await ids(store)).toEqual(['one', 'two', 'three']);
  });

  test('the size is that of the file, whatever HEAD would say, and the header takes one request', async () => {
    site.files.set('m.gguf', BYTES);
    expect((await newStore().addFromUrl(`${ORIGIN}m.gguf`)).files[0]?.size).toBe(BYTES.length);
    const asked = site.requests.filter(({ path }) => path === 'm.gguf');
    expect(asked).toMatchObject([{ method: 'GET', range: 'bytes=0-' }]);
  });

  test.each([true, false])('a file longer than its header, Content-Range visible: %s', async (visible) => {
    const long = new Uint8Array(5 * 2 ** 20);
    long.set(BYTES);
    site.files.set('m.gguf', long);
    site.exposesRanges = visible;
    expect((await newStore().addFromUrl(`${ORIGIN}m.gguf`)).files[0]?.size).toBe(long.length);
  });

  test('a server without Range serves for the header too', async () => {
    site.files.set('m.gguf', BYTES);
    site.ranges = false;
    const store = newStore();
    const model = await store.addFromUrl(`${ORIGIN}m.gguf`);
    expect(await hashOf(await store.open(model, () => {}))).toBe(sha256(BYTES));
  });
});

describe('addFromHub', () => {
  const oid = sha256(BYTES);
  beforeEach(() => {
    const eye = tinyEye();
    const tree = [
      { type: 'file', path: 'm-Q4_K_M.gguf', size: 9, lfs: { oid, size: BYTES.length } },
      { type: 'file', path: 'm-Q8_0.gguf', size: 9, lfs: { oid, size: BYTES.length } },
      { type: 'file', path: 'mmproj-m-F16.gguf', size: eye.length },
    ];
    site.files.set('api/models/o/r/tree/main?recursive=true', new TextEncoder().encode(JSON.stringify(tree)));
    for (const name of ['m-Q4_K_M', 'm-Q8_0']) site.files.set(`o/r/resolve/main/${name}.gguf`, BYTES);
    site.files.set('o/r/resolve/main/mmproj-m-F16.gguf', eye);
  });

  test('finds the quantization and the projector, and checks the hash of the hub', async () => {
    const store = newStore();
    const model = await store.addFromHub('o/r', { endpoint: ORIGIN, token: 't' });
    expect(model).toMatchObject({
      id: 'o/r:Q4_K_M',
      source: { kind: 'hub', endpoint: ORIGIN, repo: 'o/r', tag: 'Q4_K_M' },
      files: [{ name: 'm-Q4_K_M.gguf', sha256: oid }, { name: 'mmproj-m-F16.gguf' }],
    });
    expect(model.capabilities).toContain('vision');
    const [weights] = await store.open(model, () => {});
    expect(await hashOf([weights as Blob])).toBe(oid);
    const toHub = site.requests.filter(({ path }) => path !== 'catalog.json');
    expect(toHub.every(({ authorization }) => authorization === 'Bearer t')).toBe(true);
    expect((await store.addFromHub('o/r:Q4_K_M', { endpoint: ORIGIN })).id).toBe(model.id);
    expect((await store.addFromHub('o/r:Q8_0', { endpoint: ORIGIN })).id).toBe('o/r:Q8_0');
  });

  test('a file that is not the hub’s own is refused at its end', async () => {
    site.files.set('o/r/resolve/main/m-Q8_0.gguf', tinyModel({ seed: 6 }));
    const store = newStore();
    const model = await store.addFromHub('o/r:Q8_0', { endpoint: ORIGIN });
    expect((await failure(store.download(model))).message).toMatch(/its SHA-256 is .* the catalog says/);
  });

  test('names that are wrong are refused before anything is asked', async () => {
    const before = site.requests.length;
    expect((await failure(newStore().addFromHub('m'))).message).toMatch(/owner\/repo/);
    expect((await failure(newStore().addFromHub('o/r', { endpoint: 'javascript:1' }))).message).toMatch(
      /is not the address of a hub/,
    );
    expect(site.requests).toHaveLength(before);
  });
});

describe('addFromFiles', () => {
  const file = (bytes: Uint8Array<ArrayBuffer>, name: string) => new File([bytes], name);

  test('copies a GGUF in, and opens it without a network', async () => {
    const store = newStore();
    const loaded: number[] = [];
    const model = await store.addFromFiles([file(BYTES, 'Mine.gguf')], {
      onProgress: (progress) => loaded.push(progress.loaded),
    });
    expect(model).toMatchObject({ id: 'Mine', source: { kind: 'file', name: 'Mine.gguf' } });
    expect(loaded.at(-1)).toBe(BYTES.length);
    const again = newStore();
    const [, , , same] = (await again.catalog()).models;
    expect(await hashOf(await again.open(same as CatalogModel, () => {}))).toBe(sha256(BYTES));
    expect(site.requests.map(({ path }) => path)).toEqual(['catalog.json', 'catalog.json']);
  });

  test('takes shards in any order with their projector; says what is lacking or too much', async () => {
    const shards = [1, 2].map((i) => file(tinyModel({ seed: i }), `m-0000${i}-of-00002.gguf`));
    const [first, second] = shards as [File, File];
    const eye = file(tinyEye(), 'mmproj-m.gguf');
    const store = newStore();
    const model = await store.addFromFiles([eye, second, first]);
    expect(model.files.map(({ name }) => name)).toEqual([first.name, second.name, eye.name]);
    const cases: [File[], RegExp][] = [
      [[], /no model among the files \(none\)/],
      [[file(BYTES, 'a.txt')], /no model among the files \(a.txt\)/],
      [[second], /add these too: m-00001-of-00002.gguf/],
      [[file(BYTES, 'a.gguf'), file(BYTES, 'b.gguf')], /more than one model: add b.gguf on their own/],
      [[file(BYTES.slice(0, 900_000), 'a.gguf')], /a.gguf is truncated/],
    ];
    for (const [files, message] of cases) {
      const error = await failure(store.addFromFiles(files));
      expect(error).toMatchObject({ type: 'invalid_request_error' });
      expect(error.message).toMatch(message);
    }
    expect(await ids(store)).toEqual(['one', 'two', 'three', 'm']);
  });

  test('an aborted import leaves nothing', async () => {
    const controller = new AbortController();
    const error = await failure(
      newStore().addFromFiles([file(BYTES, 'a.gguf')], {
        signal: controller.signal,
        onProgress: () => controller.abort(),
      }),
    );
    expect(error.name).toBe('AbortError');
    expect(await ids(newStore())).toEqual(['one', 'two', 'three']);
  });

  test('bytes that are gone can only be given again', async () => {
    const store = newStore();
    const model = await store.addFromFiles([file(BYTES, 'a.gguf')]);
    await database('readwrite', (records) => {
      records.delete(`piece:${sha256(BYTES)}`);
      return Promise.resolve();
    });
    expect((await failure(store.open(model, () => {}))).message).toMatch(/1\.1 MB of it is gone.*add the file again/);
  });
});
