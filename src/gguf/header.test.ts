import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type MetadataValue, type Tensor, writeGguf } from '../../test/tiny-model/gguf-writer.ts';
import { LlamatabError } from '../errors.ts';
import { type GgufHeader, readGgufHeader } from './header.ts';
import type { ByteSource } from './reader.ts';

const METADATA: Record<string, MetadataValue> = {
  'general.architecture': { string: 'llama' },
  'llama.context_length': { uint32: 2048 },
  'llama.attention.head_count_kv': { int32s: [1, 4, 2] },
  'llama.rope.freq_base': { float32: 10_000 },
  'tokenizer.ggml.add_bos_token': { bool: false },
  'tokenizer.ggml.tokens': { strings: ['a', 'b', 'é'] },
};
const TENSORS: Tensor[] = [
  { name: 'a.weight', dims: [3], data: new Float32Array(3) },
  { name: 'b.weight', dims: [4, 5], data: new Float32Array(20) },
];

const gguf = (metadata = METADATA, tensors = TENSORS) => writeGguf(metadata, tensors);
const read = (bytes: Uint8Array<ArrayBuffer>) => readGgufHeader(new Blob([bytes]), 'm.gguf');

/** A header of nothing but counts: magic, version, tensors, metadata pairs, then `rest`. */
function counts(
  version: number,
  tensors: bigint,
  pairs: bigint,
  rest: Uint8Array = new Uint8Array(),
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(24 + rest.length);
  bytes.set(new TextEncoder().encode('GGUF'));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, version, true);
  view.setBigUint64(8, tensors, true);
  view.setBigUint64(16, pairs, true);
  bytes.set(rest, 24);
  return bytes;
}

/** A copy with the little-endian number after `marker` (and `skip` further bytes) replaced. */
function patch(bytes: Uint8Array<ArrayBuffer>, marker: string, skip: number, size: 4 | 8, value: number | bigint) {
  const at = Buffer.from(bytes).indexOf(marker) + marker.length + skip;
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  if (size === 4) view.setUint32(at, Number(value), true);
  else view.setBigUint64(at, BigInt(value), true);
  return copy;
}

/** A copy with another text of the same length. */
function rename(bytes: Uint8Array<ArrayBuffer>, from: string, to: string): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode(to), Buffer.from(bytes).indexOf(from));
  return copy;
}

describe('readGgufHeader', () => {
  test('reads metadata and tensors', async () => {
    const bytes = gguf();
    const header = await read(bytes);
    expect(header.version).toBe(3);
    expect(header.architecture).toBe('llama');
    expect(Object.fromEntries(header.metadata)).toEqual({
      'general.architecture': 'llama',
      'llama.context_length': 2048,
      'llama.attention.head_count_kv': { length: 3, values: [1, 4, 2] },
      'llama.rope.freq_base': 10_000,
      'tokenizer.ggml.add_bos_token': false,
      'tokenizer.ggml.tokens': { length: 3, values: ['a', 'b', 'é'] },
    });
    expect(header.tensors).toEqual([
      { name: 'a.weight', dims: [3], type: 0, offset: 0, size: 12 },
      { name: 'b.weight', dims: [4, 5], type: 0, offset: 32, size: 80 },
    ]);
    expect(header.dataOffset % 32).toBe(0);
    expect(header.fileSizeNeeded).toBe(header.dataOffset + 32 + 80);
    expect(header.fileSizeNeeded).toBe(bytes.length);
  });

  test('counts long lists without keeping them', async () => {
    const tokens = Array.from({ length: 200_000 }, (_, i) => `token ${i}`);
    const scores = tokens.map((_, i) => i);
    const header = await read(gguf({ ...METADATA, tokens: { strings: tokens }, scores: { int32s: scores } }));
    expect(header.metadata.get('tokens')).toEqual({ length: 200_000, values: null });
    expect(header.metadata.get('scores')).toEqual({ length: 200_000, values: null });
    expect(header.tensors).toHaveLength(2);
  });

  test('leaves out strings that are too long to keep', async () => {
    const header = await read(gguf({ huge: { string: 'x'.repeat(2 ** 20 + 1) }, ...METADATA }));
    expect(header.metadata.has('huge')).toBe(false);
    expect(header.architecture).toBe('llama');
  });

  test('takes a shard that has tensors and no architecture, and one that has no tensors', async () => {
    expect((await read(gguf({ 'split.no': { uint32: 1 } }))).architecture).toBeUndefined();
    const bytes = gguf(METADATA, []);
    expect((await read(bytes)).fileSizeNeeded).toBe(bytes.length);
  });

  test('lets a tensor type pass that only llama.cpp may know', async () => {
    const header = await read(patch(gguf(), 'b.weight', 4 + 16, 4, 99));
    expect(header.tensors[1]).toMatchObject({ type: 99, size: null });
  });

  test('computes the size of quantized tensors', async () => {
    // 3 elements can't be Q8_0 (blocks of 32).
    await expect(read(patch(gguf(), 'a.weight', 4 + 8, 4, 8))).rejects.toThrow(/rows of 3 elements.* packs 32/);
    const tensor = { name: 'q', dims: [64, 3], data: new Float32Array(64 * 3) };
    const header = await read(patch(gguf({}, [tensor]), '\0q', 4 + 16, 4, 8));
    expect(header.tensors[0]).toMatchObject({ type: 8, size: (64 / 32) * 34 * 3 });
  });

  const refused: [string, () => Uint8Array<ArrayBuffer>, RegExp][] = [
    ['nothing', () => new Uint8Array(), /m\.gguf is not a GGUF: it is empty/],
    ['HTML', () => new TextEncoder().encode('<!DOCTYPE html><title>x'), /not a GGUF: starts with "<!DOCTYPE html>/],
    ['other bytes', () => new Uint8Array([0x50, 0x4b, 3, 4, 255]), /not a GGUF: starts with the bytes 50 4b 03 04 ff/],
    ['half a magic', () => new TextEncoder().encode('GG'), /not a GGUF: starts with "GG"/],
    [
      'a Git LFS pointer',
      () => new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'),
      /git lfs pull/,
    ],
    ['only the magic', () => new TextEncoder().encode('GGUF'), /truncated: the version ends at byte 8/],
    ['version 1', () => counts(1, 0n, 0n), /GGUF version 1, but llama.cpp reads/],
    ['version 4', () => counts(4, 0n, 0n), /GGUF version 4, but/],
    ['big-endian', () => counts(0x03000000, 0n, 0n), /big-endian/],
    ['absurdly many tensors', () => counts(3, 2n ** 63n, 0n), /it claims 92233720\d+ tensors, and 65536 is the most/],
    ['absurdly many pairs', () => counts(3, 0n, 5000n), /it claims 5000 metadata pairs/],
    [
      'a key of 2^60 bytes',
      () => counts(3, 0n, 1n, new Uint8Array([0, 0, 0, 0, 0, 0, 0, 16])),
      /truncated: metadata key 1/,
    ],
    ['an unknown value type', () => patch(gguf(), 'general.architecture', 0, 4, 13), /type 13, which does not exist/],
    ['a list of lists', () => patch(gguf(), 'tokenizer.ggml.tokens', 4, 4, 9), /list of the type 9/],
    [
      'a list without end',
      () => patch(gguf(), 'tokenizer.ggml.tokens', 8, 8, 100_000_000),
      /truncated: metadata "tokenizer/,
    ],
    ['a list of 2^63', () => patch(gguf(), 'tokenizer.ggml.tokens', 8, 8, 2n ** 63n), /claims 92233720\d+ elements/],
    ['a key twice', () => rename(gguf({ xa: { bool: true }, xb: { bool: true } }), 'xb', 'xa'), /"xa" occurs twice/],
    ['a tensor twice', () => gguf(METADATA, [...TENSORS, ...TENSORS]), /tensor "a.weight" occurs twice/],
    ['five dimensions', () => patch(gguf(), 'b.weight', 0, 4, 5), /has 5 dimensions/],
    ['no dimensions', () => patch(gguf(), 'b.weight', 0, 4, 0), /has 0 dimensions/],
    ['an absurd dimension', () => patch(gguf(), 'b.weight', 4, 8, 2n ** 60n), /"b.weight" is 11529215\d+ × 5 elements/],
    ['an absurd offset', () => patch(gguf(), 'b.weight', 4 + 16 + 4, 8, 2n ** 60n), /begins at byte 11529215\d+/],
    [
      'a name of 64 bytes',
      () => gguf({}, [{ ...(TENSORS[0] as Tensor), name: 'n'.repeat(64) }]),
      /longer than 63 bytes/,
    ],
    [
      'an alignment of 24',
      () => gguf({ 'general.alignment': { uint32: 24 } }),
      /general.alignment is 24, not a power of two/,
    ],
    [
      'a cut tensor',
      () => gguf().slice(0, -1),
      /truncated: tensor "b.weight" ends at byte (\d+) but the file has (\d+)/,
    ],
    ['a shifted tensor', () => patch(gguf(), 'b.weight', 4 + 16 + 4, 8, 4096), /truncated: tensor "b.weight"/],
  ];
  test.each(refused)('refuses %s', async (_, make, message) => {
    const error = await read(make()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LlamatabError);
    expect((error as LlamatabError).type).toBe('server_error');
    expect((error as LlamatabError).message).toMatch(message);
  });

  test('refuses every cut of a file', async () => {
    const bytes = gguf();
    for (let length = 0; length < bytes.length; length++) {
      await expect(read(bytes.slice(0, length))).rejects.toThrow(/truncated|not a GGUF/);
    }
  });

  test('survives 100,000 mutated headers without reading or keeping more than the file', {
    timeout: 120_000,
  }, async () => {
    const original = gguf();
    const random = numbers(20_251_123);
    const outcomes = { taken: 0, refused: 0 };
    for (let i = 0; i < 100_000; i++) {
      const bytes = mutate(original, random);
      const blob = new CountingBlob(bytes);
      const header = await readGgufHeader(blob).catch((error: unknown) => error);
      // The first bytes are read twice: once to say what they are, once as the header.
      if (blob.bytesRead > bytes.length + 64) throw new Error(`mutant ${i} was read for ${blob.bytesRead} bytes`);
      if (header instanceof Error) {
        if (!(header instanceof LlamatabError)) throw new Error(`mutant ${i}`, { cause: header });
        outcomes.refused++;
      } else {
        if ((header as GgufHeader).fileSizeNeeded > bytes.length)
          throw new Error(`mutant ${i} is longer than its file`);
        outcomes.taken++;
      }
    }
    // Both happen often, or the mutations are too mild or too wild to say anything.
    expect(outcomes.refused).toBeGreaterThan(25_000);
    expect(outcomes.taken).toBeGreaterThan(5000);
  });
});

describe('the embedded models', () => {
  const folder = new URL('../../public/models/', import.meta.url);
  const open = async (id: string) => {
    const catalog = JSON.parse(await readFile(new URL('catalog.json', folder), 'utf8')) as {
      models: { id: string; files: { pieces: { url: string }[] }[] }[];
    };
    const pieces = catalog.models.find((model) => model.id === id)?.files[0]?.pieces ?? [];
    return new Blob(await Promise.all(pieces.map((piece) => openAsBlob(new URL(piece.url, folder)))));
  };

  test('SmolLM2-135M-Instruct', async () => {
    const file = await open('smollm2-135m-instruct');
    const header = await readGgufHeader(file);
    expect(header.architecture).toBe('llama');
    expect(header.metadata.get('llama.context_length')).toBe(8192);
    expect(header.metadata.get('llama.block_count')).toBe(30);
    expect(header.metadata.get('tokenizer.ggml.tokens')).toEqual({ length: 49_152, values: null });
    expect(header.metadata.get('tokenizer.chat_template')).toContain('<|im_start|>');
    expect(header.fileSizeNeeded).toBe(file.size);
    await expect(readGgufHeader(file.slice(0, 25_165_824))).rejects.toThrow(
      /truncated: tensor .* but the file has 25165824/,
    );
  });

  test('all-MiniLM-L6-v2', async () => {
    const file = await open('all-minilm-l6-v2');
    const header = await readGgufHeader(file);
    expect(header.architecture).toBe('bert');
    expect(header.metadata.get('bert.context_length')).toBe(512);
    expect(header.metadata.get('bert.embedding_length')).toBe(384);
    expect(header.fileSizeNeeded).toBe(file.size);
  });
});

/** As much of a Blob as the reader uses, in memory and counted: thousands of real ones are slow in Node. */
class CountingBlob implements ByteSource {
  bytesRead = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  slice(start: number, end: number) {
    const part = this.#bytes.slice(start, end);
    return {
      arrayBuffer: async () => {
        this.bytesRead += part.length;
        return part.buffer;
      },
    };
  }
}

/** One to four changes: a bit, a byte at its limits, a 64-bit field of an absurd number, or the end cut off. */
function mutate(original: Uint8Array<ArrayBuffer>, random: () => number): Uint8Array<ArrayBuffer> {
  let bytes = original.slice();
  const below = (limit: number) => Math.floor(random() * limit);
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const at = below(bytes.length);
    const kind = below(10);
    if (kind < 4) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    else if (kind < 7) bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)] ?? 0;
    else if (kind < 9 && at + 8 <= bytes.length) {
      const value = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n][below(7)] ?? 0n;
      new DataView(bytes.buffer).setBigUint64(at, value, true);
    } else if (bytes.length > 64 && below(4) === 0) bytes = bytes.slice(0, at + 1);
  }
  return bytes;
}

/** A linear congruential generator: the same mutants in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
