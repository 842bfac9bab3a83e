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

describe('repositories as they are', () => {
  const shards = (name: string, count: number, extension = 'gguf') =>
    Array.from({ length: count }, (_, i) => {
      const number = (n: number) => String(n).padStart(5, '0');
      return `${name}-${number(i + 1)}-of-${number(count)}.${extension}`;
    });

  interface Listing {
    of: string;
    files: string[];
    tag?: string;
    takes: string | string[];
    projector?: string;
  }

  const LISTINGS: Listing[] = [
    { of: 'one file', files: ['.gitattributes', 'README.md', 'stories15M-q4_0.gguf'], takes: 'stories15M-q4_0.gguf' },
    {
      of: 'one for each quantization',
      files: ['M-1B-Instruct-IQ4_XS.gguf', 'M-1B-Instruct-Q4_K_M.gguf', 'M-1B-Instruct-Q8_0.gguf'],
      takes: 'M-1B-Instruct-Q4_K_M.gguf',
    },
    {
      of: 'names in lower case',
      files: ['m-1.5b-instruct-fp16.gguf', 'm-1.5b-instruct-q2_k.gguf', 'm-1.5b-instruct-q4_k_m.gguf'],
      takes: 'm-1.5b-instruct-q4_k_m.gguf',
    },
    { of: 'dots before the quantization', files: ['m-7b.Q2_K.gguf', 'm-7b.Q4_K_M.gguf'], takes: 'm-7b.Q4_K_M.gguf' },
    { of: 'the extension in capitals', files: ['M-Q8_0.GGUF', 'M-Q4_K_M.GGUF'], takes: 'M-Q4_K_M.GGUF' },
    {
      of: 'shards whose extension is in capitals',
      files: shards('M-Q8_0', 2, 'GGUF'),
      takes: shards('M-Q8_0', 2, 'GGUF'),
    },
    {
      of: 'a folder for each quantization',
      files: [...shards('Q2_K/M-70B-Q2_K', 2), ...shards('Q4_K_M/M-70B-Q4_K_M', 2)],
      takes: shards('Q4_K_M/M-70B-Q4_K_M', 2),
    },
    {
      of: 'folders named as their files',
      files: [...shards('M-Q4_K_M/M-Q4_K_M', 2), ...shards('M-Q8_0/M-Q8_0', 3)],
      tag: 'q8_0',
      takes: shards('M-Q8_0/M-Q8_0', 3),
    },
    {
      of: 'large quantizations in folders, small ones beside them',
      files: [...shards('BF16/M-BF16', 2), 'M-Q3_K_M.gguf', 'M-Q4_K_M.gguf', 'M-UD-Q4_K_XL.gguf'],
      tag: 'UD-Q4_K_XL',
      takes: 'M-UD-Q4_K_XL.gguf',
    },
    {
      of: 'the same, without the prefix',
      files: ['M-Q4_K_M.gguf', 'M-UD-Q4_K_XL.gguf'],
      tag: 'Q4_K_XL',
      takes: 'M-UD-Q4_K_XL.gguf',
    },
    { of: 'BF16 before F16', files: ['M-BF16.gguf', 'M-F16.gguf'], tag: 'F16', takes: 'M-F16.gguf' },
    { of: 'BF16 alone', files: ['M-BF16.gguf'], tag: 'BF16', takes: 'M-BF16.gguf' },
    { of: 'IQ4_NL before Q4_0', files: ['M-IQ4_NL.gguf', 'M-Q4_0.gguf'], tag: 'Q4_0', takes: 'M-Q4_0.gguf' },
    { of: 'a quantization that sticks to its name', files: ['ModelQ4_0.gguf'], tag: 'Q4_0', takes: 'ModelQ4_0.gguf' },
    { of: 'no quantization in the name', files: ['README.md', 'model.gguf'], takes: 'model.gguf' },
    { of: 'an importance matrix', files: ['imatrix.gguf', 'M-Q4_K_M.gguf'], takes: 'M-Q4_K_M.gguf' },
    {
      of: 'an importance matrix that is named as the model',
      files: ['M-8B-Imatrix.gguf', 'M-8B.imatrix.dat', 'M-8B.i1-IQ3_M.gguf', 'imatrix_unsloth.gguf_file'],
      takes: 'M-8B.i1-IQ3_M.gguf',
    },
    {
      of: 'models that tell of their matrix',
      files: ['M-7B-Q4_K_M-imatrix.gguf', 'M-7B-Q5_K_M-imatrix.gguf'],
      takes: 'M-7B-Q4_K_M-imatrix.gguf',
    },
    {
      of: 'a head that drafts, beside the model',
      files: ['mtp-M-9B-Q4_K_M.gguf', 'M-9B-Q4_K_M.gguf'],
      takes: 'M-9B-Q4_K_M.gguf',
    },
    {
      of: 'the same in capitals, in a folder',
      files: ['MTP/M-9B-MTP-Q4_K_M.gguf', 'MTP/M-9B-Q8_0.gguf', 'M-9B-Q2_K.gguf', 'M-9B-Q8_0.gguf'],
      takes: 'M-9B-Q8_0.gguf',
    },
    {
      of: 'a model with such a head in it',
      files: ['M-27B-mtp-Q4_K_M.gguf', 'M-27B-mtp-Q8_0.gguf'],
      takes: 'M-27B-mtp-Q4_K_M.gguf',
    },
    {
      of: 'shards of a model with such a head in it',
      files: shards('Q4_K_M/M-MTP-Q4_K_M', 2),
      takes: shards('Q4_K_M/M-MTP-Q4_K_M', 2),
    },
    { of: 'a model whose name only has the letters', files: ['SmtpBot-1B-Q8_0.gguf'], takes: 'SmtpBot-1B-Q8_0.gguf' },
    {
      of: 'heads of other kinds',
      files: ['EAGLE3-M-8B-Q4_K_M.gguf', 'M-8B-DFlash-Q4_K_M.gguf', 'dspark-M.gguf', 'M-8B-Q6_K.gguf'],
      takes: 'M-8B-Q6_K.gguf',
    },
    {
      of: 'a small model that drafts',
      files: ['draft/M-0.5B-Q4_K_M.gguf', 'M-32B-Q4_0.gguf'],
      takes: 'M-32B-Q4_0.gguf',
    },
    {
      of: 'a projector',
      files: ['M-VL-4B-Q4_K_M.gguf', 'mmproj-M-VL-4B-f16.gguf'],
      takes: 'M-VL-4B-Q4_K_M.gguf',
      projector: 'mmproj-M-VL-4B-f16.gguf',
    },
    {
      of: 'a projector in capitals, first',
      files: ['MMPROJ-M-VL-4B-Q4_K_M.GGUF', 'M-VL-4B-Q4_K_M.gguf'],
      takes: 'M-VL-4B-Q4_K_M.gguf',
      projector: 'MMPROJ-M-VL-4B-Q4_K_M.GGUF',
    },
    {
      of: 'a projector that is named as the model',
      files: ['M-VL.mmproj-Q8_0.gguf', 'M-VL.Q8_0.gguf', 'M-VL.mmproj-f16.gguf'],
      takes: 'M-VL.Q8_0.gguf',
      projector: 'M-VL.mmproj-Q8_0.gguf',
    },
    {
      of: 'projectors at the top, models in folders',
      files: ['mmproj-BF16.gguf', 'mmproj-F32.gguf', ...shards('UD-Q4_K_XL/M-UD-Q4_K_XL', 2)],
      takes: shards('UD-Q4_K_XL/M-UD-Q4_K_XL', 2),
      projector: 'mmproj-BF16.gguf',
    },
    {
      of: 'projectors in a folder',
      files: ['mmproj/mmproj-M-F16.gguf', 'M-Q4_K_M.gguf'],
      takes: 'M-Q4_K_M.gguf',
      projector: 'mmproj/mmproj-M-F16.gguf',
    },
    {
      of: 'models of two sizes',
      files: ['2b/M-2b-Q8_0.gguf', '2b/mmproj-2b.gguf', '7b/M-7b-Q4_K_M.gguf', '7b/mmproj-7b.gguf'],
      takes: '7b/M-7b-Q4_K_M.gguf',
      projector: '7b/mmproj-7b.gguf',
    },
    {
      of: 'the original’s weights beside it',
      files: [
        'config.json',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'gguf/m-q4_k_m.gguf',
      ],
      takes: 'gguf/m-q4_k_m.gguf',
    },
    {
      of: 'MXFP4 alone',
      files: shards('m-20b-mxfp4', 3),
      takes: shards('m-20b-mxfp4', 3),
    },
  ];

  test.each(LISTINGS)('$of', ({ files: there, tag = '', takes, projector }) => {
    // Hubs list by name, capitals first.
    expect(chosen(tag, ...there.toSorted())).toMatchObject({ shards: [takes].flat(), projector });
    expect(chosen(tag, ...there.toSorted().reverse())).toMatchObject({ shards: [takes].flat(), projector });
  });
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
