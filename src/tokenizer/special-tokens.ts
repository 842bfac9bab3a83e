/** Finds the special tokens in a text, as llama.cpp's `tokenizer_st_partition` does. */
import { CONTROL, isSpecial, LEFT_STRIP, RIGHT_STRIP, UNKNOWN, type Vocabulary } from './vocabulary.ts';

/** Cuts a text into parts: special tokens by their ids, and the text between them. */
export type Partition = (text: string, parseSpecial: boolean) => (string | number)[];

interface Special {
  id: number;
  text: string;
  attributes: number;
}

/** What C's `isspace` matches: no character beyond ASCII, since it sees single bytes of UTF-8. */
const SPACES_AT_END = /[ \t\n\v\f\r]+$/;
const SPACES_AT_START = /^[ \t\n\v\f\r]+/;

export function makePartition({ texts, attributes }: Vocabulary): Partition {
  const bytes = new TextEncoder();
  const specials = Array.from(attributes.keys())
    .filter((id) => isSpecial(attributes[id] ?? 0))
    .map((id) => ({ id, text: texts[id] ?? '', attributes: attributes[id] ?? 0, size: bytes.encode(texts[id]).length }))
    .sort((a, b) => b.size - a.size || a.id - b.id);
  const order = new Map(specials.map((special, index) => [special.text, index]));
  // The lengths of special tokens by their first character: most texts hold none, while a vocabulary may have thousands.
  const lengths = new Map<string, Set<number>>();
  for (const { text } of specials) {
    const first = text.charAt(0);
    lengths.set(first, (lengths.get(first) ?? new Set()).add(text.length));
  }
  const firsts = new RegExp(`[${[...lengths.keys()].map(escaped).join('')}]`, 'g');

  /** The special tokens that occur in the text, the longest first. */
  const occurring = (text: string): Special[] => {
    const found = new Set<number>();
    for (const { index, 0: first } of text.matchAll(firsts)) {
      for (const length of lengths.get(first) ?? []) {
        const at = order.get(text.slice(index, index + length));
        if (at !== undefined) found.add(at);
      }
    }
    return specials.filter((_, index) => found.has(index));
  };

  return (text, parseSpecial) => {
    if (text === '') return [];
    let parts: (string | number)[] = [text];
    if (specials.length === 0) return parts;
    for (const special of occurring(text)) {
      if (!parseSpecial && (special.attributes & (CONTROL | UNKNOWN)) !== 0) continue;
      parts = parts.flatMap((part) => (typeof part === 'number' ? [part] : cutOut(special, part)));
    }
    return parts;
  };
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function cutOut({ id, text, attributes }: Special, part: string): (string | number)[] {
  if (!part.includes(text)) return [part];
  const parts: (string | number)[] = [];
  part.split(text).forEach((between, index, all) => {
    let rest = between;
    if (index > 0 && (attributes & RIGHT_STRIP) !== 0) rest = rest.replace(SPACES_AT_START, '');
    if (index < all.length - 1 && (attributes & LEFT_STRIP) !== 0) rest = rest.replace(SPACES_AT_END, '');
    if (index > 0) parts.push(id);
    if (rest !== '') parts.push(rest);
  });
  return parts;
}
