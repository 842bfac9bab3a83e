import { describe, expect, test } from 'vitest';
import type { GgufScalar, GgufValue } from '../gguf/header.ts';
import { makeTokenizer } from './make-tokenizer.ts';
import { makeVocabulary } from './vocabulary.ts';

const list = (...values: GgufScalar[]): GgufValue => ({ length: values.length, values });

/** A model of the tokens `<s>`, `</s>`, a, b and ab. */
const METADATA: Record<string, GgufValue> = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'gpt-2',
  'tokenizer.ggml.tokens': list('<s>', '</s>', 'a', 'b', 'ab'),
  'tokenizer.ggml.token_type': list(3, 3, 1, 1, 1),
  'tokenizer.ggml.merges': list('a b'),
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 1,
};
const vocabulary = (changes: Record<string, GgufValue | undefined> = {}) =>
  makeVocabulary(
    new Map(
      Object.entries({ ...METADATA, ...changes }).filter(
        (entry): entry is [string, GgufValue] => entry[1] !== undefined,
      ),
    ),
    'm',
  );

describe('makeVocabulary', () => {
  test('reads what a tokenizer needs', () => {
    const tokenizer = makeTokenizer(vocabulary({ 'tokenizer.ggml.add_bos_token': true }));
    expect(tokenizer.size).toBe(5);
    expect(tokenizer.encode('abba</s>', { addSpecial: true })).toEqual([0, 4, 3, 2, 1]);
    expect(tokenizer.encode('ab</s>', { parseSpecial: false })).toEqual([4]);
    expect(tokenizer.decode([0, 4, 1])).toBe('<s>ab</s>');
  });

  test('takes a special token that is not there for none', () => {
    const { bos, eos } = vocabulary({ 'tokenizer.ggml.bos_token_id': 99, 'tokenizer.ggml.eos_token_id': undefined });
    // The default of GPT-2 models, 11, is not there either.
    expect([bos, eos]).toEqual([undefined, undefined]);
  });

  test.each([
    [{ 'tokenizer.ggml.model': 'rwkv' }, 'not_supported_error', /the kind "rwkv"; those that are known: llama, gpt2/],
    [{ 'tokenizer.ggml.model': undefined }, 'not_supported_error', /the kind ""/],
    [{ 'tokenizer.ggml.pre': 'kimi-k2' }, 'not_supported_error', /a pre-tokenizer that is not known: "kimi-k2"/],
    [{ 'tokenizer.ggml.tokens': undefined }, 'server_error', /tokenizer.ggml.tokens is missing/],
    [
      { 'tokenizer.ggml.tokens': { length: 2 ** 21, values: null } },
      'server_error',
      /tokenizer.ggml.tokens is missing/,
    ],
    [{ 'tokenizer.ggml.tokens': list(1, 2) }, 'server_error', /tokenizer.ggml.tokens is missing/],
    [{ 'tokenizer.ggml.token_type': list(1) }, 'server_error', /tokenizer.ggml.token_type is missing, too short/],
    [{ 'tokenizer.ggml.merges': undefined }, 'server_error', /tokenizer.ggml.merges is missing/],
  ])('%j', (changes, type, message) => {
    expect(() => vocabulary(changes)).toThrow(
      expect.objectContaining({ type, message: expect.stringMatching(message) }),
    );
  });
});

test('a token that is not there has no text', () => {
  const tokenizer = makeTokenizer(vocabulary());
  const message = (asked: string) => `vector::_M_range_check: __n (which is ${asked}) >= this->size() (which is 5)`;
  expect(() => tokenizer.decode([5])).toThrow(message('5'));
  expect(() => tokenizer.decode([-1])).toThrow(message('18446744073709551615'));
});
