/**
 * Reads GBNF as llama.cpp's parser does, rule for rule, with the rules that it makes of repetitions: for what it costs there,
 * and for faults that it reports without their reason, or not at all.
 */
import {
  ALL,
  type CharacterSet,
  characterSet,
  complement,
  intersection,
  type Range,
  WRITABLE,
} from './character-set.ts';

/** llama.cpp's: repetitions above it are refused as a minimum, and unbounded as a maximum. */
export const MAX_REPETITIONS = 2000;
/** Elements of all rules. Sixty tools with bounds have some 10,000; llama.cpp copies the rules several times for a request. */
const MAX_ELEMENTS = 500_000;
/**
 * Optional repetitions that are spelled out. llama.cpp makes a rule of each; those beyond differ in nothing from those before, and
 * are only counted.
 */
const MAX_SPELLED_OUT = 64;
/** Groups in groups: llama.cpp recurses, on the small stack of a wasm thread. Grammars in use have a handful. */
const MAX_DEPTH = 64;

/** One character of a set, another rule, or a token of the vocabulary. */
export type Element = { type: 'characters'; set: CharacterSet } | { type: 'rule'; rule: number } | { type: 'token' };

export interface Rule {
  /** As it is written; a rule that a group or repetition makes has that of the rule around it. */
  name: string;
  alternatives: Element[][];
}

export interface Grammar {
  rules: Rule[];
  /** Index of `root`. */
  root: number;
  /** What is repeated more often than is spelled out: it must not be empty. */
  repeated: Element[][];
}

/** What is wrong with a grammar, for its author. */
export class GrammarFault extends Error {}

/** @throws GrammarFault */
export function parseGrammar(text: string): Grammar {
  return new Parser(text).parse();
}

const ESCAPES: Record<string, string> = {
  t: '\t',
  r: '\r',
  n: '\n',
  '\\': '\\',
  '"': '"',
  '[': '[',
  ']': ']',
  '-': '-',
};
const HEX_ESCAPES: Record<string, number> = { x: 2, u: 4, U: 8 };

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #elements = 0;
  /** Rules that are not spelled out. */
  #uncounted = 0;
  readonly #rules: (Rule | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #repeated: Element[][] = [];

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Grammar {
    this.#space(true);
    while (this.#at < this.#text.length) this.#rule();
    for (const [name, id] of this.#ids) {
      if (this.#rules[id] === undefined) throw new GrammarFault(`the rule '${name}' is used and not defined`);
    }
    const root = this.#ids.get('root');
    if (root === undefined) throw new GrammarFault("there is no rule 'root'");
    return { rules: this.#rules as Rule[], root, repeated: this.#repeated };
  }

  #rule(): void {
    const name = this.#name();
    this.#space(false);
    const id = this.#id(name);
    if (!this.#text.startsWith('::=', this.#at)) throw this.#fault("expecting '::='");
    this.#at += '::='.length;
    this.#space(true);
    this.#alternatives(name, id, false);
    if (this.#at < this.#text.length && !/[\r\n]/.test(this.#peek()))
      throw this.#fault('expecting a new line or the end');
    this.#space(true);
  }

  #alternatives(name: string, id: number, nested: boolean): void {
    const alternatives = [this.#sequence(name, nested)];
    while (this.#peek() === '|') {
      this.#at++;
      this.#space(true);
      alternatives.push(this.#sequence(name, nested));
    }
    this.#rules[id] = { name, alternatives };
  }

  #sequence(name: string, nested: boolean): Element[] {
    const sequence: Element[] = [];
    /** Where the last item begins, and how many rules llama.cpp counts for it. */
    let last = 0;
    let weight = 1;
    const repeat = (min: number, max: number) => {
      const item = sequence.slice(last);
      if (item.length === 0) throw this.#fault('there is nothing to repeat');
      const times = max > 0 && max < Infinity ? max : Math.max(min, 1);
      if (weight * times > MAX_REPETITIONS) {
        throw this.#fault(
          `number of repetitions exceeds sane defaults: ${times} times ${weight} rules; the limit is ${MAX_REPETITIONS}. Repeat a rule of its own`,
        );
      }
      weight *= times;
      if (min === 0) sequence.length = last;
      for (let time = 1; time < min; time++) this.#push(sequence, item);
      let more: Element | undefined;
      const optional = max === Infinity ? 1 : max - min;
      for (let time = 0; time < Math.min(optional, MAX_SPELLED_OUT); time++) {
        const id = this.#newId(name);
        const again: Element | undefined = max === Infinity ? { type: 'rule', rule: id } : more;
        const taken: Element[] = [];
        this.#push(taken, again === undefined ? item : [...item, again]);
        this.#rules[id] = { name, alternatives: [taken, []] };
        more = { type: 'rule', rule: id };
      }
      if (optional > MAX_SPELLED_OUT) {
        const left = optional - MAX_SPELLED_OUT;
        this.#count(left * (item.length + 1));
        this.#uncounted += left;
        this.#repeated.push(item);
      }
      if (more !== undefined) this.#push(sequence, [more]);
    };
    const item = (elements: Element[]) => {
      last = sequence.length;
      weight = 1;
      this.#push(sequence, elements);
    };
    for (;;) {
      const next = this.#peek();
      if (next === '"') item(this.#literal());
      else if (next === '[') item(this.#characters());
      else if (next === '<' || next === '!') item([this.#token()]);
      else if (/[a-zA-Z0-9-]/.test(next)) item([{ type: 'rule', rule: this.#id(this.#name()) }]);
      else if (next === '(') {
        const before = this.#ids.size + this.#uncounted;
        const rule = this.#group(name);
        item([{ type: 'rule', rule }]);
        weight = this.#ids.size + this.#uncounted - before;
      } else if (next === '.') {
        this.#at++;
        item([{ type: 'characters', set: intersection(ALL, WRITABLE) }]);
      } else if (next === '*' || next === '+' || next === '?') {
        this.#at++;
        repeat(next === '+' ? 1 : 0, next === '?' ? 1 : Infinity);
      } else if (next === '{') repeat(...this.#bounds(nested));
      else return sequence;
      this.#space(nested);
    }
  }

  #push(sequence: Element[], elements: Element[]): void {
    this.#count(elements.length);
    for (const element of elements) sequence.push(element);
  }

  #count(elements: number): void {
    this.#elements += elements;
    if (this.#elements > MAX_ELEMENTS) {
      throw new GrammarFault(`it expands to more than ${MAX_ELEMENTS} elements. Repeat less, or leave bounds out`);
    }
  }

  #group(name: string): number {
    this.#depth++;
    if (this.#depth > MAX_DEPTH) throw this.#fault(`groups are nested deeper than ${MAX_DEPTH}`);
    this.#at++;
    this.#space(true);
    const id = this.#newId(name);
    this.#alternatives(name, id, true);
    if (this.#peek() !== ')') throw this.#fault("expecting ')'");
    this.#at++;
    this.#depth--;
    return id;
  }

  #literal(): Element[] {
    this.#at++;
    const elements: Element[] = [];
    while (this.#peek() !== '"') {
      const from = this.#at;
      const character = this.#character();
      elements.push(this.#element([[character, character]], from));
    }
    this.#at++;
    return elements;
  }

  #characters(): Element[] {
    const from = this.#at;
    this.#at++;
    const negated = this.#peek() === '^';
    if (negated) this.#at++;
    const ranges: Range[] = [];
    while (this.#peek() !== ']') {
      const first = this.#character();
      const isRange = this.#peek() === '-' && this.#text[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      ranges.push([first, isRange ? this.#character() : first]);
    }
    this.#at++;
    // llama.cpp makes nothing of `[]` and `[^]`.
    if (ranges.length === 0) return [];
    const set = characterSet(ranges);
    return [this.#element(negated ? complement(set) : set, from)];
  }

  /** A class that no character is in leaves llama.cpp without a token to choose. */
  #element(ranges: readonly Range[], from: number): Element {
    const set = intersection(ranges, WRITABLE);
    if (set.length === 0) throw this.#fault('no character can be written here', from);
    return { type: 'characters', set };
  }

  #character(): number {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw this.#fault('unexpected end');
    if (this.#peek() !== '\\') {
      this.#at += code > 0xffff ? 2 : 1;
      return code;
    }
    const escaped = this.#text[this.#at + 1] ?? '';
    const digits = HEX_ESCAPES[escaped];
    if (digits !== undefined) {
      const hex = this.#text.slice(this.#at + 2, this.#at + 2 + digits);
      if (hex.length < digits || /[^\da-f]/i.test(hex)) throw this.#fault(`expecting ${digits} hex digits`);
      this.#at += 2 + digits;
      return Number.parseInt(hex, 16);
    }
    const plain = ESCAPES[escaped];
    if (plain === undefined) throw this.#fault('unknown escape');
    this.#at += 2;
    return plain.codePointAt(0) as number;
  }

  /** `<name>` or `<[id]>`, of which only the model knows whether it is one token. */
  #token(): Element {
    const [token] = /^!?<(?:\[\d+\]|[^>[][^>]*)>/.exec(this.#text.slice(this.#at, this.#at + 1024)) ?? [];
    if (token === undefined) throw this.#fault('expecting a token as <name> or <[id]>');
    this.#at += token.length;
    return { type: 'token' };
  }

  #bounds(nested: boolean): [number, number] {
    const from = this.#at;
    this.#at++;
    this.#space(nested);
    const min = this.#integer();
    this.#space(nested);
    let max = min;
    if (this.#peek() === ',') {
      this.#at++;
      this.#space(nested);
      max = /\d/.test(this.#peek()) ? this.#integer() : Infinity;
      this.#space(nested);
    }
    if (this.#peek() !== '}') throw this.#fault("expecting '}'");
    this.#at++;
    if (min > max) throw this.#fault(`the repetition {${min},${max}} has a minimum above its maximum`, from);
    if (min > MAX_REPETITIONS) {
      throw this.#fault(
        `number of repetitions exceeds sane defaults: at least ${min}; the limit is ${MAX_REPETITIONS}. Repeat less, or a rule that repeats`,
        from,
      );
    }
    return [min, max > MAX_REPETITIONS ? Infinity : max];
  }

  #integer(): number {
    const [digits] = /^\d{1,15}/.exec(this.#text.slice(this.#at, this.#at + 15)) ?? [];
    if (digits === undefined) throw this.#fault('expecting an integer');
    this.#at += digits.length;
    return Number(digits);
  }

  #name(): string {
    const from = this.#at;
    while (/[a-zA-Z0-9-]/.test(this.#peek())) this.#at++;
    if (this.#at === from) throw this.#fault('expecting a name');
    return this.#text.slice(from, this.#at);
  }

  #space(newLines: boolean): void {
    for (;;) {
      const next = this.#peek();
      if (next === '#') while (this.#at < this.#text.length && !/[\r\n]/.test(this.#peek())) this.#at++;
      else if (next === ' ' || next === '\t' || (newLines && (next === '\r' || next === '\n'))) this.#at++;
      else return;
    }
  }

  /** Empty at the end. */
  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #id(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    this.#ids.set(name, this.#ids.size);
    return this.#ids.size - 1;
  }

  /** A name of its own: no rule's has an underscore. */
  #newId(name: string): number {
    return this.#id(`${name}_${this.#ids.size}`);
  }

  #fault(reason: string, at = this.#at): GrammarFault {
    const lines = this.#text.slice(0, at).split('\n');
    return new GrammarFault(`${reason} at line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`);
  }
}
