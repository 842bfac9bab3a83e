/** Models that the user adds, space, and what is evicted for it. */
import 'fake-indexeddb/auto';
import { createHash } from 'node:crypto';
import { createStore, type UseStore } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { tinyEye } from '../../test/tiny-model/tiny-projector.ts';
import { tinyCatalogModel } from '../../test/tiny-model/write-tiny-models.ts';
import type { LlamatabError } from '../errors.ts';
import { FakeSite } from './fake-site.ts';
import { createModelStore, type ModelStoreOptions } from './model-store.ts';
import type { CatalogModel, ModelStatus, ModelStore } from './models.ts';

const BYTES = tinyModel({ seed: 5 });
const ORIGIN = 'https://site.example/models/';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const hashOf = async (blobs: Blob[]) => sha256(new Uint8Array(await new Blob(blobs).arrayBuffer()));
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error as LlamatabError,
  );

let site: FakeSite;
let database: UseStore;
let databases = 0;
let clock = 0;
const SITE_MODELS: CatalogModel[] = [];

beforeEach(() => {
  site = new FakeSite();
  SITE_MODELS.length = 0;
  for (const [i, id] of ['one', 'two', 'three'].entries()) {
    const { model, files } = tinyCatalogModel(id, { seed: i + 1 });
    SITE_MODELS.push(model);
    for (const [path, bytes] of files) site.files.set(path, bytes);
  }
  site.files.set(
    'catalog.json',
    new TextEncoder().encode(JSON.stringify({ version: 1, default: 'one', models: SITE_MODELS })),
  );
  database = createStore(`own-${databases++}`, 'models');
  clock = 1000;
});
afterEach(() => {
  vi.restoreAllMocks();
});

function newStore(options: Partial<ModelStoreOptions> = {}): ModelStore {
  return createModelStore({
    catalogUrl: site.catalogUrl,
    fetch: site.fetch,
    database,
    retryDelays: [1],
    now: () => clock++,
    storage: undefined,
    ...options,
  });
}
const siteModel = (id: string) => SITE_MODELS.find((model) => model.id === id) as CatalogModel;
const ids = async (store: ModelStore) => (await store.catalog()).models.map((model) => model.id);
const state = async (store: ModelStore, id: string) => (await store.list()).find(({ model }) => model.id === id)?.state;

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
    const alone = createStore(`own-${databases++}`, 'models');
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
      ['no address', 'invalid_request_error', /is no http\(s\) address/],
      ['ftp://x/y', 'invalid_request_error', /is no http\(s\) address/],
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

  test('a server that hides its length from HEAD is asked by a range', async () => {
    site.files.set('m.gguf', BYTES);
    site.break('m.gguf', { status: 405 });
    expect((await newStore().addFromUrl(`${ORIGIN}m.gguf`)).files[0]?.size).toBe(BYTES.length);
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
      /no address of a hub/,
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
    expect((await failure(store.open(model, () => {}))).message).toMatch(/1\.1 MB of it are gone.*add the file again/);
  });
});

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
    const other = newStore({ database: createStore(`own-${databases++}`, 'models') });
    const imported = await other.addFromFiles([archive]);
    expect(imported).toMatchObject({ id: 'm', name: model.name, source: { kind: 'file' } });
    expect(await hashOf(await other.open(imported, () => {}))).toBe(sha256(BYTES));
  });

  test("of a site's model becomes the same site's model there", async () => {
    const store = newStore();
    await store.download(siteModel('two'));
    const archive = await store.exportArchive(siteModel('two'));
    const other = newStore({ database: createStore(`own-${databases++}`, 'models') });
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
    const other = newStore({ database: createStore(`own-${databases++}`, 'models') });
    const error = await failure(other.addFromFiles([new File([bytes], 'two.tar')]));
    expect(error.message).toMatch(/two.gguf, part 2 of 3: its SHA-256 is .*the export says.*copy it again/);
    expect(await state(other, 'two')).toBe('absent');
  });
});

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
    expect(error.message).toMatch(/no space for the 1\.1 MB that are missing.*2\.5 MB of 3\.0 MB/);
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
