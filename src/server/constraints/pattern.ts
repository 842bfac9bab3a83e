/**
 * JSON Schema's `pattern`, for llama.cpp's grammars. llama.cpp takes a pattern for one of the JSON text between the quotes: `.`
 * and `[^a]` let a quote or a line break through, and what its converter does not know makes it accept any string. Here a
 * pattern is read as ECMAScript does, with unanchored ends meaning anything, and written anew: as a pattern of JSON text, in the
 * few constructs that the converter keeps.
 *
 * What is written matches no string that the pattern doesn't; a rare character that it does match may be left out.
 */
import {
  ALL,
  type CharacterSet,
  characterSet,
  charactersOf,
  complement,
  contains,
  intersection,
  type Range,
  sizeOf,
  unicodeProperty,
  union,
  WRITABLE,
  without,
} from './character-set.ts';
import { MAX_REPETITIONS } from './grammar.ts';

/** What a pattern says that can't be kept, for its author. */
export class PatternFault extends Error {}

/** Groups in groups. llama.cpp takes 100, of those that are written. */
const MAX_DEPTH = 30;
/** Alternatives that anchors within them make of a pattern. */
const MAX_BRANCHES = 64;
/** Characters of what is written: the rest of a schema is some KB. */
const MAX_WRITTEN = 2 ** 17;
/** Ranges of a class, such as those of `\p{L}`, the largest being kept: llama.cpp looks at each for each token. */
const MAX_RANGES = 128;
/** Characters below it are kept in any case: Latin, Greek, Cyrillic, Hebrew, Arabic and others, whose ranges are small. */
const KEPT_BELOW = 0x700;
/** More characters than any context holds. */
const UNBOUNDED = 2 ** 20;
/** The least length that a string can be given. */
export const MAX_MIN_LENGTH = 2 ** 16;
/** Repetitions above llama.cpp's limit are written as repetitions of so many. */
const BLOCK = 1000;

type Node =
  | { type: 'set'; set: CharacterSet }
  | { type: 'sequence'; nodes: Node[] }
  | { type: 'choice'; branches: Node[] }
  | { type: 'repeat'; node: Node; min: number; max: number }
  | { type: 'start' }
  | { type: 'end' };

export interface Lengths {
  min: number;
  /** Infinity for none. */
  max: number;
}

/** @param source As in a schema. @throws PatternFault where what it means can't be kept. */
export function rewritePattern(source: string, lengths: Lengths = { min: 0, max: Infinity }): string {
  const whole = simplified(anchored(new PatternParser(source).parse()));
  return written(lengths.min > 0 || lengths.max < Infinity ? withLengths(whole, lengths) : whole);
}

/** The pattern of any string with these lengths, where llama.cpp's own bounds don't do: see `MAX_REPETITIONS`. */
export function lengthPattern({ min, max }: Lengths): string {
  return written({ type: 'repeat', node: { type: 'set', set: ALL }, min, max });
}

// --- reading -------------------------------------------------------------------------------------------------------

const DIGITS = characterSet([[0x30, 0x39]]);
const WORDS = union(DIGITS, charactersOf('_'), characterSet([[0x41, 0x5a]]), characterSet([[0x61, 0x7a]]));
const SPACES = union(
  characterSet([[0x9, 0xd]]),
  characterSet([[0x2000, 0x200a]]),
  charactersOf(' \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
);
const LINE_ENDS = charactersOf('\n\r\u2028\u2029');
const CLASSES: Record<string, CharacterSet> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORDS,
  W: complement(WORDS),
  s: SPACES,
  S: complement(SPACES),
};
const CONTROLS: Record<string, number> = { t: 0x9, n: 0xa, v: 0xb, f: 0xc, r: 0xd, 0: 0x0 };

/** ECMAScript's syntax, and Python's where it says the same: `(?P<name>…)`, escapes of what needs none. */
class PatternParser {
  readonly #characters: string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = Array.from(source);
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#peek() === ')') throw new PatternFault("a ')' that nothing opened");
    return node;
  }

  #peek(ahead = 0): string {
    return this.#characters[this.#at + ahead] ?? '';
  }

  #take(text: string): boolean {
    const characters = Array.from(text);
    if (!characters.every((character, index) => this.#peek(index) === character)) return false;
    this.#at += characters.length;
    return true;
  }

  #choice(): Node {
    const branches = [this.#sequence()];
    while (this.#take('|')) branches.push(this.#sequence());
    return branches.length === 1 ? (branches[0] as Node) : { type: 'choice', branches };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (!['', '|', ')'].includes(this.#peek())) nodes.push(this.#quantified(this.#atom()));
    return { type: 'sequence', nodes };
  }

  #quantified(node: Node): Node {
    const bounds = this.#quantifier();
    if (bounds === undefined) return node;
    if (node.type === 'start' || node.type === 'end') throw new PatternFault('a repeated anchor');
    // Lazy: which of the matches is found first does not matter to whether there is one.
    this.#take('?');
    if ('*+?{'.includes(this.#peek() || ' ')) throw new PatternFault('a repetition of a repetition, without a group');
    return { type: 'repeat', node, ...bounds };
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Infinity };
    if (this.#take('+')) return { min: 1, max: Infinity };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (this.#peek() !== '{') return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 64).join('');
    const [whole, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(rest) ?? [];
    if (whole === undefined || (comma === '' && most !== '')) {
      throw new PatternFault("a '{' that is no repetition such as {2,5}: escape it");
    }
    this.#at += whole.length;
    const min = Number(least);
    const max = comma === '' ? min : most === '' ? Infinity : Number(most);
    if (min > max) throw new PatternFault(`the repetition ${whole} has a minimum above its maximum`);
    return { min, max };
  }

  #atom(): Node {
    const next = this.#peek();
    if ('*+?'.includes(next) || next === '{') throw new PatternFault(`a '${next}' with nothing to repeat`);
    if (next === '(') return this.#group();
    if (next === '[') return { type: 'set', set: this.#class() };
    this.#at++;
    if (next === '^') return { type: 'start' };
    if (next === '$') return { type: 'end' };
    if (next === '.') return { type: 'set', set: complement(LINE_ENDS) };
    if (next === '\\') return { type: 'set', set: this.#escape(false) };
    return { type: 'set', set: charactersOf(next) };
  }

  #group(): Node {
    this.#depth++;
    if (this.#depth > MAX_DEPTH) throw new PatternFault(`groups nested deeper than ${MAX_DEPTH}`);
    this.#at++;
    if (this.#take('?')) {
      if (this.#take('=') || this.#take('!')) throw new PatternFault('a look-ahead');
      if (this.#take('<=') || this.#take('<!')) throw new PatternFault('a look-behind');
      const named = this.#take('<') || this.#take('P<');
      if (named) while (this.#peek() !== '' && !this.#take('>')) this.#at++;
      else if (!this.#take(':')) throw new PatternFault('a group with flags');
    }
    const node = this.#choice();
    if (!this.#take(')')) throw new PatternFault("a '(' that nothing closes");
    this.#depth--;
    return node;
  }

  #class(): CharacterSet {
    this.#at++;
    const negated = this.#take('^');
    const sets: CharacterSet[] = [];
    while (!this.#take(']')) {
      const first = this.#classMember();
      if (this.#peek() !== '-' || this.#peek(1) === ']' || this.#peek(1) === '') {
        sets.push(first);
        continue;
      }
      this.#at++;
      const last = this.#classMember();
      if (sizeOf(first) !== 1 || sizeOf(last) !== 1) throw new PatternFault('a range that is not of two characters');
      const [from, to] = [first[0]?.[0] ?? 0, last[0]?.[0] ?? 0];
      if (from > to) throw new PatternFault(`a range whose ends are the wrong way round`);
      sets.push(characterSet([[from, to]]));
    }
    const set = union(...sets);
    return negated ? complement(set) : set;
  }

  #classMember(): CharacterSet {
    const next = this.#peek();
    if (next === '') throw new PatternFault("a '[' that nothing closes");
    this.#at++;
    return next === '\\' ? this.#escape(true) : charactersOf(next);
  }

  /** After the backslash. */
  #escape(inClass: boolean): CharacterSet {
    const escaped = this.#peek();
    this.#at++;
    const named = CLASSES[escaped];
    if (named !== undefined) return named;
    if (inClass && escaped === 'b') return charactersOf('\b');
    const control = CONTROLS[escaped];
    if (control !== undefined && !(escaped === '0' && /\d/.test(this.#peek())))
      return characterSet([[control, control]]);
    if (escaped === 'b' || escaped === 'B') throw new PatternFault(`a word boundary, '\\${escaped}'`);
    if (escaped === 'k' || /\d/.test(escaped)) throw new PatternFault(`a back-reference, '\\${escaped}'`);
    if (escaped === 'x') return this.#hex(2);
    if (escaped === 'u') return this.#unicodeEscape();
    if (escaped === 'p' || escaped === 'P') return this.#property(escaped);
    if (escaped === 'c' && /[a-z]/i.test(this.#peek())) {
      const code = (this.#peek().codePointAt(0) as number) % 32;
      this.#at++;
      return characterSet([[code, code]]);
    }
    if (escaped === '') throw new PatternFault("a '\\' at the end");
    if (/[a-z]/i.test(escaped)) throw new PatternFault(`the escape '\\${escaped}'`);
    return charactersOf(escaped);
  }

  #hex(digits: number): CharacterSet {
    const code = this.#hexDigits(digits);
    return characterSet([[code, code]]);
  }

  #hexDigits(digits: number): number {
    const hex = this.#characters.slice(this.#at, this.#at + digits).join('');
    if (hex.length < digits || /[^\da-f]/i.test(hex)) throw new PatternFault('an escape without its hex digits');
    this.#at += digits;
    return Number.parseInt(hex, 16);
  }

  #unicodeEscape(): CharacterSet {
    if (this.#peek() === '{') {
      const rest = this.#characters.slice(this.#at, this.#at + 10).join('');
      const [whole, hex] = /^\{([\da-f]{1,6})\}/i.exec(rest) ?? [];
      if (whole === undefined || hex === undefined) throw new PatternFault('an escape without its hex digits');
      this.#at += whole.length;
      const code = Number.parseInt(hex, 16);
      return characterSet([[code, code]]);
    }
    const high = this.#hexDigits(4);
    if (high < 0xd800 || high > 0xdbff || !this.#take('\\u')) return characterSet([[high, high]]);
    const low = this.#hexDigits(4);
    const code = 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
    return characterSet([[code, code]]);
  }

  #property(letter: string): CharacterSet {
    const rest = this.#characters.slice(this.#at, this.#at + 64).join('');
    const [name] = /^\{[\w=]+\}/.exec(rest) ?? [];
    if (name === undefined) throw new PatternFault(`the escape '\\${letter}' without a property in braces`);
    this.#at += name.length;
    try {
      const set = unicodeProperty(`\\p${name}`);
      return letter === 'p' ? set : complement(set);
    } catch {
      throw new PatternFault(`the property '\\p${name}', which is none of Unicode's`);
    }
  }
}

// --- meaning -------------------------------------------------------------------------------------------------------

const ANYTHING: Node = { type: 'repeat', node: { type: 'set', set: ALL }, min: 0, max: Infinity };

/** What a whole string must be: without anchors, which stand for what may come before and after otherwise. */
function anchored(node: Node): Node {
  const branches = branchesOf(node).map((nodes): Node => {
    const first = nodes.findIndex(({ type }) => type !== 'start');
    const from = first === -1 ? nodes.length : first;
    let to = nodes.length;
    while (to > from && nodes[to - 1]?.type === 'end') to--;
    const inner = nodes.slice(from, to);
    if (inner.some(hasAnchor)) throw new PatternFault("an anchor, '^' or '$', within the pattern");
    const starts = from > 0 ? [] : [ANYTHING];
    const ends = to < nodes.length || (inner.length === 0 && from === 0) ? [] : [ANYTHING];
    return { type: 'sequence', nodes: [...starts, ...inner, ...ends] };
  });
  return branches.length === 1 ? (branches[0] as Node) : { type: 'choice', branches };
}

/** Sequences, one for each alternative that has an anchor of its own. */
function branchesOf(node: Node): Node[][] {
  if (!hasAnchor(node)) return [[node]];
  if (node.type === 'choice') return limited(node.branches.flatMap(branchesOf));
  if (node.type !== 'sequence') return [[node]];
  return node.nodes.reduce<Node[][]>(
    (sequences, next) =>
      limited(branchesOf(next).flatMap((branch) => sequences.map((sequence) => [...sequence, ...branch]))),
    [[]],
  );
}

function limited<T>(branches: T[]): T[] {
  if (branches.length > MAX_BRANCHES) throw new PatternFault(`more than ${MAX_BRANCHES} alternatives with anchors`);
  return branches;
}

function hasAnchor(node: Node): boolean {
  switch (node.type) {
    case 'start':
    case 'end':
      return true;
    case 'sequence':
      return node.nodes.some(hasAnchor);
    case 'choice':
      return node.branches.some(hasAnchor);
    case 'repeat':
      return hasAnchor(node.node);
    case 'set':
      return false;
  }
}

const EMPTY: Node = { type: 'sequence', nodes: [] };

/** The same, without repetitions of what can be empty, which are left recursion, and of repetitions, which multiply. */
function simplified(node: Node): Node {
  switch (node.type) {
    case 'sequence':
      return { type: 'sequence', nodes: node.nodes.map(simplified) };
    case 'choice':
      return { type: 'choice', branches: node.branches.map(simplified) };
    case 'repeat':
      return simplifiedRepeat(node);
    default:
      return node;
  }
}

function simplifiedRepeat({ node, min, max }: Node & { type: 'repeat' }): Node {
  if (max === 0) return EMPTY;
  let body = simplified(node);
  let least = min;
  if (canBeEmpty(body)) {
    body = nonEmpty(body);
    least = 0;
  }
  while (body.type === 'sequence' && body.nodes.length === 1) body = body.nodes[0] as Node;
  if (isEmptyOnly(body)) return EMPTY;
  if (body.type === 'repeat' && isGapless(body, least, max)) {
    return { type: 'repeat', node: body.node, min: body.min * least, max: body.max * max };
  }
  return { type: 'repeat', node: body, min: least, max };
}

/** Whether repetitions of this one have every length between their least and their most. */
function isGapless({ min, max }: Node & { type: 'repeat' }, least: number, most: number): boolean {
  if (least === most) return true;
  return least === 0 ? min <= 1 : min * (least + 1) <= max * least + 1;
}

function canBeEmpty(node: Node): boolean {
  switch (node.type) {
    case 'sequence':
      return node.nodes.every(canBeEmpty);
    case 'choice':
      return node.branches.some(canBeEmpty);
    case 'repeat':
      return node.min === 0 || canBeEmpty(node.node);
    default:
      return false;
  }
}

function isEmptyOnly(node: Node): boolean {
  return (
    (node.type === 'sequence' && node.nodes.every(isEmptyOnly)) ||
    (node.type === 'choice' && node.branches.every(isEmptyOnly))
  );
}

/** Of a node that can be empty, what it is otherwise. Repetitions in it are simplified, so that what they repeat can't be. */
function nonEmpty(node: Node): Node {
  if (!canBeEmpty(node)) return node;
  switch (node.type) {
    case 'repeat':
      return { ...node, min: 1 };
    case 'choice':
      return { type: 'choice', branches: node.branches.filter((branch) => !isEmptyOnly(branch)).map(nonEmpty) };
    case 'sequence': {
      const branches = node.nodes.flatMap((first, index): Node[] =>
        isEmptyOnly(first) ? [] : [{ type: 'sequence', nodes: [nonEmpty(first), ...node.nodes.slice(index + 1)] }],
      );
      return branches.length === 1 ? (branches[0] as Node) : { type: 'choice', branches };
    }
    default:
      return node;
  }
}

// --- lengths -------------------------------------------------------------------------------------------------------

function lengthsOf(node: Node): Lengths {
  switch (node.type) {
    case 'set':
      return { min: 1, max: 1 };
    case 'sequence':
      return node.nodes
        .map(lengthsOf)
        .reduce((a, b) => ({ min: a.min + b.min, max: a.max + b.max }), { min: 0, max: 0 });
    case 'choice':
      return node.branches
        .map(lengthsOf)
        .reduce((a, b) => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }));
    case 'repeat': {
      const { min, max } = lengthsOf(node.node);
      return { min: min * node.min, max: max === 0 || node.max === 0 ? 0 : max * node.max };
    }
    default:
      return { min: 0, max: 0 };
  }
}

/** The strings of these lengths, where they differ in one repetition of characters, or all have them. */
function withLengths(node: Node, { min, max }: Lengths): Node {
  const own = lengthsOf(node);
  if (own.min > max || own.max < min) {
    throw new PatternFault(
      `strings of ${describe(own)}, where 'minLength' and 'maxLength' want ${describe({ min, max })}`,
    );
  }
  if (own.min >= min && own.max <= max) return node;
  if (node.type === 'choice') {
    const fitting = node.branches.filter((branch) => {
      const lengths = lengthsOf(branch);
      return lengths.min <= max && lengths.max >= min;
    });
    return { type: 'choice', branches: fitting.map((branch) => withLengths(branch, { min, max })) };
  }
  if (node.type === 'repeat') {
    const { min: unit, max: longest } = lengthsOf(node.node);
    if (unit === longest) {
      const [least, most] = [Math.max(node.min, Math.ceil(min / unit)), Math.min(node.max, Math.floor(max / unit))];
      if (least <= most) return { ...node, min: least, max: most };
    }
  }
  if (node.type === 'sequence') {
    const varying = node.nodes.filter((part) => lengthsOf(part).min !== lengthsOf(part).max);
    const [only] = varying;
    if (varying.length === 1 && only !== undefined) {
      const fixed = own.min - lengthsOf(only).min;
      const bounded = withLengths(only, { min: Math.max(0, min - fixed), max: max - fixed });
      return { type: 'sequence', nodes: node.nodes.map((part) => (part === only ? bounded : part)) };
    }
  }
  throw new PatternFault('lengths that vary in more than one place');
}

function describe({ min, max }: Lengths): string {
  return min === max ? `${min} characters` : `${min} to ${max === Infinity ? 'any number of' : max} characters`;
}

// --- writing -------------------------------------------------------------------------------------------------------

/** In JSON, a backslash comes before these. */
const ESCAPED: Record<number, string> = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 92: '\\' };
const CONTROL_CHARACTERS = characterSet([[0x0, 0x1f]]);
const UNESCAPED = without(WRITABLE, union(CONTROL_CHARACTERS, charactersOf('"\\\x7f')));
/** Letters, digits and what neither a pattern nor a grammar reads as anything else. */
const PLAIN = /[A-Za-z0-9 _@/,:;=<>#%&!~'`-]/;

function written(node: Node): string {
  const text = `^${writtenNode(node)}$`;
  if (text.length > MAX_WRITTEN) throw new PatternFault('repetitions that are too many to write');
  return text;
}

function writtenNode(node: Node): string {
  switch (node.type) {
    case 'set':
      return writtenSet(node.set);
    case 'sequence':
      return node.nodes.map(writtenPart).join('');
    case 'choice':
      return node.branches.map(writtenPart).join('|');
    case 'repeat':
      return writtenRepeat(writtenUnit(node.node), node.min, node.max >= UNBOUNDED ? Infinity : node.max);
    default:
      return '';
  }
}

/** In a group, where it has alternatives. */
function writtenPart(node: Node): string {
  return node.type === 'choice' ? `(?:${writtenNode(node)})` : writtenNode(node);
}

/** What a repetition can stand behind. */
function writtenUnit(node: Node): string {
  const part = writtenPart(node);
  return node.type === 'set' || node.type === 'choice' || isUnit(part) ? part : `(?:${part})`;
}

function isUnit(part: string): boolean {
  return /^(?:\[(?:[^\]\\]|\\.)*\]|.)$/.test(part);
}

function writtenRepeat(unit: string, min: number, max: number): string {
  if (min > MAX_MIN_LENGTH) throw new PatternFault(`at least ${min} repetitions; the limit is ${MAX_MIN_LENGTH}`);
  if (max === Infinity) {
    if (min <= 1) return `${unit}${min === 0 ? '*' : '+'}`;
    return `${exactly(unit, min)}${unit}*`;
  }
  if (max <= MAX_REPETITIONS) return min === max ? exactly(unit, min) : `${unit}{${min},${max}}`;
  return `${exactly(unit, min)}${upTo(unit, max - min)}`;
}

function exactly(unit: string, times: number): string {
  if (times === 0) return '';
  if (times === 1) return unit;
  if (times <= MAX_REPETITIONS) return `${unit}{${times}}`;
  return `(?:${unit}{${BLOCK}}){${Math.floor(times / BLOCK)}}${exactly(unit, times % BLOCK)}`;
}

/** In blocks, or llama.cpp would not count: any number of whole ones but the last, and a part of one. */
function upTo(unit: string, times: number): string {
  if (times === 0) return '';
  if (times <= MAX_REPETITIONS) return `${unit}{0,${times}}`;
  const blocks = Math.floor(times / BLOCK);
  const block = `(?:${unit}{${BLOCK}})`;
  return `(?:${block}{0,${blocks - 1}}${unit}{0,${BLOCK - 1}}|${block}{${blocks}}${upTo(unit, times % BLOCK)})`;
}

/** A character as JSON has it. */
function writtenSet(set: CharacterSet): string {
  const plain = fewRanges(intersection(set, UNESCAPED));
  const escapes = Object.entries(ESCAPED).flatMap(([code, letter]) => (contains(set, Number(code)) ? [letter] : []));
  const parts: string[] = [];
  if (plain.length > 0) parts.push(writtenClass(plain));
  if (escapes.length > 0) parts.push(`\\\\${writtenClass(charactersOf(escapes.join('')))}`);
  if (parts.length === 0) parts.push(...writtenControls(set));
  if (parts.length === 0) throw new PatternFault('a place where no character can be');
  const [only] = parts;
  return parts.length === 1 && only !== undefined && isUnit(only) ? only : `(?:${parts.join('|')})`;
}

/** `\u001f`: where a class has nothing else. NUL can be written so, too. */
function writtenControls(set: CharacterSet): string[] {
  const controls = intersection(set, union(CONTROL_CHARACTERS, charactersOf('\x7f')));
  return controls.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => `\\\\u00${(first + index).toString(16).padStart(2, '0')}`),
  );
}

function fewRanges(set: CharacterSet): CharacterSet {
  if (set.length <= MAX_RANGES) return set;
  const [kept, others] = [set.filter(([first]) => first < KEPT_BELOW), set.filter(([first]) => first >= KEPT_BELOW)];
  const size = ([first, last]: Range) => last - first;
  const largest = others.toSorted((a, b) => size(b) - size(a)).slice(0, Math.max(0, MAX_RANGES - kept.length));
  return characterSet([...kept, ...largest]);
}

function writtenClass(set: CharacterSet): string {
  const [only] = set;
  if (set.length === 1 && only !== undefined && only[0] === only[1]) {
    const character = String.fromCodePoint(only[0]);
    return PLAIN.test(character) ? character : `[${writtenCharacter(only[0])}]`;
  }
  const ranges = set.map(([first, last]) =>
    first === last ? writtenCharacter(first) : `${writtenCharacter(first)}-${writtenCharacter(last)}`,
  );
  return `[${ranges.join('')}]`;
}

function writtenCharacter(code: number): string {
  const character = String.fromCodePoint(code);
  if (/[A-Za-z0-9]/.test(character)) return character;
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
