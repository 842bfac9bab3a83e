/** From decoded tokens back to the text that they came from, and from tokens to a text that gives them again. */
import type { Tokenizer } from './tokenizer.ts';

/**
 * The text whose tokens, special ones added, were decoded to `decoded`: without the text of those tokens, and without the
 * spaces that SentencePiece puts at the beginning and after each special token.
 */
export function undecoded(tokenizer: Tokenizer, decoded: string): string {
  const { before, after } = tokenizer.added;
  const start = tokenizer.decode(before);
  const end = tokenizer.decode(after);
  const text = decoded.slice(
    decoded.startsWith(start) ? start.length : 0,
    decoded.endsWith(end) ? decoded.length - end.length : decoded.length,
  );
  const decodes = (candidate: string) => tokenizer.decode(tokenizer.encode(candidate)) === text;
  if (decodes(text)) return text;
  const candidate = withoutAddedSpaces(tokenizer, text);
  return decodes(candidate) ? candidate : text;
}

/** Drops the first space of each part between special tokens: it is the tokenizer's own. */
function withoutAddedSpaces(tokenizer: Tokenizer, text: string): string {
  let afterSpecial = true;
  return tokenizer
    .parts(text)
    .map((part) => {
      const added = afterSpecial && typeof part === 'string' && part.startsWith(' ');
      afterSpecial = typeof part === 'number';
      if (typeof part === 'number') return tokenizer.decode([part]);
      return added ? part.slice(1) : part;
    })
    .join('');
}

/**
 * A text that stands for exactly these tokens: as a prompt whose special tokens are parsed, it becomes them again.
 * @param addSpecial Whether the tokens of `added` will be put around it: then `tokens` must have them, and the text leaves them out.
 * @returns null if there is no such text: a word is cut in another way than the tokenizer would, or the bytes are not UTF-8.
 */
export function textOfTokens(tokenizer: Tokenizer, tokens: readonly number[], addSpecial: boolean): string | null {
  const { before, after } = addSpecial ? tokenizer.added : { before: [], after: [] };
  const inner = tokens.slice(before.length, tokens.length - after.length);
  const decoded = tokenizer.decode(inner);
  for (const text of new Set([decoded, withoutAddedSpaces(tokenizer, decoded)])) {
    const again = tokenizer.encode(text, { addSpecial });
    if (again.length === tokens.length && again.every((token, index) => token === tokens[index])) return text;
  }
  return null;
}
