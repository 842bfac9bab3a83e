import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { tinyEye } from '../../test/tiny-model/tiny-projector.ts';
import type { Catalog } from '../models/models.ts';
import { type AddToCatalog, addToCatalog, checkCatalog } from './catalog.ts';
import { parseAdd } from './options.ts';

const BYTES = tinyModel();
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let lines: string[];
const catalogPath = () => join(folder, 'site/models/catalog.json');
const catalog = (): Catalog => JSON.parse(readFileSync(catalogPath(), 'utf8'));
const put = (name: string, bytes: Uint8Array | string) => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const add = (source: string, ...args: string[]) =>
  addToCatalog(
    parseAdd([source, '--catalog', catalogPath(), '--limit', 'none', ...args], {}) satisfies AddToCatalog,
    (line) => lines.push(line),
  );
const check = () => checkCatalog({ catalog: catalogPath() }, (line) => lines.push(line));
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'it did not fail',
    (error: Error) => error.message,
  );
/** The file's bytes, from the pieces that the catalog lists. */
const assembled = (id: string, file = 0) =>
  Buffer.concat(
    (catalog().models.find((model) => model.id === id)?.files[file]?.pieces ?? []).map(({ url }) =>
      readFileSync(join(folder, 'site/models', decodeURIComponent(url))),
    ),
  );

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llamatab-cli-'));
  lines = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a file', () => {
  test('is copied into the site, hashed, and described from its header', async () => {
    await add(put('My Model.Q8_0.gguf', BYTES));
    expect(catalog()).toMatchObject({
      version: 1,
      default: 'My-Model.Q8_0',
      models: [
        {
          id: 'My-Model.Q8_0',
          capabilities: ['chat', 'completion'],
          contextLength: 2048,
          files: [
            {
              name: 'My Model.Q8_0.gguf',
              size: BYTES.length,
              sha256: sha256(BYTES),
              pieces: [{ url: 'My-Model.Q8_0/My%20Model.Q8_0.gguf', size: BYTES.length, sha256: sha256(BYTES) }],
            },
          ],
        },
      ],
    });
    expect(sha256(assembled('My-Model.Q8_0'))).toBe(sha256(BYTES));
    expect(await check()).toBe(true);
  });

  test('that is in the site already stays where it is', async () => {
    await add(put('first.gguf', BYTES));
    const path = join(folder, 'site/models/a b.gguf');
    writeFileSync(path, BYTES);
    await add(path, '--id', 'second', '--default');
    expect(catalog().default).toBe('second');
    expect(catalog().models[1]?.files[0]?.pieces[0]?.url).toBe('a%20b.gguf');
    expect(existsSync(join(folder, 'site/models/second'))).toBe(false);
  });

  test('that is over the limit is cut by bytes', async () => {
    const large = new Uint8Array(2.5 * 2 ** 20);
    large.set(BYTES);
    await add(put('large.gguf', large), '--limit', '1M');
    const [model] = catalog().models;
    expect(model?.files[0]?.pieces.map(({ url, size }) => [url, size])).toEqual([
      ['large/large.gguf.part1of3', 2 ** 20],
      ['large/large.gguf.part2of3', 2 ** 20],
      ['large/large.gguf.part3of3', 2 ** 19],
    ]);
    expect(sha256(assembled('large'))).toBe(sha256(large));
    expect(await check()).toBe(true);
    expect(readdirSync(join(folder, 'site/models/large'))).toHaveLength(3);
  });

  test('of more than 64 MiB has the hash of each 64 MiB', { timeout: 30_000 }, async () => {
    const size = 150 * 2 ** 20;
    const huge = Buffer.alloc(size, 7);
    huge.set(BYTES);
    await add(put('huge.gguf', huge));
    const piece = catalog().models[0]?.files[0]?.pieces[0];
    const part = (i: number) => sha256(huge.subarray(i * 2 ** 26, (i + 1) * 2 ** 26));
    expect(piece).toMatchObject({ size, sha256: sha256(huge), parts: [part(0), part(1), part(2)] });
    expect(await check()).toBe(true);
  });

  test('has a projector, aliases, and what its header does not say', async () => {
    const eye = tinyEye();
    const options = ['--projector', put('mmproj.gguf', eye), '--alias', 'a', '--alias', 'b', '--name', 'Seer'];
    await add(put('seer.gguf', BYTES), ...options, '--license', 'MIT', '--context', '512');
    expect(catalog().models[0]).toMatchObject({
      aliases: ['a', 'b'],
      name: 'Seer',
      license: 'MIT',
      contextLength: 512,
      capabilities: ['chat', 'completion', 'vision'],
      files: [{ name: 'seer.gguf' }, { name: 'mmproj.gguf', sha256: sha256(eye) }],
    });
    expect(sha256(assembled('seer', 1))).toBe(sha256(eye));
  });
});

test('says what the model needs, and what its quantization means', async () => {
  await add(put('m.gguf', BYTES));
  expect(lines.join('\n')).toMatch(/memory: .* of KV cache for one request/);
  expect(lines.join('\n')).toMatch(/\d+ % \w+, which (has|is) /);
});

test('keeps what is in the catalog, and what it does not know', async () => {
  await add(put('one.gguf', BYTES));
  const before = { $schema: './catalog.schema.json', ...catalog() };
  writeFileSync(catalogPath(), JSON.stringify(before));
  await add(put('two.gguf', BYTES));
  expect(catalog()).toMatchObject({ ...before, models: [{ id: 'one' }, { id: 'two' }] });
  const whole = catalog();
  await add(join(folder, 'two.gguf'));
  expect(lines.at(-1)).toMatch(/'two' is in .* already/);
  expect(catalog()).toEqual(whole);
  put('two.gguf', tinyModel({ seed: 2 }));
  expect(await failure(add(join(folder, 'two.gguf')))).toMatch(/has another model 'two' already: .*--id, or --replace/);
  put('two.gguf', BYTES);
  await add(join(folder, 'two.gguf'), '--replace', '--name', 'Two');
  expect(catalog().models.map(({ name }) => name)).toEqual([before.models[0]?.name, 'Two']);
});

test('--dry-run writes nothing', async () => {
  await add(put('m.gguf', BYTES), '--dry-run');
  expect(existsSync(join(folder, 'site'))).toBe(false);
  expect(lines.at(-1)).toContain('Nothing was written');
});

describe('what is wrong is said, and nothing is written', () => {
  test.each([
    ['no.gguf', null, /There is no file .*no\.gguf, and it is neither a URL nor/],
    ['empty.gguf', new Uint8Array(), /not a GGUF: it is empty/],
    ['page.gguf', '<!doctype html>', /not a GGUF: starts with "<!do/],
    ['cut.gguf', BYTES.slice(0, BYTES.length / 2), /cut\.gguf/],
    ['m-00001-of-00002.gguf', BYTES, /A part of the model is missing: .*m-00002-of-00002\.gguf/],
  ])('%s', async (name, bytes, message) => {
    const path = bytes === null ? join(folder, name) : put(name, bytes);
    expect(await failure(add(path))).toMatch(message);
    expect(existsSync(join(folder, 'site'))).toBe(false);
  });

  test.each([
    [['--id', 'local'], /models\[0\]\.id is "local"; it should be another name/],
    [['--id', 'a b'], /models\[0\]\.id is "a b"/],
    [['--homepage', 'javascript:alert(1)'], /models\[0\]\.homepage/],
  ])('%j', async (args, message) => {
    expect(await failure(add(put('m.gguf', BYTES), ...args))).toMatch(message);
    expect(existsSync(join(folder, 'site'))).toBe(false);
  });

  test('a catalog that is wrong already', async () => {
    await add(put('m.gguf', BYTES));
    writeFileSync(catalogPath(), '{"version":2}');
    expect(await failure(add(put('n.gguf', BYTES)))).toMatch(/catalog\.json is wrong: version is 2/);
    expect(readFileSync(catalogPath(), 'utf8')).toBe('{"version":2}');
  });
});

describe('a URL', () => {
  let server: Server;
  let url: string;
  let length = BYTES.length;
  const seen: { range: string | undefined; authorization: string | undefined }[] = [];

  beforeEach(async () => {
    seen.length = 0;
    length = BYTES.length;
    server = createServer((request, response) => {
      const { range, authorization } = request.headers;
      seen.push({ range, authorization });
      if (request.url?.startsWith('/page')) {
        response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>');
        return;
      }
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
      const bytes = from === undefined ? BYTES.slice(0, length) : BYTES.slice(Number(from), Number(to) + 1);
      response.writeHead(from === undefined ? 200 : 206, {
        'Content-Length': request.method === 'HEAD' ? BYTES.length : bytes.length,
      });
      response.end(request.method === 'HEAD' ? undefined : bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/far.gguf`;
  });
  afterEach(() => {
    server.close();
  });

  test('is what visitors download from, with its hashes', async () => {
    await add(url, '--token', 'secret');
    expect(catalog().models[0]?.files[0]).toEqual({
      name: 'far.gguf',
      size: BYTES.length,
      sha256: sha256(BYTES),
      pieces: [{ url, size: BYTES.length, sha256: sha256(BYTES) }],
    });
    expect(seen.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true);
    expect(readFileSync(catalogPath(), 'utf8')).not.toContain('secret');
    expect(await check()).toBe(true);
    expect(lines.at(-1)).toContain('1 on other servers');
  });

  test('is copied into the site, if asked to', async () => {
    await add(url, '--copy', '--limit', '1M');
    expect(sha256(assembled('far'))).toBe(sha256(BYTES));
    expect(await check()).toBe(true);
  });

  test('that ends early leaves nothing', async () => {
    for (length of [1000, BYTES.length - 1000]) {
      expect(await failure(add(url, '--copy'))).toMatch(/far\.gguf is truncated: .* but the file has \d+/);
      expect(existsSync(catalogPath())).toBe(false);
      expect(existsSync(join(folder, 'site/models/far'))).toBe(false);
    }
  });

  test('that is a page is refused', async () => {
    expect(await failure(add(url.replace('far', 'page')))).toMatch(/a web page instead of a file/);
  });
});

describe('check', () => {
  test('finds what is missing, short or damaged', async () => {
    const large = new Uint8Array(3 * 2 ** 20);
    large.set(BYTES);
    await add(put('m.gguf', large), '--limit', '1M');
    const piece = (i: number) => join(folder, `site/models/m/m.gguf.part${i}of3`);
    rmSync(piece(1));
    writeFileSync(piece(2), 'short');
    const damaged = readFileSync(piece(3));
    damaged[5] = 99;
    writeFileSync(piece(3), damaged);
    lines = [];
    expect(await check()).toBe(false);
    expect(lines).toEqual([
      'm:',
      '  m.gguf: m/m.gguf.part1of3 is not there',
      '  m.gguf: m/m.gguf.part2of3 has 5 bytes; the catalog says 1048576',
      expect.stringMatching(/ {2}m\.gguf: m\/m\.gguf\.part3of3 has the SHA-256 \w{64}; the catalog says \w{64}/),
    ]);
  });

  test('says where there is none', async () => {
    expect(await failure(check())).toMatch(/There is no catalog at /);
  });
});
