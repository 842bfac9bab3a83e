/** Against llama.cpp's own ids: see `record-engine-ids.mjs`. */
import { describe, expect, test } from 'vitest';
import { makeTokenizer, readTokenizer } from '../../src/tokenizer/make-tokenizer.ts';
import { PRE_TOKENIZERS } from '../../src/tokenizer/pre-tokenizers.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { readVocabulary, type Vocabulary } from '../../src/tokenizer/vocabulary.ts';
import { type Case, hashOf, parsesSpecial, preTokenizerCase, preTokenizerNames, vocabularyCases } from './cases.ts';
import engineIds from './engine-ids.json' with { type: 'json' };

interface Recorded {
  addsBos: boolean;
  addsEos: boolean;
  /** Four digits for each text. */
  ids: string;
}
const recorded = engineIds as Record<string, Recorded>;

function expectSameIds(tokenizer: Tokenizer, { name, texts }: Case): void {
  const ids = recorded[name]?.ids ?? '';
  expect(ids).toHaveLength(4 * texts.length);
  const different = texts.filter(
    (text, index) =>
      hashOf(tokenizer.encode(text, { parseSpecial: parsesSpecial(index) })) !== ids.slice(4 * index, 4 * index + 4),
  );
  expect(different).toEqual([]);
}

describe('gives llama.cpp’s ids', async () => {
  test.for(await vocabularyCases())('$name', { timeout: 60_000 }, async (vocabulary) => {
    const { name, gguf } = vocabulary;
    const tokenizer = await readTokenizer(gguf(), name);
    expectSameIds(tokenizer, vocabulary);
    const { before, after } = tokenizer.added;
    // llama.cpp says of BERT's only that a SEP is added, which is no EOS.
    const eos = name === 'all-minilm-l6-v2' ? true : recorded[name]?.addsEos;
    expect([before.length === 1, after.length === 1]).toEqual([recorded[name]?.addsBos, eos]);
  });

  // Many names are of the same pre-tokenizer: one of them is run, and llama.cpp's ids say that it makes no difference.
  const firstOf = (name: string) =>
    preTokenizerNames.find((other) => PRE_TOKENIZERS[other] === PRE_TOKENIZERS[name]) as string;
  let pairsOfBytes: Vocabulary;

  test.for(preTokenizerNames.filter((name) => firstOf(name) === name))('pre-tokenizer %s', async (name) => {
    const pre = PRE_TOKENIZERS[name];
    if (pre === undefined) throw new Error(name);
    const tested = preTokenizerCase(name);
    if (pre.raw) {
      expectSameIds(await readTokenizer(tested.gguf(), name), tested);
    } else {
      pairsOfBytes ??= await readVocabulary(tested.gguf(), name);
      expectSameIds(makeTokenizer({ ...pairsOfBytes, pre }), tested);
    }
  });

  test.for(preTokenizerNames)('pre-tokenizer %s: name and options', (name) => {
    const known = recorded[`pre: ${name}`];
    const { defaults, alwaysBos } = PRE_TOKENIZERS[name] ?? {};
    expect(known?.ids).toBe(recorded[`pre: ${firstOf(name)}`]?.ids);
    expect(known).toMatchObject({ addsBos: defaults?.addBos ?? alwaysBos ?? false, addsEos: false });
  });
});
