/** Sets of Unicode code points, as sorted ranges that neither touch nor overlap: what a character class means. */

/** First and last, both in it. */
export type Range = readonly [number, number];
export type CharacterSet = readonly Range[];

export const LAST_CODE_POINT = 0x10ffff;
export const ALL: CharacterSet = [[0, LAST_CODE_POINT]];

/** What a text can hold: no NUL, at which llama.cpp ends a token's text, and no half of a surrogate pair. */
export const WRITABLE: CharacterSet = [
  [0x1, 0xd7ff],
  [0xe000, LAST_CODE_POINT],
];

/** Ranges in any order, reversed ones being empty. */
export function characterSet(ranges: Iterable<Range>): CharacterSet {
  const sorted = [...ranges].filter(([first, last]) => first <= last).sort(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

export function charactersOf(text: string): CharacterSet {
  return characterSet(Array.from(text, (character) => [codePoint(character), codePoint(character)] as const));
}

function codePoint(character: string): number {
  return character.codePointAt(0) as number;
}

export function union(...sets: CharacterSet[]): CharacterSet {
  return characterSet(sets.flat());
}

export function complement(set: CharacterSet): CharacterSet {
  const gaps: Range[] = [];
  let next = 0;
  for (const [first, last] of set) {
    if (first > next) gaps.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST_CODE_POINT) gaps.push([next, LAST_CODE_POINT]);
  return gaps;
}

export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  return complement(union(complement(a), complement(b)));
}

export function without(set: CharacterSet, taken: CharacterSet): CharacterSet {
  return intersection(set, complement(taken));
}

export function contains(set: CharacterSet, point: number): boolean {
  return set.some(([first, last]) => first <= point && point <= last);
}

export function sizeOf(set: CharacterSet): number {
  return set.reduce((size, [first, last]) => size + last - first + 1, 0);
}

/** Of a property such as `\p{L}`, the engine's regular expressions know the members; a range of its is a part of this text. */
let everyCharacter: string | undefined;
const properties = new Map<string, CharacterSet>();

/** @param property `\p{…}`. @throws SyntaxError where there is no such property. */
export function unicodeProperty(property: string): CharacterSet {
  const known = properties.get(property);
  if (known !== undefined) return known;
  const runs = new RegExp(`${property}+`, 'gu');
  everyCharacter ??= WRITABLE.map(([first, last]) => {
    const length = last - first + 1;
    const parts: string[] = [];
    // `fromCodePoint` takes its arguments on the stack.
    for (let from = 0; from < length; from += 4096) {
      const size = Math.min(4096, length - from);
      parts.push(String.fromCodePoint(...Array.from({ length: size }, (_, index) => first + from + index)));
    }
    return parts.join('');
  }).join('');
  const set = characterSet(
    Array.from(everyCharacter.matchAll(runs), ([run]) => {
      const last = Array.from(run.slice(-2)).at(-1) as string;
      return [codePoint(run), codePoint(last)] as const;
    }).flatMap(([first, last]) => splitAtSurrogates(first, last)),
  );
  properties.set(property, set);
  return set;
}

/** In the text of all characters, U+E000 follows on U+D7FF. */
function splitAtSurrogates(first: number, last: number): Range[] {
  return first < 0xd800 && last > 0xdfff
    ? [
        [first, 0xd7ff],
        [0xe000, last],
      ]
    : [[first, last]];
}
