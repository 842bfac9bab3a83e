/** Prompts with a gap to be filled (FIM): what llama-server's `format_prompt_infill` builds of tokens, as text. */
import type { LlamatabError } from '../../errors.ts';
import type { InfillTokens, Tokenizer } from '../../tokenizer/tokenizer.ts';

export interface Gap {
  /** The text before the gap, and the beginning of what is to be written. */
  prefix: string;
  prompt?: string;
  suffix: string;
  /** Other files, which come first. */
  extra?: { filename: string; text: string }[];
}

/** Tokens that are kept of each part; of the prefix and the extra files the last, of the suffix the first. */
export interface GapLimits {
  prefix: number;
  suffix: number;
  extra: number;
}

const UNLIMITED: GapLimits = { prefix: Infinity, suffix: Infinity, extra: Infinity };

/** llama-server's, between files where the model has no token for it. */
const SNIPPET = '\n\n--- snippet ---\n\n';

/**
 * UTF-16 units that are looked at for a token that is kept: few tokens are longer, and an editor may send whole repositories.
 */
const LONGEST_TOKEN = 64;
/** Of a UTF-16 unit: one for each byte of UTF-8. */
const MAX_TOKENS = 3;

/**
 * The texts are parsed for special tokens, where llama-server takes them by the letter: wllama knows no other prompts. And BOS,
 * which llama-server puts after the extra files, comes first.
 * @param refuse Makes the error of what is missing, in llama-server's words: "prefix token is missing. …".
 * @throws what `refuse` makes, where the model has no such tokens.
 */
export function gapPrompt(
  tokenizer: Tokenizer,
  { prefix, prompt = '', suffix, extra }: Gap,
  refuse: (missing: string) => LlamatabError,
  limits: GapLimits = UNLIMITED,
): string {
  const marks = marksOf(tokenizer);
  const missing = (['prefix', 'suffix', 'middle'] as const).filter((part) => marks[part] === undefined);
  if (missing.length > 0) throw refuse(missing.map((part) => `${part} token is missing. `).join(''));
  return [
    extra && lastTokens(tokenizer, filesBefore(marks, extra), limits.extra),
    marks.prefix,
    lastTokens(tokenizer, prefix, limits.prefix),
    prompt,
    marks.suffix,
    firstTokens(tokenizer, suffix, limits.suffix),
    marks.middle,
  ].join('');
}

type Marks = { -readonly [Part in keyof InfillTokens]: string };

/** The tokens as text; one whose text stands for something else is as good as none. */
function marksOf(tokenizer: Tokenizer): Marks {
  const marks: Marks = {};
  for (const [part, token] of Object.entries(tokenizer.infill) as [keyof InfillTokens, number][]) {
    const text = tokenizer.decode([token]);
    const [only, ...more] = tokenizer.encode(text);
    if (only === token && more.length === 0) marks[part] = text;
  }
  return marks;
}

/** A repository, by the names that llama-server gives it. */
function filesBefore({ repository, file }: Marks, extra: { filename: string; text: string }[]): string {
  return [
    repository === undefined ? '' : `${repository}myproject\n`,
    ...extra.map(({ filename, text }) => `${file === undefined ? SNIPPET : `${file}${filename}\n`}${text}`),
    file === undefined ? '' : `${file}filename\n`,
  ].join('');
}

function lastTokens(tokenizer: Tokenizer, text: string, count: number): string {
  if (text.length * MAX_TOKENS <= count) return text;
  if (count <= 0) return '';
  const tokens = tokenizer.encode(text.slice(-count * LONGEST_TOKEN));
  if (tokens.length <= count) return text.slice(-count * LONGEST_TOKEN);
  // Half a character is none.
  return tokenizer.decode(tokens.slice(-count)).replace(/^\ufffd+/, '');
}

function firstTokens(tokenizer: Tokenizer, text: string, count: number): string {
  if (text.length * MAX_TOKENS <= count) return text;
  if (count <= 0) return '';
  const tokens = tokenizer.encode(text.slice(0, count * LONGEST_TOKEN));
  if (tokens.length <= count) return text.slice(0, count * LONGEST_TOKEN);
  return tokenizer.decode(tokens.slice(0, count)).replace(/\ufffd+$/, '');
}
