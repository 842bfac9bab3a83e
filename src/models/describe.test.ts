import { expect, test } from 'vitest';
import type { GgufHeader, GgufValue } from '../gguf/header.ts';
import { describeGguf, idFrom, shardOf } from './describe.ts';

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

test('a header tells what a model can do, and who made it', () => {
  const template = { 'tokenizer.chat_template': '{% if tools %}…{% endif %}' };
  const plain = describeGguf(header('llama', LLAMA, { 'general.name': 'M', 'general.author': 'A', ...template }), 'f');
  expect(plain).toEqual({
    name: 'M',
    authors: 'A',
    license: 'unknown',
    capabilities: ['chat', 'completion', 'tools'],
    contextLength: 8192,
  });
  expect(describeGguf(header('llama', {}), 'file').name).toBe('file');
  expect(describeGguf(header('llama', {}), 'f').capabilities).toEqual(['completion']);
  expect(describeGguf(header('bert', {}), 'f').capabilities).toEqual(['embedding']);
  expect(describeGguf(header('qwen3', { pooling_type: 4 }), 'f').capabilities).toEqual(['rerank']);
  const sees = header('clip', {}, { 'clip.has_vision_encoder': true });
  const hears = header('clip', {}, { 'clip.has_audio_encoder': true });
  expect(describeGguf(header('llama', {}), 'f', sees).capabilities).toEqual(['completion', 'vision']);
  expect(describeGguf(header('llama', {}), 'f', hears).capabilities).toEqual(['completion', 'audio']);
  const speaks = header('clip', {}, { 'clip.has_gen_audio_encoder': true });
  expect(describeGguf(header('pockettts', {}), 'f', speaks).capabilities).toEqual(['completion', 'speech']);
  const embeds = header('qwen3', { pooling_type: 3 });
  expect(describeGguf(embeds, 'f', sees).capabilities).toEqual(['embedding', 'vision']);
  expect(describeGguf(embeds, 'f', header('clip', {}, {})).capabilities).toEqual(['embedding', 'vision']);
  const script = { 'general.url': 'javascript:alert(1)' };
  expect(describeGguf(header('llama', {}, script), 'f').homepage).toBeUndefined();
});

test('names of shards, and ids from names', () => {
  expect(shardOf('m-Q4-00002-of-00010.gguf')).toEqual({ index: 2, count: 10, base: 'm-Q4.gguf' });
  expect(shardOf('m.gguf')).toBeNull();
  expect(['m-00001-of-00002.gguf', 'My Model (1).gguf', '..gguf', 'local.gguf', 'é.gguf'].map(idFrom)).toEqual([
    'm',
    'My-Model-1-',
    'model',
    'model',
    'model',
  ]);
});
