/**
 * SentencePiece's unigram model, as T5 and its relatives use it: `llm_tokenizer_ugm_session`. Its rules work on bytes, so texts are
 * strings of bytes here: one character for each.
 */
import { LlamatabError } from '../errors.ts';
import { NORMAL, UNUSED, USER_DEFINED, type Vocabulary } from './vocabulary.ts';

const UTF8 = new TextEncoder();

function bytesOf(text: string): string {
  let bytes = '';
  for (const byte of UTF8.encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

const SPACE = bytesOf('▁');
const REPLACEMENT = bytesOf('\ufffd');
/** How much less likely than the least likely token a character without a token is. */
const UNKNOWN_PENALTY = 10;

export function makeUgm(vocabulary: Vocabulary): (text: string) => number[] {
  const { texts, scores, rawAttributes, attributes } = vocabulary;
  const unknown = vocabulary.unknown ?? 0;
  const ids = new Map<string, number>();
  // The prefixes of all tokens, so that a search ends where no token goes on.
  const prefixes = new Set<string>();
  const userPrefixes = new Set<string>();
  let lowest = Number.POSITIVE_INFINITY;
  for (const [id, text] of texts.entries()) {
    const attribute = rawAttributes[id] ?? 0;
    if ((attribute & NORMAL) !== 0) lowest = Math.min(lowest, scores[id] ?? 0);
    if ((attribute & (NORMAL | USER_DEFINED | UNUSED)) === 0) continue;
    const bytes = bytesOf(text);
    ids.set(bytes, id);
    addPrefixes(prefixes, bytes);
    if ((attribute & USER_DEFINED) !== 0) addPrefixes(userPrefixes, bytes);
  }
  const unknownScore = Math.fround(lowest - UNKNOWN_PENALTY);
  const scoreOf = (id: number) => (((attributes[id] ?? 0) & USER_DEFINED) !== 0 ? 0 : (scores[id] ?? 0));
  const normalize = makeNormalizer(vocabulary, userPrefixes);

  return (text) => {
    const input = normalize(bytesOf(text));
    const length = input.length;
    if (length === 0) return [];
    // The best path to each byte: its last token, where that token begins, and the sum of the scores.
    const tokens = new Int32Array(length + 1).fill(unknown);
    const starts = new Int32Array(length + 1);
    const sums = new Float64Array(length + 1).fill(-Number.MAX_VALUE);
    sums[0] = 0;
    const challenge = (start: number, end: number, token: number, score: number) => {
      const sum = (sums[start] ?? 0) + score;
      if (sum <= (sums[end] ?? 0)) return;
      sums[end] = sum;
      starts[end] = start;
      tokens[end] = token;
    };

    for (let start = 0; start < length; ) {
      const next = Math.min(length, start + sequenceLength(input.charCodeAt(start)));
      let whole = false;
      for (let end = start + 1; end <= length; end++) {
        const bytes = input.slice(start, end);
        if (!prefixes.has(bytes)) break;
        const id = ids.get(bytes);
        if (id === undefined) continue;
        whole ||= end === next;
        challenge(start, end, id, scoreOf(id));
      }
      if (!whole) challenge(start, next, unknown, unknownScore);
      start = next;
    }

    const found: number[] = [];
    for (let end = length; ; end = starts[end] ?? 0) {
      const token = tokens[end] ?? unknown;
      // Unknown characters in a row are one unknown token.
      if (token !== unknown || found.at(-1) !== unknown) found.push(token);
      if (starts[end] === 0) break;
    }
    return found.reverse();
  };
}

function addPrefixes(prefixes: Set<string>, text: string): void {
  for (let end = 1; end <= text.length; end++) prefixes.add(text.slice(0, end));
}

/**
 * Number of bytes of a character, by its first byte; llama.cpp's `unicode_len_utf8`, which takes a stray byte for a character.
 */
function sequenceLength(first: number): number {
  if (first < 0xc0) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** The normalized text of one place in the input, and how many bytes of the input it replaces. */
interface Normalized {
  text: string;
  consumed: number;
}

function makeNormalizer(
  { addSpacePrefix, removeExtraWhitespaces, charsMap }: Vocabulary,
  userPrefixes: ReadonlySet<string>,
): (input: string) => string {
  const replacementAt = makeReplacements(charsMap);

  const normalizedAt = (input: string, at: number): Normalized => {
    // llama.cpp follows the trie of user-defined tokens as far as it goes, even if no token ends there.
    let end = at;
    while (end < input.length && userPrefixes.has(input.slice(at, end + 1))) end++;
    if (end > at) return { text: input.slice(at, end), consumed: end - at };
    const replaced = replacementAt(input, at);
    if (replaced !== undefined) return replaced;
    const sequence = input.slice(at, at + sequenceLength(input.charCodeAt(at)));
    return isCharacter(sequence) ? { text: sequence, consumed: sequence.length } : { text: REPLACEMENT, consumed: 1 };
  };

  return (input) => {
    let output = '';
    let prefixed = false;
    let inWord = false;
    for (let at = 0; at < input.length; ) {
      const { text, consumed } = normalizedAt(input, at);
      for (const byte of text) {
        if (byte === ' ') {
          inWord = false;
          if (!removeExtraWhitespaces) output += SPACE;
          continue;
        }
        if (!inWord && ((addSpacePrefix && !prefixed) || removeExtraWhitespaces)) {
          output += SPACE;
          prefixed = true;
        }
        inWord = true;
        output += byte;
      }
      at += consumed;
    }
    return output;
  };
}

function isCharacter(sequence: string): boolean {
  const first = sequence.charCodeAt(0);
  if (first < 0x80) return true;
  if (first < 0xc0 || first >= 0xf8 || sequence.length < sequenceLength(first)) return false;
  return /^[\x80-\xbf]+$/.test(sequence.slice(1));
}

/**
 * SentencePiece's compiled rules: the length of a double array in bytes, the array (XCDA: Kanda 2018), and the replacements,
 * each with a zero at its end. The longest sequence that has a rule is replaced.
 */
function makeReplacements(charsMap: Uint8Array): (input: string, at: number) => Normalized | undefined {
  if (charsMap.length < 4) return () => undefined;
  const view = new DataView(charsMap.buffer, charsMap.byteOffset, charsMap.length);
  const arrayBytes = view.getUint32(0, true);
  const replacements = charsMap.subarray(Math.min(4 + arrayBytes, charsMap.length));
  const node = (index: number): number => {
    if (index >= arrayBytes >>> 2 || 8 + index * 4 > charsMap.length) throw damaged();
    return view.getUint32(4 + index * 4, true);
  };
  const baseOf = (packed: number) => ((packed >>> 10) << ((packed & (1 << 9)) >>> 6)) >>> 0;

  return (input, at) => {
    let index = baseOf(node(0));
    let consumed = 0;
    let replacement = 0;
    for (let end = at; end < input.length; end++) {
      const byte = input.charCodeAt(end);
      if (byte === 0) break;
      index = (index ^ byte) >>> 0;
      const packed = node(index);
      // Bit 31 is set if the node is the number of a replacement.
      if ((packed & 0x800000ff) >>> 0 !== byte) break;
      index = (index ^ baseOf(packed)) >>> 0;
      if (((packed >>> 8) & 1) === 0) continue;
      consumed = end - at + 1;
      replacement = node(index) & 0x7fffffff;
    }
    if (consumed === 0) return undefined;
    const end = replacements.indexOf(0, replacement);
    if (end < 0) throw damaged();
    return { text: String.fromCharCode(...replacements.subarray(replacement, end)), consumed };
  };
}

function damaged(): LlamatabError {
  return new LlamatabError('server_error', 'The model is damaged: its precompiled_charsmap points outside of itself.');
}
