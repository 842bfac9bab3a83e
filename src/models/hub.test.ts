import { describe, expect, test } from 'vitest';
import { chooseFiles, findOnHub, type HubFile } from './hub.ts';

const files = (...paths: string[]): HubFile[] =>
  paths.map((path) => ({ path, url: `https://hub.example/o/r/resolve/main/${path}`, size: 10 }));
const chosen = (tag: string, ...paths: string[]) => {
  const { shards, projector, tag: found } = chooseFiles(files(...paths), 'o/r', tag);
  return { shards: shards.map((file) => file.path), projector: projector?.path, tag: found };
};

describe('the quantization', () => {
  test('that is named, in any case', () => {
    expect(chosen('q8_0', 'm-Q4_K_M.gguf', 'm-Q8_0.gguf').shards).toEqual(['m-Q8_0.gguf']);
    expect(chosen('Q4_0', 'm.Q4_0.gguf').shards).toEqual(['m.Q4_0.gguf']);
  });
  test('without one: Q4_K_M, then Q8_0, then the first', () => {
    expect(chosen('', 'm-Q2_K.gguf', 'm-Q8_0.gguf', 'm-Q4_K_M.gguf')).toMatchObject({
      shards: ['m-Q4_K_M.gguf'],
      tag: 'Q4_K_M',
    });
    expect(chosen('', 'm-Q2_K.gguf', 'm-Q8_0.gguf').tag).toBe('Q8_0');
    expect(chosen('', 'README.md', 'm-Q2_K.gguf', 'm-Q3_K_S.gguf').tag).toBe('Q2_K');
  });
  test('is not taken from a longer name', () => {
    expect(chosen('Q4_K', 'm-Q4_K_M.gguf', 'm-Q4_K.gguf').shards).toEqual(['m-Q4_K.gguf']);
  });
  test('that is not there names those that are', () => {
    expect(() => chosen('Q5_0', 'm-Q4_K_M.gguf', 'm-Q8_0.gguf')).toThrow(
      'o/r has no GGUF file with the quantization Q5_0. It has: Q4_K_M, Q8_0.',
    );
    expect(() => chosen('', 'model.safetensors')).toThrow(/has no GGUF file: look for a repository/);
  });
});

test('takes all shards, in order, and says which is lacking', () => {
  const shards = [
    'big/m-Q4_K_M-00002-of-00003.gguf',
    'big/m-Q4_K_M-00001-of-00003.gguf',
    'big/m-Q4_K_M-00003-of-00003.gguf',
  ];
  expect(chosen('', ...shards).shards).toEqual(shards.toSorted());
  expect(() => chosen('', ...shards.slice(0, 2))).toThrow(/lacks the shard big\/m-Q4_K_M-00003-of-00003.gguf/);
});

test('takes the projector of the nearest folder with the closest quantization, and no draft or matrix for a model', () => {
  expect(chosen('', 'mmproj-m-f16.gguf', 'mmproj-m-Q8_0.gguf', 'm-Q8_0.gguf')).toMatchObject({
    shards: ['m-Q8_0.gguf'],
    projector: 'mmproj-m-Q8_0.gguf',
  });
  expect(chosen('', 'mmproj-F16.gguf', 'a/mmproj-F16.gguf', 'a/m-Q4_K_M.gguf', 'b/mmproj-F16.gguf').projector).toBe(
    'a/mmproj-F16.gguf',
  );
  expect(chosen('', 'imatrix.gguf', 'mtp-m-Q4_K_M.gguf', 'm-Q2_K.gguf').shards).toEqual(['m-Q2_K.gguf']);
});

describe('the listing', () => {
  const list = (pages: Record<string, Response>) =>
    findOnHub('o/r', {
      endpoint: 'https://hub.example/',
      headers: { Authorization: 'Bearer t' },
      fetch: async (url, init) => {
        expect(new Headers(init.headers).get('authorization')).toBe('Bearer t');
        return pages[url] ?? new Response('no', { status: 404 });
      },
    });
  const TREE = 'https://hub.example/api/models/o/r/tree/main?recursive=true';

  test('is read page by page; the hash is that of large files', async () => {
    const oid = 'a'.repeat(64);
    const first = Response.json(
      [
        { type: 'directory', path: 'x' },
        { type: 'file', path: 'README.md', size: 3, oid: 'b' },
      ],
      {
        headers: { Link: '<https://hub.example/next>; rel="next"' },
      },
    );
    const second = Response.json([
      { type: 'file', path: 'x/m Q4_K_M.gguf', size: 130, oid: 'c', lfs: { oid, size: 4000 } },
    ]);
    expect((await list({ [TREE]: first, 'https://hub.example/next': second })).shards).toEqual([
      {
        path: 'x/m Q4_K_M.gguf',
        url: 'https://hub.example/o/r/resolve/main/x/m%20Q4_K_M.gguf',
        size: 4000,
        sha256: oid,
      },
    ]);
  });

  test('does not follow a page to another origin: the token goes nowhere else', async () => {
    const first = Response.json([{ type: 'file', path: 'm-Q8_0.gguf', size: 3 }], {
      headers: { Link: '<https://evil.example/next>; rel="next"' },
    });
    expect((await list({ [TREE]: first })).shards).toHaveLength(1);
  });

  test.each([
    [new Response('', { status: 404 }), /there is no such repository, or it is private or gated/],
    [new Response('', { status: 403 }), /Check that the token may read it/],
    [new Response('', { status: 500 }), /HTTP 500/],
    [Response.json({ error: 'x' }), /does not answer as a hub/],
    [new Response('<html>'), /can't be read/],
  ])('that is none says why', async (response, message) => {
    await expect(list({ [TREE]: response })).rejects.toThrow(message);
  });
});
