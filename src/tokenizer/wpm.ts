/** BERT's WordPiece: `llm_tokenizer_wpm_session`. */
import { CONTROL, classOf, decomposed, lowerCase, MARK, PUNCTUATION, SYMBOL, WHITESPACE } from './unicode.ts';
import type { Vocabulary } from './vocabulary.ts';

type Normalizer = Pick<Vocabulary, 'lowerCase' | 'stripAccents'>;

export function makeWpm(vocabulary: Vocabulary): (text: string) => number[] {
  const { ids, texts, unknown } = vocabulary;
  const longest = texts.reduce((length, text) => Math.max(length, text.length), 0);

  /** Cuts a word into the longest tokens that fit, from left to right; it is the unknown token if none fits somewhere. */
  const encodeWord = (word: string): number[] => {
    const tokens: number[] = [];
    for (let at = 0; at < word.length; ) {
      let end = Math.min(word.length, at + longest);
      while (end > at && !ids.has(word.slice(at, end))) end--;
      if (end === at) return unknown === undefined ? [] : [unknown];
      tokens.push(ids.get(word.slice(at, end)) as number);
      at = end;
    }
    return tokens;
  };

  return (text) => words(text, vocabulary).flatMap((word) => encodeWord(`▁${word}`));
}

/** Cuts a text into words; punctuation marks and Chinese characters are words of their own. */
function words(text: string, options: Normalizer): string[] {
  const found: string[] = [];
  let word = '';
  const end = () => {
    if (word !== '') found.push(word);
    word = '';
  };
  for (const character of text) {
    const given = character.codePointAt(0) ?? 0;
    const codePoint = options.stripAccents ? decomposed(given) : given;
    const kind = classOf(codePoint);
    if (kind === WHITESPACE) {
      end();
    } else if (codePoint === 0 || codePoint === 0xfffd || kind === CONTROL || (options.stripAccents && kind === MARK)) {
      // Dropped: the word goes on after it.
    } else {
      const written = String.fromCodePoint(options.lowerCase ? lowerCase(codePoint) : codePoint);
      if (kind === PUNCTUATION || (kind === SYMBOL && codePoint < 0x7f) || isChinese(codePoint)) {
        end();
        found.push(written);
      } else {
        word += written;
      }
    }
  }
  end();
  return found;
}

/** The ranges of BERT's own tokenizer, with its mistake (U+2B920, though extension E begins at U+2B820). */
const CHINESE: readonly (readonly [first: number, last: number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

function isChinese(codePoint: number): boolean {
  return CHINESE.some(([first, last]) => codePoint >= first && codePoint <= last);
}
