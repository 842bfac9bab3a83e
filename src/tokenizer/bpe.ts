/** Byte-pair encoding: `llm_tokenizer_bpe_session`. */
import { mergeSymbols } from './merge.ts';
import { split } from './split.ts';
import type { Vocabulary } from './vocabulary.ts';

/** GPT-2's printable character for each byte: the byte's own where it is printable, else the next free one from U+0100 on. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}

const UTF8 = new TextEncoder();

export function makeBpe({ pre, ids, ranks }: Vocabulary): (text: string) => number[] {
  const { splits, ignoreMerges = false, raw = false, escapesSpaces = false, ignoresMergesOfNewlines = false } = pre;
  const alphabet = (piece: string) => {
    let characters = '';
    for (const byte of UTF8.encode(piece)) characters += BYTE_CHARACTERS[byte];
    return characters;
  };

  const encodePiece = (piece: string): number[] => {
    const whole = ids.get(piece);
    if (whole !== undefined && (ignoreMerges || (ignoresMergesOfNewlines && /^\n+$/.test(piece)))) return [whole];
    const symbols = mergeSymbols(piece, (start, middle, end) =>
      ranks.get(`${piece.slice(start, middle)} ${piece.slice(middle, end)}`),
    );
    return symbols.flatMap((symbol) => ids.get(symbol) ?? spelled(symbol));
  };

  /** A symbol without a token becomes the tokens of its bytes; llama.cpp drops bytes that have none. */
  const spelled = (symbol: string): number[] =>
    Array.from(UTF8.encode(symbol)).flatMap(
      (byte) => ids.get(raw ? byteToken(byte) : byte < 0x80 ? String.fromCharCode(byte) : '') ?? [],
    );

  return (text) => {
    // The same words come up again and again.
    const known = new Map<string, number[]>();
    const tokens: number[] = [];
    for (const piece of split(escapesSpaces ? text.replaceAll(' ', '▁') : text, splits)) {
      const found = known.get(piece) ?? encodePiece(raw ? piece : alphabet(piece));
      known.set(piece, found);
      for (const token of found) tokens.push(token);
    }
    return tokens;
  };
}

/** The text of a token that stands for a single byte. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}
