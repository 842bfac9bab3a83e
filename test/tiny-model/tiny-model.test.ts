import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readGgufHeader } from '../../src/gguf/header.ts';
import { tinyModel } from './tiny-model.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('tinyModel', () => {
  test('gives the same bytes each time, on every machine', () => {
    // If this changes on purpose, texts that other tests expect of the model change with it.
    expect(sha256(tinyModel())).toBe('9e97952ef820b304c59692eeb4de58cac07c39ca22d8ee0987c1e4d9f33ce3c7');
    expect(sha256(tinyModel())).toBe(sha256(tinyModel({ seed: 1 })));
  });

  test('gives another model for another seed or end bias', () => {
    const hashes = [{}, { seed: 2 }, { endBias: 0 }].map((options) => sha256(tinyModel(options)));
    expect(new Set(hashes).size).toBe(3);
  });

  test('is a GGUF that the header reader takes', async () => {
    const bytes = tinyModel({ seed: 7 });
    const header = await readGgufHeader(new Blob([bytes]));
    expect(header.version).toBe(3);
    expect(header.architecture).toBe('llama');
    expect(header.metadata.get('general.name')).toBe('tiny (seed 7)');
    expect(header.metadata.get('tokenizer.chat_template')).toContain('<|im_start|>');
    expect(header.metadata.get('tokenizer.ggml.tokens')).toMatchObject({ length: 259 });
    expect(header.metadata.get('llama.context_length')).toBe(2048);
    expect(header.tensors).toHaveLength(3 + 2 * 9);
    expect(header.fileSizeNeeded).toBe(bytes.length);
    expect(bytes.length).toBeLessThan(1.1e6);
  });

  test('is rejected when it is cut anywhere', async () => {
    const bytes = tinyModel();
    for (const length of [1, 3, 4, 23, 24, 500, 5000, 10_000, 500_000, bytes.length - 1]) {
      await expect(readGgufHeader(new Blob([bytes.subarray(0, length)]))).rejects.toThrow(/truncated|not a GGUF/);
    }
  });
});
