import 'fake-indexeddb/auto';
import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { createStore, type UseStore } from 'idb-keyval';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LlamatabError } from '../errors.ts';
import schema from './catalog.schema.json' with { type: 'json' };
import { loadCatalog, parseCatalog } from './catalog.ts';
import { FakeSite } from './testing/fake-site.ts';

const URL_ = 'https://site.example/models/catalog.json';
const HASH = 'a'.repeat(64);

const piece = () => ({ url: 'm.gguf', size: 10, sha256: HASH });
const file = () => ({ name: 'm.gguf', size: 10, sha256: HASH, pieces: [piece()] });
const model = () => ({
  id: 'm',
  aliases: ['owner/m:Q4_1'],
  files: [file()],
  capabilities: ['chat', 'completion'],
  contextLength: 2048,
  name: 'M',
  authors: 'A',
  license: 'MIT',
});
const catalog = () => ({ version: 1, default: 'm', models: [model()] });

const parse = (json: unknown) => parseCatalog(JSON.stringify(json), URL_);

describe('parseCatalog', () => {
  test('takes the catalog that is shipped', async () => {
    const text = await readFile(new URL('../../public/models/catalog.json', import.meta.url), 'utf8');
    expect(parseCatalog(text, URL_)).toEqual(JSON.parse(text));
  });

  test('takes optional fields, and drops those that it does not know', () => {
    const links = { licenseUrl: 'LICENSE.txt', homepage: 'https://m.example/', tags: ['small'] };
    expect(parse({ ...catalog(), models: [{ ...model(), ...links, colour: 'red' }] }).models[0]).toEqual({
      ...model(),
      ...links,
    });
    const { aliases: _, ...bare } = model();
    expect(parse({ ...catalog(), models: [bare] }).models[0]).toEqual(bare);
  });

  test('takes a model with a draft', () => {
    const drafted = { ...model(), files: [file(), { ...file(), name: 'd.gguf' }], draft: 'd.gguf' };
    expect(parse({ ...catalog(), models: [drafted] }).models[0]).toEqual(drafted);
  });

  const withModel = (change: object) => ({ ...catalog(), models: [{ ...model(), ...change }] });
  const withFile = (change: object) => withModel({ files: [{ ...file(), ...change }] });
  const withPiece = (change: object) => withFile({ pieces: [{ ...piece(), ...change }] });
  const wrong: [string, unknown, RegExp][] = [
    ['a list', [], /the catalog is \[\]; it should be an object/],
    ['null', null, /the catalog is null; it should be an object/],
    ['another version', { ...catalog(), version: 2 }, /version is 2; it should be 1/],
    ['no version', { ...catalog(), version: undefined }, /version is missing; it should be 1/],
    ['no models', { ...catalog(), models: [] }, /models is \[\]; it should be a list that is not empty/],
    ['no default', { ...catalog(), default: undefined }, /default is missing/],
    ['a default that is not there', { ...catalog(), default: 'x' }, /default is "x"; .* one of its models: m\./],
    ['an alias as default', { ...catalog(), default: 'owner/m:Q4_1' }, /default is "owner\/m:Q4_1"/],
    ['an unsafe id', withModel({ id: '<b>' }), /models\[0\]\.id is "<b>"; it should be at most 128 letters/],
    ['an id that climbs', withModel({ id: 'a/../b' }), /models\[0\]\.id is "a\/\.\.\/b"/],
    ['a long id', withModel({ id: 'x'.repeat(200) }), /models\[0\]\.id is "x{99}…; it should/],
    ['a prototype as id', withModel({ id: '__proto__' }), /models\[0\]\.id is "__proto__"/],
    [
      'the reserved name',
      withModel({ aliases: ['local'] }),
      /models\[0\]\.aliases\[0\] is "local".* always means the default/,
    ],
    [
      'an id twice',
      { ...catalog(), models: [model(), { ...model(), aliases: [] }] },
      /models\[1\]\.id is "m"; .* models\[0\] has it/,
    ],
    [
      'an alias that is an id',
      withModel({ aliases: ['m'] }),
      /models\[0\]\.aliases\[0\] is "m"; .* models\[0\] has it/,
    ],
    ['aliases that are no list', withModel({ aliases: 'x' }), /models\[0\]\.aliases is "x"; it should be a list/],
    ['no files', withModel({ files: [] }), /models\[0\]\.files is \[\]/],
    [
      'an unknown capability',
      withModel({ capabilities: ['sing'] }),
      /capabilities\[0\] is "sing"; it should be one of chat,/,
    ],
    ['a tag that is no text', withModel({ tags: ['a', ''] }), /tags\[1\] is ""; it should be a text that is not empty/],
    ['no context', withModel({ contextLength: 0 }), /contextLength is 0; it should be a whole number from 1/],
    ['half a token', withModel({ contextLength: 0.5 }), /contextLength is 0\.5/],
    ['no authors', withModel({ authors: '' }), /authors is ""; it should be a text that is not empty/],
    [
      'a licence that is a script',
      withModel({ licenseUrl: 'javascript:alert(1)' }),
      /licenseUrl is "javascript:alert\(1\)"; .* http/,
    ],
    [
      'a draft that is not there',
      withModel({ draft: 'd.gguf' }),
      /models\[0\]\.draft is "d\.gguf"; .*there is no second one/,
    ],
    ['a draft that is the model', withModel({ draft: 'm.gguf' }), /models\[0\]\.draft is "m\.gguf"/],
    ['no file name', withFile({ name: undefined }), /files\[0\]\.name is missing/],
    ['sizes that do not add up', withFile({ size: 11 }), /files\[0\]\.size is 11; it should be the sum .* which is 10/],
    ['a size as text', withPiece({ size: '10' }), /pieces\[0\]\.size is "10"; it should be a whole number/],
    [
      'hashes of parts that are not all there',
      withPiece({ parts: [HASH, HASH] }),
      /pieces\[0\]\.parts is "2 hashes"; it should have 1: one for each 67108864 bytes/,
    ],
    [
      'a file that nothing could be checked by',
      withFile({ sha256: undefined, pieces: [{ url: 'm.gguf', size: 10 }] }),
      /files\[0\]\.sha256 is missing; it should be given where its pieces have none/,
    ],
    ['a short hash', withPiece({ sha256: 'abc' }), /pieces\[0\]\.sha256 is "abc"; .*64 hexadecimal digits/],
    ['a hash in capitals', withFile({ sha256: HASH.toUpperCase() }), /files\[0\]\.sha256 is "A{64}"; .*lower case/],
    ['a piece from nowhere', withPiece({ url: 'blob:x' }), /pieces\[0\]\.url is "blob:x"; it should be an http/],
    ['a piece without URL', withPiece({ url: '' }), /pieces\[0\]\.url is ""/],
    ['a piece that is a text', withFile({ pieces: ['m.gguf'] }), /pieces\[0\] is "m\.gguf"; it should be an object/],
  ];
  test.each(wrong)('names %s', (_, json, message) => {
    let error: unknown;
    try {
      parse(json);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(LlamatabError);
    expect((error as LlamatabError).type).toBe('server_error');
    expect((error as LlamatabError).message).toMatch(message);
    expect((error as LlamatabError).message).toContain(`The catalog ${URL_} is wrong`);
  });

  describe('the published schema', () => {
    const validate = new Ajv({ allErrors: true }).compile(schema);
    /** What a schema can't say: that a name is the only one, that numbers add up. */
    const beyond = [
      'a default that is not there',
      'an alias as default',
      'an id twice',
      'an alias that is an id',
      'sizes that do not add up',
      'hashes of parts that are not all there',
      'a draft that is not there',
      'a draft that is the model',
    ];

    test('takes what the code takes', async () => {
      const shipped = await readFile(new URL('../../public/models/catalog.json', import.meta.url), 'utf8');
      const links = { licenseUrl: 'LICENSE.txt', homepage: 'https://m.example/', colour: 'red' };
      const { aliases: _, ...bare } = model();
      const unhashed = { ...file(), pieces: [{ url: '../m.gguf', size: 10 }] };
      const byParts = { name: 'm.gguf', size: 10, pieces: [{ url: '/m.gguf', size: 10, parts: [HASH] }] };
      const taken: unknown[] = [
        JSON.parse(shipped),
        { ...catalog(), $schema: './catalog.schema.json' },
        withModel(links),
        { ...catalog(), models: [bare] },
        withModel({ files: [unhashed] }),
        withModel({ files: [byParts] }),
      ];
      for (const json of taken) {
        expect(() => parse(json)).not.toThrow();
        validate(json);
        expect(validate.errors).toBeNull();
      }
    });

    test.each(wrong)('refuses %s', (name, json) => {
      expect(validate(JSON.parse(JSON.stringify(json)))).toBe(beyond.includes(name));
    });
  });

  test('names text that is not JSON', () => {
    expect(() => parseCatalog('{"version": 1,', URL_)).toThrow(/catalog.json is not JSON: /);
  });
});

describe('loadCatalog', () => {
  let site: FakeSite;
  let database: UseStore;
  let databases = 0;
  const publish = (json: unknown) => site.files.set('catalog.json', new TextEncoder().encode(JSON.stringify(json)));
  const load = (store = database) => loadCatalog(site.catalogUrl, store, site.fetch);

  beforeEach(() => {
    site = new FakeSite();
    database = createStore(`catalog-${databases++}`, 'models');
    publish(catalog());
  });
  afterEach(() => vi.restoreAllMocks());

  test('asks the network each time, past a cached answer that may be old', async () => {
    expect(await load()).toEqual(catalog());
    publish({ ...catalog(), models: [{ ...model(), name: 'New' }] });
    expect((await load()).models[0]?.name).toBe('New');
    expect(site.requests.map((request) => request.cache)).toEqual(['no-cache', 'no-cache']);
  });

  test.each([['offline'], [{ status: 503 }], [{ status: 429 }]] as const)(
    'takes the last good copy when the site answers %j',
    async (fault) => {
      const warn = vi.spyOn(console, 'warn').mockReturnValue();
      await load();
      site.break('catalog.json', fault);
      expect(await load()).toEqual(catalog());
      expect(warn).toHaveBeenCalledOnce();
    },
  );

  test('says that there is no copy on a first visit without a network', async () => {
    site.break('catalog.json', 'offline');
    const error = await load().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      type: 'unavailable_error',
      message: expect.stringMatching(/no copy of an earlier visit/),
    });
  });

  test.each([
    [{ status: 404 }, /no catalog at .*catalog.json: HTTP 404. Check the address/],
    ['html', /a web page instead of JSON/],
  ] as const)('does not cover up a site that answers %j with the copy', async (fault, message) => {
    await load();
    site.break('catalog.json', fault);
    await expect(load()).rejects.toThrow(message);
  });

  test('notices HTML without its content type', async () => {
    site.files.set('catalog.json', new TextEncoder().encode('\n<!doctype html><title>x</title>'));
    await expect(load()).rejects.toThrow(/a web page instead of JSON/);
  });

  test('does not keep a wrong catalog as a copy', async () => {
    vi.spyOn(console, 'warn').mockReturnValue();
    await load();
    publish({ version: 2 });
    await expect(load()).rejects.toThrow(/version is 2/);
    site.break('catalog.json', 'offline');
    expect(await load()).toEqual(catalog());
  });

  test('works without IndexedDB', async () => {
    const broken: UseStore = () => Promise.reject(new DOMException('no', 'InvalidStateError'));
    expect(await load(broken)).toEqual(catalog());
    site.break('catalog.json', 'offline');
    await expect(load(broken)).rejects.toThrow(/no copy of an earlier visit/);
  });
});
