import { expect, test } from 'vitest';
import { readTokenizer } from '../../src/tokenizer/make-tokenizer.ts';
import { textOfTokens, undecoded } from '../../src/tokenizer/undecoded.ts';
import { randomTexts } from './texts.ts';
import { embeddedModel, SPECIALS, sentencePieces } from './vocabularies.ts';

const smollm2 = await readTokenizer(await embeddedModel('smollm2-135m-instruct'), 'SmolLM2');
const minilm = await readTokenizer(await embeddedModel('all-minilm-l6-v2'), 'MiniLM');
const llama = await readTokenizer(
  new Blob([sentencePieces('llama', smollm2, { 'tokenizer.ggml.add_bos_token': { bool: true } })]),
  'llama',
);
const texts = randomTexts(500, [...SPECIALS.map(({ text }) => text), '<|im_start|>'], 7).map((text) =>
  text.replace(/\p{Surrogate}/gu, '\ufffd'),
);

test('BPE gives the text back', () => {
  const different = texts.filter((text) => smollm2.decode(smollm2.encode(text)) !== text);
  expect(different).toEqual([]);
});

test.each([
  ['BPE', smollm2],
  ['SentencePiece', llama],
])('%s: a text is found again from what its tokens were decoded to', (_, tokenizer) => {
  const different = texts.filter(
    (text) => undecoded(tokenizer, tokenizer.decode(tokenizer.encode(text, { addSpecial: true }))) !== text,
  );
  expect(different).toEqual([]);
});

test.each([
  ['BPE', smollm2],
  ['SentencePiece', llama],
])('%s: tokens that a text gave are given by a text', (_, tokenizer) => {
  for (const addSpecial of [true, false]) {
    const different = texts.filter((text) => {
      const tokens = tokenizer.encode(text, { addSpecial });
      const found = textOfTokens(tokenizer, tokens, addSpecial);
      return found === null || `${tokenizer.encode(found, { addSpecial })}` !== `${tokens}`;
    });
    expect(different).toEqual([]);
  }
});

test('tokens that no text gives are told', () => {
  const [h = 0, e = 0] = [smollm2.encode('h')[0], smollm2.encode('e')[0]];
  expect(textOfTokens(smollm2, smollm2.encode('he'), true)).toBe('he');
  expect(textOfTokens(smollm2, [h, e], true)).toBeNull();
  // A part of a character.
  expect(textOfTokens(smollm2, smollm2.encode('🦙').slice(0, 1), true)).toBeNull();
  // Without the token that is always put in front.
  expect(textOfTokens(llama, llama.encode('he'), true)).toBeNull();
  expect(textOfTokens(minilm, [101, 7592, 102], true)).not.toBeNull();
});
