/** Prompts with a gap to fill (FIM): the text of what llama-server's `format_prompt_infill` builds from tokens. */
import type { LlamatabError } from '../../errors.ts';
import type { InfillTokens, Tokenizer } from '../../tokenizer/tokenizer.ts';

export interface Gap {
  /** The text before the gap, and the beginning of the text to write. */
  prefix: string;
  prompt?: string;
  suffix: string;
  /** Other files, placed first. */
  extra?: { filename: string; text: string }[];
}

/** Tokens to keep: the last of the prefix and of the extra files, the first of the suffix. */
export interface GapLimits {
  prefix: number;
  suffix: number;
  extra: number;
}

const UNLIMITED: GapLimits = { prefix: Infinity, suffix: Infinity, extra: Infinity };

/** llama-server's separator of files, if the model has no token for it. */
const SNIPPET = '\n\n--- snippet ---\n\n';

/** UTF-16 units to look at for each token to keep: few tokens are longer, and an editor may send whole repositories. */
const LONGEST_TOKEN = 64;
/** At most, for a UTF-16 unit: one for each byte of UTF-8. */
const MAX_TOKENS = 3;

/**
 * The texts are parsed for special tokens, which llama-server takes literally: wllama accepts no other prompts. And BOS
 * comes first, which llama-server puts after the extra files.
 * @param refuse Makes the error for missing tokens, which it gets in llama-server's words: "prefix token is missing.
 *   …".
 * @throws What `refuse` makes, if the model lacks these tokens.
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

/** The tokens as text. One whose text is tokenized otherwise counts as missing. */
function marksOf(tokenizer: Tokenizer): Marks {
  const marks: Marks = {};
  for (const [part, token] of Object.entries(tokenizer.infill) as [keyof InfillTokens, number][]) {
    const text = tokenizer.decode([token]);
    const [only, ...more] = tokenizer.encode(text);
    if (only === token && more.length === 0) marks[part] = text;
  }
  return marks;
}

/** The files as a repository, under llama-server's names. */
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
  // Drops half a character.
  return tokenizer.decode(tokens.slice(-count)).replace(/^\ufffd+/, '');
}

function firstTokens(tokenizer: Tokenizer, text: string, count: number): string {
  if (text.length * MAX_TOKENS <= count) return text;
  if (count <= 0) return '';
  const tokens = tokenizer.encode(text.slice(0, count * LONGEST_TOKEN));
  if (tokens.length <= count) return text.slice(0, count * LONGEST_TOKEN);
  return tokenizer.decode(tokens.slice(0, count)).replace(/\ufffd+$/, '');
}
