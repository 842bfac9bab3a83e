/**
 * How BPE models cut text before they merge it: `tokenizer.ggml.pre` of the GGUF to llama.cpp's expressions and options for it
 * (`llama-vocab.cpp`, b11364).
 */
import type { Split } from './split.ts';

export interface PreTokenizer {
  /** Applied one after another, each to the pieces that the one before it left. */
  splits: readonly Split[];
  /** A piece that is a token as it stands is not merged. */
  ignoreMerges?: boolean;
  /** Tokens are plain text, and bytes are written `<0x0A>`; otherwise each byte is a character of GPT-2's alphabet. */
  raw?: boolean;
  /** Spaces are U+2581 in tokens. */
  escapesSpaces?: boolean;
  /** As `ignoreMerges`, for pieces of newlines. */
  ignoresMergesOfNewlines?: boolean;
  alwaysBos?: boolean;
  /** For what the file does not say. */
  defaults?: { addBos?: boolean; bos?: undefined };
}

/**
 * Members of a character class of the collapsed text (`split.ts`): Unicode's numbers, letters, … as ASCII, and the one
 * character that stands for all others. llama.cpp takes `\p{Lu}` for `\p{L}`.
 */
const N = '0-9\\xd1';
const UPPER = 'A-Z\\xd2';
const LOWER = 'a-z\\xd2';
const L = 'A-Za-z\\xd2';
const P = '!-#%-*,-/:;?@\\[-\\]_{}\\xd3';
const M = '\\xd4';
const S = '$+<->^`|~\\xd5';

const classes = (...alternatives: string[]): Split => ({
  of: 'classes',
  pattern: new RegExp(alternatives.join('|'), 'g'),
});
const text = (pattern: RegExp): Split => ({ of: 'text', pattern });

const CONTRACTION = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const LINES = '\\s*[\\r\\n]+';
/** Whitespace, its last character left to the word that follows. */
const SPACES = ['\\s+(?!\\S)', '\\s+'];
const LETTERS = `[^\\r\\n${L}${N}]?[${L}]+`;
const OTHERS = ` ?[^\\s${L}${N}]+`;

const GPT2 = classes("'s|'t|'re|'ve|'m|'ll|'d", ` ?[${L}]+`, ` ?[${N}]+`, OTHERS, '\\s+(?!\\S)');
const NUMBERS = classes(`[${N}]+`);
const NUMBER = classes(`[${N}]`);
const NUMBERS_OF_3 = classes(`[${N}]{1,3}`);
const DIGITS_OF_3 = classes('[0-9][0-9][0-9]');
const NEWLINE = classes('[\\r\\n]');
const PARAGRAPHS = classes('[^\\n]+|\\n+');
const CJK = text(/[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+/gu);
/** DeepSeek's first versions; the range from U+0800 on is as they have it. */
const CJK_BROAD = text(/[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+/gu);

const LLAMA3 = classes(CONTRACTION, LETTERS, `[${N}]{1,3}`, `${OTHERS}[\\r\\n]*`, LINES, ...SPACES);
const QWEN2 = classes(CONTRACTION, LETTERS, `[${N}]`, `${OTHERS}[\\r\\n]*`, LINES, ...SPACES);
const DEEPSEEK3_WORDS = ['[!-/:-@\\[-`{-~][A-Za-z]+', `[^\\r\\n${L}${P}${S}]?[${L}${M}]+`];
const DEEPSEEK3 = classes(...DEEPSEEK3_WORDS, ` ?[${P}${S}]+[\\r\\n]*`, LINES, ...SPACES);

/** Words that change from upper to lower case at most once, with what may follow them. */
function cased(upper: string, lower: string, end: string, numbers: string): Split {
  const lead = `[^\\r\\n${L}${N}]?`;
  return classes(
    `${lead}[${upper}]*[${lower}]+${end}`,
    `${lead}[${upper}]+[${lower}]*${end}`,
    numbers,
    `${OTHERS}[\\r\\n/]*`,
    LINES,
    ...SPACES,
  );
}
const MAYBE_CONTRACTION = `(?:${CONTRACTION})?`;
const uncased = (numbers: string): Split =>
  classes(`[^\\r\\n${L}${N}]?[${L}${M}]+${MAYBE_CONTRACTION}`, numbers, `${OTHERS}[\\r\\n/]*`, LINES, ...SPACES);

/** Letters that have a case, in DeepSeek's first version. */
const DEEPSEEK_LETTERS = [
  'A-Za-z\\xb5\\xc0-\\xd6\\xd8-\\xf6\\xf8-\\u01ba\\u01bc-\\u01bf\\u01c4-\\u0293\\u0295-\\u02af\\u0370-\\u0373\\u0376',
  '\\u0377\\u037b-\\u037d\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03f5\\u03f7-\\u0481',
  '\\u048a-\\u052f\\u0531-\\u0556\\u10a0-\\u10c5\\u13a0-\\u13f5\\u13f8-\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf',
  '\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a\\u1e00-\\u1f15\\u1f18-\\u1f1d\\u1f20-\\u1f45\\u1f48-\\u1f4d',
  '\\u1f50-\\u1f57\\u1f59\\u1f5b\\u1f5d\\u1f5f-\\u1f7d\\u1f80-\\u1fb4\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4',
  '\\u1fc6-\\u1fcc\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-\\u1fec\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc\\u2102\\u2107',
  '\\u210a-\\u2113\\u2115\\u2119-\\u211d\\u2124\\u2126\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139\\u213c-\\u213f',
  '\\u2145-\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b\\u2c7e-\\u2ce4\\u2ceb-\\u2cee\\u2cf2\\u2cf3\\ua640-\\ua66d',
  '\\ua680-\\ua69b\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf\\ufb00-\\ufb06\\ufb13-\\ufb17',
  '\\uff21-\\uff3a\\uff41-\\uff5a\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}\\u{104d8}-\\u{104fb}',
  '\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}\\u{118a0}-\\u{118df}\\u{1e900}-\\u{1e943}',
].join('');

const BLOOM = text(/ ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+/gu);

const defaultBos = { addBos: true };
const gpt2: PreTokenizer = { splits: [GPT2] };
const digits: PreTokenizer = { splits: [NUMBER, GPT2] };
const llama3: PreTokenizer = { splits: [LLAMA3], ignoreMerges: true, defaults: defaultBos };
const llama3Merged: PreTokenizer = { splits: [LLAMA3] };
const qwen2: PreTokenizer = { splits: [QWEN2] };
const deepseek3: PreTokenizer = { splits: [NUMBERS_OF_3, CJK, DEEPSEEK3] };
const bloom: PreTokenizer = { splits: [BLOOM] };
const glm4: PreTokenizer = { splits: [LLAMA3], defaults: { bos: undefined } };
const gpt4o: PreTokenizer = { splits: [cased(UPPER, LOWER, MAYBE_CONTRACTION, `[${N}]{1,3}`)] };
const bailing: PreTokenizer = {
  splits: [
    classes(
      "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])",
      LETTERS,
      `[${N}]`,
      `${OTHERS}[\\r\\n]*`,
      '\\s*[\\r\\n]',
      ...SPACES,
    ),
  ],
};
const gemma4: PreTokenizer = {
  splits: [PARAGRAPHS],
  raw: true,
  escapesSpaces: true,
  ignoresMergesOfNewlines: true,
  alwaysBos: true,
};
const aya: PreTokenizer = { splits: [{ of: 'numbers' }, uncased(`[${N}]{1,3}`)] };

/** By `tokenizer.ggml.pre`. */
export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  default: { splits: [classes(`[${P}$+<=>^~|]+`), GPT2, NUMBERS, DIGITS_OF_3] },
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  'falcon-h1': llama3,
  pixtral: llama3,
  'midm-2.0': llama3,
  lfm2: llama3,
  'jina-v5-nano': llama3,
  dbrx: llama3Merged,
  'smaug-bpe': llama3Merged,
  glm4,
  'chatglm-bpe': glm4,
  'jais-2': {
    splits: [
      classes(
        CONTRACTION,
        LETTERS,
        `[${N}]{1,3}`,
        `${OTHERS}[\\r\\n]*`,
        LINES,
        ...[512, 256, 128, 64, 32, 16, 8, 4].map((count) => `\\s{${count}}(?!\\S)`),
        '\\s{1,2}(?!\\S)',
        '\\s',
      ),
    ],
  },
  minicpm5: {
    splits: [NUMBERS_OF_3, classes(CONTRACTION, LETTERS, `[${N}]+`, `${OTHERS}[\\r\\n]*`, LINES, ...SPACES)],
    ignoreMerges: true,
  },
  'deepseek-llm': {
    splits: [
      NEWLINE,
      text(new RegExp(`\\s?[${DEEPSEEK_LETTERS}]+`, 'gu')),
      text(/\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+/gu),
      text(/\s+$/gu),
      CJK_BROAD,
      NUMBERS,
    ],
  },
  'deepseek-coder': { splits: [NEWLINE, classes(`\\s?[${L}]+`), classes(`\\s?[${P}]+`), CJK_BROAD, NUMBER] },
  'deepseek-v3': deepseek3,
  'hunyuan-dense': deepseek3,
  hy_v4: deepseek3,
  'joyai-llm': deepseek3,
  spark2_5: {
    splits: [NUMBERS_OF_3, CJK, classes(...DEEPSEEK3_WORDS, ` ?[${P}${S}]+`, '[\\r\\n]', ...SPACES), NUMBER],
  },
  youtu: {
    splits: [
      text(
        /[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+/gu,
      ),
      uncased(`[${N}]`),
    ],
    ignoreMerges: true,
  },
  falcon: { splits: [classes(`[${P}$+<=>^~|\`]+`), GPT2, DIGITS_OF_3] },
  starcoder: digits,
  refact: digits,
  'command-r': digits,
  smollm: digits,
  codeshell: digits,
  exaone: digits,
  'minerva-7b': digits,
  mellum2: digits,
  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  trillion: gpt2,
  'granite-docling': gpt2,
  exaone4: gpt2,
  gigachat: gpt2,
  'a.x-4.0': gpt2,
  mellum: gpt2,
  'modern-bert': gpt2,
  'jina-es': gpt2,
  'jina-de': gpt2,
  'jina-v1-en': gpt2,
  'jina-v2-es': gpt2,
  'jina-v2-de': gpt2,
  'jina-v2-code': gpt2,
  'roberta-bpe': gpt2,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  kormo: qwen2,
  f2llmv2: qwen2,
  megrez: qwen2,
  stablelm2: qwen2,
  hunyuan: qwen2,
  'solar-open': qwen2,
  'grok-2': qwen2,
  qwen35: {
    splits: [
      classes(
        CONTRACTION,
        `[^\\r\\n${L}${N}]?[${L}${M}]+`,
        `[${N}]`,
        ` ?[^\\s${L}${M}${N}]+[\\r\\n]*`,
        LINES,
        ...SPACES,
      ),
    ],
  },
  'poro-chat': bloom,
  bloom,
  'gpt3-finnish': bloom,
  viking: { splits: [BLOOM, NUMBER] },
  tekken: { splits: [cased(UPPER, LOWER, '', `[${N}]`)], ignoreMerges: true, defaults: defaultBos },
  'gpt-4o': gpt4o,
  llama4: gpt4o,
  kanana2: gpt4o,
  talkie: gpt4o,
  'minimax-m2': gpt4o,
  'granite-embed-multi-97m': {
    splits: [cased(UPPER + M, LOWER + M, MAYBE_CONTRACTION, `[${N}]{1,3}`)],
    ignoreMerges: true,
  },
  chameleon: {
    splits: [
      classes('<sentinel:[0-9]+>'),
      classes('IMGIMG[A-I]{1,4}Z'),
      classes('[\\t\\n]|    |  '),
      NUMBER,
      classes(`[${P}!-/:-@\\[-\`{-~]`),
      GPT2,
    ],
    defaults: defaultBos,
  },
  tiny_aya: aya,
  cohere2moe: aya,
  superbpe: { splits: [NUMBERS, { of: 'digits' }] },
  bailingmoe: bailing,
  bailingmoe2: bailing,
  'llada-moe': bailing,
  'seed-coder': {
    splits: [classes(CONTRACTION, LETTERS, `[${N}]`, ` ?[^\\s${L}${N}\\r\\n]+`, LINES, ...SPACES)],
  },
  ufakzeka: { splits: [classes(LETTERS, `[${N}]`, `${OTHERS}[\\r\\n]*`, LINES, ...SPACES)] },
  afmoe: {
    splits: [
      { of: 'numbers' },
      text(
        /[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+/gu,
      ),
      DEEPSEEK3,
    ],
  },
  laguna: { splits: [PARAGRAPHS, QWEN2] },
  'exaone-moe': {
    splits: [
      classes(
        CONTRACTION,
        `[^\\r\\n${L}${N}]?(?:[${L}][${M}]*(?: [${L}][${M}]*)*)+`,
        `[${N}]`,
        `${OTHERS}[\\r\\n/]?`,
        '\\s*[\\r\\n]',
        ...SPACES,
      ),
    ],
  },
  gemma4,
  'granite-embed-multi-311m': gemma4,
  'sarvam-moe': { splits: [PARAGRAPHS], raw: true, escapesSpaces: true },
};
