import { expect, test } from 'vitest';
import type { GgufValue } from './header.ts';
import { hasRecurrentState, headSize, kvElementsPerToken, trainedContext } from './memory.ts';

function header(architecture: string, entries: Record<string, GgufValue>) {
  return {
    architecture,
    metadata: new Map(Object.entries(entries).map(([key, value]) => [`${architecture}.${key}`, value])),
  };
}

const LLAMA = {
  block_count: 30,
  embedding_length: 576,
  'attention.head_count': 9,
  'attention.head_count_kv': 3,
  context_length: 8192,
};

test("the KV cache is that of llama.cpp's own arithmetic", () => {
  // SmolLM2-135M: 30 layers × 3 heads × (64 + 64).
  expect(kvElementsPerToken(header('llama', LLAMA))).toBe(11_520);
  expect(kvElementsPerToken(header('x', { ...LLAMA, 'attention.key_length': 128 }))).toBe(30 * 3 * 256);
  expect(kvElementsPerToken(header('x', { ...LLAMA, 'attention.value_length': 32 }))).toBe(30 * 3 * 96);
  expect(kvElementsPerToken(header('bert', { ...LLAMA, pooling_type: 1 }))).toBe(0);
  expect(kvElementsPerToken(header('llama', { ...LLAMA, pooling_type: 0 }))).toBe(11_520);
  expect(kvElementsPerToken(header('odd', {}))).toBe(0);
});

test('head counts that differ from layer to layer are counted by layer', () => {
  const perLayer = { length: 3, values: [2, 0, 1] };
  const hybrid = { ...LLAMA, block_count: 4, 'attention.head_count_kv': perLayer };
  // The last number holds for the layers behind it.
  expect(kvElementsPerToken(header('x', hybrid))).toBe((2 + 0 + 1 + 1) * 128);
  const both = { ...hybrid, 'attention.head_count': { length: 4, values: [9, 0, 9, 9] } };
  expect(headSize(header('x', both))).toBe(64);
  expect(kvElementsPerToken(header('x', both))).toBe((2 + 0 + 1 + 1) * 128);
  // A list that was too long to keep.
  const unknown = { ...LLAMA, 'attention.head_count_kv': { length: 5000, values: null } };
  expect(kvElementsPerToken(header('x', unknown))).toBe(30 * 9 * 128);
});

test('a header without a context length is one of the oldest', () => {
  expect(trainedContext(header('llama', LLAMA))).toBe(8192);
  expect(trainedContext(header('llama', { context_length: 0 }))).toBe(2048);
});

test.each([
  ['llama', {}, false],
  ['mamba', { 'ssm.conv_kernel': 4 }, true],
  ['rwkv7', { 'wkv.head_size': 64 }, true],
  ['lfm2', { 'shortconv.l_cache': 3 }, true],
])('%s keeps a state beside its KV cache: %j', (architecture, entries, expected) => {
  expect(hasRecurrentState(header(architecture, { ...LLAMA, ...entries }))).toBe(expected);
});
