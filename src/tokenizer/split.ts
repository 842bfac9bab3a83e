/** Cuts text into the pieces that BPE merges within: llama.cpp's `unicode_regex_split`. */
import { CONTROL, classOf, NUMBER, WHITESPACE } from './unicode.ts';

/**
 * One expression. `classes` matches the collapsed text: one character for each code point, ASCII as it is, any other
 * whitespace as a vertical tab, and one character (`\xd0` to `\xd5`) for all others of the same Unicode class. `text`
 * matches the text itself; `numbers` is the grouping of digits that llama.cpp does in code, `digits` is that of
 * `(?=(\d{3})+(?!\d))`, which would look ahead from every digit over all the others.
 */
export type Split = { of: 'classes' | 'text'; pattern: RegExp } | { of: 'numbers' } | { of: 'digits' };

/** The pieces of `text`, in order; together they make up all of it. */
export function split(text: string, splits: readonly Split[]): string[] {
  const source = new Source(text);
  let ends = [source.length];
  for (const step of splits) ends = cut(source, ends, step);
  const pieces: string[] = [];
  let start = 0;
  for (const end of ends) {
    pieces.push(source.slice(start, end));
    start = end;
  }
  return pieces;
}

/** Where the pieces end after one more step, in code points. */
function cut(source: Source, ends: readonly number[], step: Split): number[] {
  const result: number[] = [];
  let start = 0;
  for (const end of ends) {
    if (step.of === 'numbers') cutNumbers(source, start, end, result);
    else if (step.of === 'digits') cutDigits(source, start, end, result);
    else cutMatches(source, start, end, step, result);
    if (end > start && result.at(-1) !== end) result.push(end);
    start = end;
  }
  return result;
}

function cutMatches(
  source: Source,
  start: number,
  end: number,
  step: Split & { pattern: RegExp },
  result: number[],
): void {
  const ofClasses = step.of === 'classes';
  const piece = ofClasses ? source.classes.slice(start, end) : source.slice(start, end, source.spaced);
  const position = ofClasses ? (index: number) => start + index : source.positions(start);
  let at = start;
  for (const match of piece.matchAll(step.pattern)) {
    for (const edge of [position(match.index), position(match.index + match[0].length)]) {
      if (edge > at) result.push(edge);
      at = edge;
    }
  }
}

/**
 * Groups of three digits, counted from the right. What comes before the digits belongs to the first group's piece: the
 * expressions that this replaces do not say so, but llama.cpp does it.
 */
function cutNumbers(source: Source, start: number, end: number, result: number[]): void {
  const isNumber = (at: number) => at < end && source.classAt(at) === NUMBER;
  for (let at = start; at < end; at++) {
    if (!isNumber(at)) continue;
    const first = at;
    while (isNumber(at)) at++;
    const lead = (at - first) % 3;
    for (let edge = first + (lead === 0 ? 3 : lead); edge <= at; edge += 3) result.push(edge);
  }
}

/** Cuts before each group of three digits, counted from the right. */
function cutDigits(source: Source, start: number, end: number, result: number[]): void {
  const isDigit = (at: number) => at < end && source.isDigit(at);
  for (let at = start; at < end; at++) {
    if (!isDigit(at)) continue;
    const first = at;
    while (isDigit(at)) at++;
    for (let edge = first + ((at - first) % 3); edge < at; edge += 3) if (edge > start) result.push(edge);
  }
}

/** White_Space outside ASCII, and the one character that only JavaScript's `\s` matches. */
const WIDE_SPACES = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g;
const BYTE_ORDER_MARK = /\ufeff/g;

/** A text by its code points. */
class Source {
  readonly length: number;
  readonly #text: string;
  /** Where each code point begins, and where the last one ends; null if each is a single UTF-16 unit. */
  readonly #offsets: Uint32Array | null;
  #classes: string | undefined;
  #spaced: string | undefined;

  constructor(text: string) {
    this.#text = text;
    this.#offsets = offsetsOf(text);
    this.length = this.#offsets ? this.#offsets.length - 1 : text.length;
  }

  slice(start: number, end: number, text = this.#text): string {
    return text.slice(this.#offset(start), this.#offset(end));
  }

  classAt(at: number): number {
    return classOf(this.#codePoint(at));
  }

  /** Only ASCII digits, as C++'s `\d`. */
  isDigit(at: number): boolean {
    const codePoint = this.#codePoint(at);
    return codePoint >= 0x30 && codePoint <= 0x39;
  }

  /** The collapsed text. */
  get classes(): string {
    if (this.#classes === undefined) {
      const bytes = new Uint8Array(this.length);
      for (let at = 0; at < this.length; at++) {
        const codePoint = this.#codePoint(at);
        bytes[at] = codePoint < 0x80 ? codePoint : collapsed(classOf(codePoint));
      }
      this.#classes = new TextDecoder('latin1').decode(bytes);
    }
    return this.#classes;
  }

  /** The text with all whitespace turned into ASCII: C++'s `\s` knows no other. */
  get spaced(): string {
    this.#spaced ??= this.#text.replace(WIDE_SPACES, '\v').replace(BYTE_ORDER_MARK, '\ufffe');
    return this.#spaced;
  }

  /** Turns an index in the slice from `start` on into that of a code point. Indexes have to be asked for in rising order. */
  positions(start: number): (index: number) => number {
    const offset = this.#offset(start);
    let at = start;
    return (index) => {
      while (this.#offset(at) < offset + index) at++;
      return at;
    };
  }

  #offset(at: number): number {
    return this.#offsets ? (this.#offsets[at] ?? 0) : at;
  }

  #codePoint(at: number): number {
    return this.#text.codePointAt(this.#offset(at)) ?? 0;
  }
}

function collapsed(kind: number): number {
  if (kind === WHITESPACE) return 0x0b;
  return kind === CONTROL ? 0xd0 : 0xd0 + kind;
}

function offsetsOf(text: string): Uint32Array | null {
  if (!/[\ud800-\udfff]/.test(text)) return null;
  const offsets = new Uint32Array(text.length + 1);
  let count = 0;
  for (let at = 0; at < text.length; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) offsets[count++] = at;
  offsets[count] = text.length;
  return offsets.subarray(0, count + 1);
}
