/** What the tokenizer is compared with llama.cpp's on. `engine-ids.json` holds llama.cpp's side. */

import { readTokenizer } from '../../src/tokenizer/make-tokenizer.ts';
import { PRE_TOKENIZERS } from '../../src/tokenizer/pre-tokenizers.ts';
import { tinyModel } from '../tiny-model/tiny-model.ts';
import { randomTexts } from './texts.ts';
import { charsMap, embeddedModel, pairsOfBytes, pairsOfCharacters, SPECIALS, sentencePieces } from './vocabularies.ts';

export interface Case {
  name: string;
  gguf: () => Blob;
  texts: string[];
}

const SPECIAL_TEXTS = SPECIALS.map(({ text }) => text);
/** Texts of each vocabulary, and of each pre-tokenizer. */
const MANY = 5000;
const SOME = 300;
const PRE_TOKENIZER_TEXTS = randomTexts(SOME, SPECIAL_TEXTS, 4);

/** The embedded models, and one of each kind that is not among them. */
export async function vocabularyCases(): Promise<Case[]> {
  const minilm = await embeddedModel('all-minilm-l6-v2');
  const smollm2 = await embeddedModel('smollm2-135m-instruct');
  const tokenizer = await readTokenizer(smollm2, 'SmolLM2');
  const texts = randomTexts(MANY, SPECIAL_TEXTS, 3);
  return [
    {
      name: 'smollm2-135m-instruct',
      gguf: () => smollm2,
      texts: randomTexts(MANY, ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<repo_name>', '<jupyter_code>'], 1),
    },
    {
      name: 'all-minilm-l6-v2',
      gguf: () => minilm,
      texts: randomTexts(MANY, ['[CLS]', '[SEP]', '[UNK]', '[MASK]', '[PAD]', '[unused1]'], 2),
    },
    {
      name: 'tiny',
      gguf: () => new Blob([tinyModel()]),
      texts: randomTexts(MANY, ['<|im_start|>', '<|im_end|>', '<|endoftext|>'], 5),
    },
    { name: 'llama', gguf: () => new Blob([sentencePieces('llama', tokenizer)]), texts },
    {
      name: 'llama without a space in front',
      gguf: () =>
        new Blob([sentencePieces('llama', tokenizer, { 'tokenizer.ggml.add_space_prefix': { bool: false } })]),
      texts: texts.slice(0, SOME),
    },
    {
      name: 'phi-3',
      gguf: () => new Blob([sentencePieces('llama', tokenizer, { 'general.name': { string: 'Phi-3 mini' } })]),
      texts: texts.slice(0, SOME),
    },
    { name: 't5', gguf: () => new Blob([sentencePieces('t5', tokenizer)]), texts },
    {
      name: 't5 with normalization rules',
      gguf: () =>
        new Blob([
          sentencePieces('t5', tokenizer, {
            'tokenizer.ggml.precompiled_charsmap': {
              uint8s: charsMap({
                '\u00a0': ' ',
                '\u3000': ' ',
                ﬁ: 'fi',
                Å: 'A',
                '…': '...',
                'e\u0301': 'é',
                the: 'THE',
                '\n': ' ',
              }),
            },
          }),
        ]),
      texts,
    },
    {
      name: 't5 with one space in front',
      gguf: () =>
        new Blob([
          sentencePieces('t5', tokenizer, {
            'tokenizer.ggml.add_space_prefix': { bool: true },
            'tokenizer.ggml.remove_extra_whitespaces': { bool: true },
          }),
        ]),
      texts: texts.slice(0, SOME),
    },
  ];
}

export const preTokenizerNames = Object.keys(PRE_TOKENIZERS);

/** A pre-tokenizer by its name. */
export function preTokenizerCase(name: string): Case {
  const raw = PRE_TOKENIZERS[name]?.raw === true;
  return {
    name: `pre: ${name}`,
    gguf: () => new Blob([raw ? pairsOfCharacters(name, name === 'gemma4' ? 'gemma4' : 'gpt2') : pairsOfBytes(name)]),
    texts: PRE_TOKENIZER_TEXTS,
  };
}

/** Every other text with its special tokens as text. */
export const parsesSpecial = (index: number) => index % 2 === 0;

/** Four hexadecimal digits: FNV-1a, folded. */
export function hashOf(ids: Iterable<number>): string {
  let hash = 0x811c9dc5;
  for (const id of ids) {
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((id >>> shift) & 0xff), 0x01000193);
  }
  return ((hash ^ (hash >>> 16)) & 0xffff).toString(16).padStart(4, '0');
}
