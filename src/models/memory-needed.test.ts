import { expect, test } from 'vitest';
import type { GgufHeader, GgufValue } from '../gguf/header.ts';
import { ENGINE_MEMORY, memoryNeeded } from './memory-needed.ts';

function header(architecture: string, metadata: Record<string, GgufValue>, general: Record<string, GgufValue> = {}) {
  const entries = Object.entries(metadata).map(([key, value]): [string, GgufValue] => [
    `${architecture}.${key}`,
    value,
  ]);
  return {
    architecture,
    metadata: new Map([['general.architecture', architecture], ...entries, ...Object.entries(general)]),
  } as unknown as GgufHeader;
}

const LLAMA = {
  block_count: 30,
  embedding_length: 576,
  'attention.head_count': 9,
  'attention.head_count_kv': 3,
  context_length: 8192,
};

test('memory is weights and cache, against the device and the engine', () => {
  const llama = header('llama', LLAMA);
  expect(memoryNeeded(llama, 100e6, 1000, 8)).toEqual({
    weights: 100e6,
    kvCache: 23_040_000,
    total: 123_040_000,
    contextLength: 1000,
    available: ENGINE_MEMORY,
    enough: true,
  });
  expect(memoryNeeded(llama, 1e9, 1000, 0.5)).toMatchObject({ available: 2 ** 29, enough: false });
  expect(memoryNeeded(llama, 5e9, 1000, undefined).enough).toBe(false);
});
