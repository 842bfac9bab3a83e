/**
 * The grammar that llama.cpp makes of a schema, rule by rule, for those that `keepableSchema` writes: to know what it costs
 * before the engine has it. The names are others; the rules and their order of nesting are the same.
 */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';

/** What llama.cpp allows between the parts of an answer. */
const SPACE = String.raw`| " " | "\n"{1,2} [ \t]{0,20}`;
const PRIMITIVES: Record<string, string> = {
  space: SPACE,
  boolean: '"true" | "false"',
  null: '"null"',
  integral: '[0] | [1-9] [0-9]{0,15}',
  decimal: '[0-9]{1,16}',
  integer: '"-"? integral',
  number: '("-"? integral) ("." decimal)? ([eE] [-+]? integral)?',
  char: String.raw`[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})`,
  string: String.raw`"\"" char* "\""`,
  object: '"{" space ( string ":" space value ("," space string ":" space value)* )? space "}"',
  array: '"[" space ( value ("," space value)* )? space "]"',
  value: 'object | array | string | number | boolean | null',
  date: '[0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [1-2] [0-9] | "3" [0-1] )',
  time: '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{3} )? ( "Z" | ( "+" | "-" ) ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )',
  uuid: String.raw`"\"" [0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12} "\""`,
};

/** GBNF with the rule `root`. */
export function schemaGrammar(schema: Json): string {
  return new Converter().convert(schema);
}

class Converter {
  readonly #rules: string[] = [];
  #count = 0;

  convert(schema: Json): string {
    const { $defs, ...root } = schema;
    for (const [name, definition] of Object.entries(isObject($defs) ? $defs : {})) {
      this.#rules.push(`def-${name} ::= ${this.#body(definition as Json)}`);
    }
    this.#rules.push(`root ::= ${this.#body(root)}`);
    const primitives = Object.entries(PRIMITIVES).map(([name, body]) => `${name} ::= ${body}`);
    // Names that are new in a group count for it: from the root down, most are.
    return [...this.#rules.reverse(), ...primitives].join('\n');
  }

  #rule(body: string): string {
    const name = `r${this.#count++}`;
    this.#rules.push(`${name} ::= ${body}`);
    return name;
  }

  #visit(schema: unknown): string {
    return this.#rule(isObject(schema) ? this.#body(schema) : 'value');
  }

  #body(schema: Json): string {
    if (typeof schema.$ref === 'string') return `def-${schema.$ref.slice('#/$defs/'.length)}`;
    if (Array.isArray(schema.anyOf)) return schema.anyOf.map((branch) => this.#visit(branch)).join(' | ');
    if ('const' in schema) return constant(schema.const);
    if (Array.isArray(schema.enum)) return `(${schema.enum.map(constant).join(' | ')})`;
    switch (schema.type) {
      case 'object':
        return this.#object(schema);
      case 'array':
        return this.#array(schema);
      case 'string':
        return this.#string(schema);
      case 'integer':
        return this.#integer(schema);
      case undefined:
        return 'value';
      default:
        return schema.type as string;
    }
  }

  #object({ properties = {}, required = [], additionalProperties }: Json): string {
    const names = Object.keys(properties as Json);
    if (names.length === 0 && additionalProperties === true) return 'object';
    const members = names.map((name) => ({
      rule: this.#rule(`${literal(JSON.stringify(name))} space ":" space ${this.#visit((properties as Json)[name])}`),
      isRequired: (required as string[]).includes(name),
      isMany: false,
    }));
    if (additionalProperties !== undefined && additionalProperties !== false) {
      const rule = this.#rule(`string ":" space ${this.#visit(additionalProperties)}`);
      members.push({ rule, isRequired: false, isMany: true });
    }
    const first = members.filter(({ isRequired }) => isRequired).map(({ rule }) => rule);
    const optional = members.filter(({ isRequired }) => !isRequired);
    let body = `"{" space ${first.join(' "," space ')}`;
    if (optional.length > 0) {
      let rest = '';
      const starts: string[] = [];
      for (const { rule, isMany } of optional.toReversed()) {
        const again = `( "," space ${rule} )`;
        starts.unshift(`${rule} ${isMany ? `${again}*` : ''} ${rest}`);
        rest = this.#rule(`${again}${isMany ? '*' : '?'} ${rest}`);
      }
      body += first.length > 0 ? ` ( "," space ( ${starts.join(' | ')} ) )?` : ` ( ${starts.join(' | ')} )?`;
    }
    return `${body} space "}"`;
  }

  #array({ items, prefixItems, minItems = 0, maxItems = Infinity }: Json): string {
    if (Array.isArray(prefixItems)) {
      return `"[" space ${prefixItems.map((item) => this.#visit(item)).join(' "," space ')} space "]"`;
    }
    const [min, max] = [minItems as number, maxItems as number];
    if (items === undefined && min === 0 && max === Infinity) return 'array';
    if (max === 0) return '"[" space space "]"';
    const item = this.#visit(items);
    const others = repetition(`("," space ${item})`, Math.max(0, min - 1), max - 1);
    return `"[" space ${min === 0 ? `(${item} ${others})?` : `${item} ${others}`} space "]"`;
  }

  #string({ pattern, format, minLength = 0, maxLength = Infinity }: Json): string {
    if (typeof pattern === 'string') return String.raw`"\"" (${this.#pattern(pattern)}) "\""`;
    if (typeof format === 'string') {
      if (format.startsWith('uuid')) return 'uuid';
      if (format === 'date-time') return String.raw`"\"" date "T" time "\""`;
      return String.raw`"\"" ${format} "\""`;
    }
    const [min, max] = [minLength as number, maxLength as number];
    return min === 0 && max === Infinity ? 'string' : String.raw`"\"" ${repetition('char', min, max)} "\""`;
  }

  /** Of the constructs that `rewritePattern` writes. */
  #pattern(pattern: string): string {
    const text = pattern.slice(1, -1);
    let at = 0;
    const sequence = (): string => {
      const items: string[] = [];
      while (at < text.length && text[at] !== ')') {
        const [bounds] = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(text.slice(at, at + 32)) ?? [];
        const [characters] = /^\[(?:[^\]\\]|\\.)*\]/.exec(text.slice(at)) ?? [];
        if (bounds !== undefined) {
          items.push(repeated(items.pop() as string, bounds, (body) => this.#rule(body)));
          at += bounds.length;
        } else if (text.startsWith('(?:', at)) {
          at += '(?:'.length;
          items.push(`(${sequence()})`);
          at++;
        } else if (text[at] === '|') {
          items.push('|');
          at++;
        } else if (characters !== undefined) {
          items.push(characters);
          at += characters.length;
        } else {
          const length = text[at] === '\\' ? 2 : 1;
          items.push(`"${text.slice(at, at + length)}"`);
          at += length;
        }
      }
      return items.join(' ');
    };
    return sequence();
  }

  #integer({ minimum, maximum }: Json): string {
    if (minimum === undefined || maximum === undefined) return 'integer';
    // A way for each number of digits, as llama.cpp has it.
    const digits = Math.max(...[minimum, maximum].map((bound) => `${Math.abs(bound as number)}`.length));
    return Array.from({ length: digits }, (_, index) => `"-"? [1-9] [0-9]{${index}}`).join(' | ');
  }
}

function constant(value: unknown): string {
  return literal(JSON.stringify(value));
}

function literal(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** In braces, a rule of its own. */
function repeated(item: string, bounds: string, rule: (body: string) => string): string {
  return bounds.startsWith('{') ? `${rule(item)}${bounds}` : `${item}${bounds}`;
}

function repetition(item: string, min: number, max: number): string {
  if (max === 0) return '';
  return `${item}{${min},${max === Infinity ? '' : max}}`;
}
