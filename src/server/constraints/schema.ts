/**
 * A JSON schema, written anew so that the grammar that llama.cpp makes of it keeps what it says. Its converter ignores many
 * keywords, and of some it makes something else: beside `$ref`, `anyOf`, `const` and `enum` it looks at nothing, a `pattern`
 * lets a quote through, a property that is required and not declared never comes.
 *
 * What is written accepts no value that the schema doesn't. It may accept fewer: a property that is not declared, say, is
 * never written. What can't be written is either left out, as by llama-server, or refused with its path and keyword.
 */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';
import { MAX_REPETITIONS } from './grammar.ts';
import { grammarFault } from './grammar-limits.ts';
import { type Lengths, lengthPattern, MAX_MIN_LENGTH, PatternFault, rewritePattern } from './pattern.ts';
import { distinctFirst } from './schema-alternatives.ts';
import { combine, isAnnotation, KEYWORDS_OF_TYPES, NOTHING, typesOf } from './schema-combine.ts';
import { schemaGrammar } from './schema-grammar.ts';
import { accepts, regularExpression, sameJson } from './schema-values.ts';

export interface SchemaUse {
  /** OpenAI's promise: what can't be kept is refused. Otherwise it is left out, as llama-server does. */
  strict: boolean;
  /**
   * Of a tool's arguments, which the template also shows to the model: rewritten only where llama.cpp would go wrong, and
   * without `strict` a pattern that can't be kept is left out, not refused.
   */
  tool?: boolean;
}

/** What is wrong with a schema, in llama.cpp's words: `JSON schema error at #/properties/x: …`. */
export class SchemaFault extends Error {
  constructor(path: string, reason: string) {
    super(`JSON schema error at ${path}: ${reason}`);
  }
}

/** Nodes of what is written. Sixty tools have some 2,000. */
const MAX_NODES = 20_000;
/** Parts in parts: a body has 100, and a target that is combined with what stands beside its reference more. */
const MAX_DEPTH = 128;
/** References that are followed into another's place, where keywords stand beside them. */
const MAX_INLINED = 16;
/** Values of a range that is written as a list of them. */
const MAX_LISTED = 256;
/** Elements that are spelled out, of a tuple that must be longer than it says. */
const MAX_TUPLE = 256;
/** Above it, up to 2,001, llama.cpp takes bounds of arrays that can be empty for too many rules in one group. */
const MOST_OF_OPTIONAL_ITEMS = 1990;
/** Digits of an integer that llama.cpp writes. */
const MAX_INTEGER = 1e15 - 1;
/** One-sided bounds that llama.cpp gets right; beyond, it writes 12 for a minimum of 1000, and -07 for a maximum of -5. */
const MOST_OPEN_MINIMUM = 99;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
/** Those that no grammar of llama.cpp's can keep, whatever else there is. */
const NEVER_KEPT = ['not', 'if', 'then', 'else', 'dependentSchemas', 'dependencies', '$dynamicRef', '$recursiveRef'];
/** Formats that llama.cpp writes, and the lengths of their texts. */
const FORMATS: Record<string, Lengths> = {
  date: { min: 10, max: 10 },
  time: { min: 9, max: 18 },
  'date-time': { min: 20, max: 29 },
  uuid: { min: 36, max: 36 },
};
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
/** The others that OpenAI documents, kept under `strict`; of IPv6 addresses, the long form. */
const FORMAT_PATTERNS: Record<string, string> = {
  email: `^[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@${LABEL}(?:\\.${LABEL})+$`,
  hostname: `^${LABEL}(?:\\.${LABEL})*$`,
  ipv4: `^${OCTET}(?:\\.${OCTET}){3}$`,
  ipv6: '^[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){7}$',
  duration:
    '^P(?:[0-9]+W|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D|T[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|T[0-9]+M(?:[0-9]+S)?|T[0-9]+S)$',
};

/**
 * @returns What to give to llama.cpp: the schema itself where nothing need be said otherwise, and for a tool.
 * @throws SchemaFault for what is no schema, what nothing fulfils, what would stop the engine, and under `strict` what can't be kept.
 */
export function keepableSchema(schema: unknown, use: SchemaUse): Json {
  const key = `${use.strict} ${use.tool ?? false} ${JSON.stringify(schema)}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const written = rewritten(schema, use);
  if (key.length <= MAX_KEPT_LENGTH) {
    kept.set(key, written);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  }
  return written;
}

/** The same. @param refusal Makes an error of what the fault says. */
export function keepSchema(schema: unknown, use: SchemaUse, refusal: (fault: string) => Error): Json {
  try {
    return keepableSchema(schema, use);
  } catch (error) {
    throw error instanceof SchemaFault ? refusal(error.message) : error;
  }
}

/** Agents send the same tools with each request. */
const kept = new Map<string, Json>();
const MAX_KEPT = 256;
const MAX_KEPT_LENGTH = 2 ** 16;

function rewritten(schema: unknown, use: SchemaUse): Json {
  const rewriter = new Rewriter(schema, use);
  const written = rewriter.write();
  const fault = grammarFault(schemaGrammar(written));
  if (fault !== undefined) {
    const reordered = distinctFirst(written);
    if (grammarFault(schemaGrammar(reordered)) === undefined) return reordered;
    throw new SchemaFault('#', `its grammar can't be followed: ${fault}`);
  }
  return rewriter.changed || !use.tool ? written : (schema as Json);
}

class Rewriter {
  readonly #root: unknown;
  readonly #strict: boolean;
  readonly #tool: boolean;
  #nodes = 0;
  #depth = 0;
  /** By pointer, the names that targets of references are written under. */
  readonly #definitions = new Map<string, string>();
  readonly #todo: { pointer: string; name: string }[] = [];
  /** Whether llama.cpp would have made something else of the schema as it was. */
  changed = false;

  constructor(root: unknown, { strict, tool = false }: SchemaUse) {
    this.#root = root;
    this.#strict = strict;
    this.#tool = tool;
  }

  write(): Json {
    if (!isObject(this.#root)) throw new SchemaFault('#', 'schema must be an object');
    const written = this.#node(this.#root, '#');
    const $defs: Json = {};
    for (let next = this.#todo.shift(); next !== undefined; next = this.#todo.shift()) {
      $defs[next.name] = this.#node(this.#resolve(next.pointer, '#'), next.pointer);
    }
    return Object.keys($defs).length === 0 ? written : { ...written, $defs };
  }

  /** What can't be kept, and so is refused or left out. */
  #lose(path: string, keyword: string, reason = 'is not kept by grammars'): void {
    if (this.#strict) {
      throw new SchemaFault(
        path,
        `'${keyword}' ${reason}, and 'strict' is true. Leave it out, or set 'strict' to false`,
      );
    }
  }

  #node(given: unknown, path: string): Json {
    this.#nodes++;
    if (this.#nodes > MAX_NODES) throw new SchemaFault(path, `more than ${MAX_NODES} parts. Send a smaller schema`);
    if (this.#depth === MAX_DEPTH) {
      const [start] = path.split('/properties/', 3).slice(1);
      throw new SchemaFault(
        start === undefined ? '#' : `#/properties/${start}`,
        "it has no end: keywords stand beside a '$ref' that leads back to them. Put them into its target",
      );
    }
    this.#depth++;
    const written = this.#written(given, path);
    this.#depth--;
    return written;
  }

  #written(given: unknown, path: string): Json {
    if (given === true) {
      this.changed = true;
      return {};
    }
    if (given === NOTHING) throw new SchemaFault(path, 'no value is allowed here');
    if (!isObject(given)) throw new SchemaFault(path, 'schema must be an object');
    const schema = this.#flat(given, path, 0);
    if (schema === NOTHING) throw new SchemaFault(path, 'what is said here excludes every value');
    if (schema.$ref !== undefined) return this.#described(schema, this.#reference(schema.$ref, path));
    for (const keyword of ['anyOf', 'oneOf']) {
      const branches = schema[keyword];
      if (branches === undefined) continue;
      return this.#described(schema, { anyOf: this.#branches(branches, `${path}/${keyword}`) });
    }
    return this.#described(schema, this.#plain(schema, path));
  }

  /** What tells the model of a node stays. */
  #described(from: Json, to: Json): Json {
    const { title, description } = from;
    return {
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
      ...('default' in from ? { default: from.default } : {}),
      ...to,
    };
  }

  // --- references and combinations ---------------------------------------------------------------------------------

  /** One of: a reference alone, alternatives alone, or neither; `allOf` and what stands beside the others is combined. */
  #flat(schema: Json, path: string, inlined: number): Json | false {
    if (inlined > MAX_INLINED) {
      throw new SchemaFault(path, `more than ${MAX_INLINED} references whose targets are to be combined with others`);
    }
    if (schema.$ref !== undefined) {
      const { $ref, ...beside } = schema;
      const target = this.#resolve($ref, path);
      if (!hasAssertions(beside)) return { ...annotations(schema), $ref };
      this.changed = true;
      return this.#combined([beside, target], path, inlined + 1);
    }
    if (schema.allOf !== undefined) {
      const { allOf, ...beside } = schema;
      this.changed = true;
      const parts = this.#schemas(allOf, `${path}/allOf`);
      const [only] = parts;
      // Pydantic's way to describe a reference, which may lead back here.
      if (parts.length === 1 && !hasAssertions(beside)) {
        return isObject(only)
          ? this.#flat({ ...beside, ...only }, path, inlined + 1)
          : only === true
            ? beside
            : NOTHING;
      }
      return this.#combined([beside, ...parts], path, inlined + 1);
    }
    for (const keyword of ['anyOf', 'oneOf']) {
      const { [keyword]: alternatives, ...beside } = schema;
      if (alternatives === undefined) continue;
      const branches = this.#schemas(alternatives, `${path}/${keyword}`);
      if (keyword === 'oneOf') this.#checkOneOf(branches, path);
      if (!hasAssertions(beside)) return schema;
      this.changed = true;
      const combined = branches
        .map((branch) => this.#combined([withoutAnnotations(beside), branch], path, inlined + 1))
        .filter((branch) => branch !== NOTHING);
      return combined.length === 0 ? NOTHING : { ...annotations(schema), anyOf: combined };
    }
    return schema;
  }

  #schemas(value: unknown, path: string): unknown[] {
    if (!Array.isArray(value)) throw new SchemaFault(path, 'must be an array of schemas');
    if (value.length === 0) throw new SchemaFault(path, 'must not be empty');
    return value;
  }

  #combined(parts: unknown[], path: string, inlined: number): Json | false {
    let whole: Json | false = {};
    for (const part of parts) {
      const flat = isObject(part) ? this.#flat(this.#inlined(part, path, inlined), path, inlined) : part;
      whole = this.#both(whole, flat, path, inlined);
      if (whole === NOTHING) return NOTHING;
    }
    return whole;
  }

  #both(a: Json, b: unknown, path: string, inlined: number): Json | false {
    if (b === true) return a;
    if (b === false) return NOTHING;
    if (!isObject(b)) throw new SchemaFault(path, 'schema must be an object');
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const branches = one.anyOf ?? one.oneOf;
      if (branches === undefined) continue;
      const combined = (branches as unknown[])
        .map((branch) => this.#combined([other, branch], path, inlined))
        .filter((branch) => branch !== NOTHING);
      if (combined.length > MAX_LISTED) throw new SchemaFault(path, `more than ${MAX_LISTED} alternatives to combine`);
      return combined.length === 0 ? NOTHING : { ...annotations(one), anyOf: combined };
    }
    return combine(a, b, (keyword) =>
      this.#lose(path, keyword, 'is said twice, in ways that a grammar can not combine'),
    );
  }

  /** The target itself in the place of a reference. */
  #inlined(schema: Json, path: string, inlined: number): Json {
    if (schema.$ref === undefined) return schema;
    if (inlined > MAX_INLINED) {
      throw new SchemaFault(path, `more than ${MAX_INLINED} references whose targets are to be combined with others`);
    }
    const { $ref, ...beside } = schema;
    const target = this.#resolve($ref, path);
    if (target === true) return beside;
    if (!isObject(target)) throw new SchemaFault(path, `$ref ${nameOf($ref)} leads to what is no schema`);
    return this.#inlined(hasAssertions(beside) ? { allOf: [beside, target] } : target, path, inlined + 1);
  }

  #reference($ref: unknown, path: string): Json {
    this.#checkCycle($ref, path);
    const pointer = $ref as string;
    let name = this.#definitions.get(pointer);
    if (name === undefined) {
      name = `d${this.#definitions.size}`;
      this.#definitions.set(pointer, name);
      this.#todo.push({ pointer, name });
      // llama.cpp takes names for the same that differ in other characters, and knows no escapes.
      if (!/^#(?:\/\$?[A-Za-z0-9-]+)+$/.test(pointer)) this.changed = true;
    }
    return { $ref: `#/$defs/${name}` };
  }

  /** References that lead to one another and to nothing else. */
  #checkCycle($ref: unknown, path: string): void {
    const seen = new Set<unknown>();
    for (let next = $ref; next !== undefined; ) {
      if (seen.has(next)) throw new SchemaFault(path, `$ref ${nameOf($ref)} refers to itself`);
      seen.add(next);
      const target = this.#resolve(next, path);
      next = isObject(target) ? target.$ref : undefined;
    }
  }

  #resolve($ref: unknown, path: string): unknown {
    if (typeof $ref !== 'string' || ($ref !== '#' && !$ref.startsWith('#/'))) {
      throw new SchemaFault(path, `Unsupported ref: ${nameOf($ref)}`);
    }
    let target = this.#root;
    for (const part of $ref.split('/').slice(1)) {
      const key = unescaped(part);
      const literal = typeof target === 'object' && target !== null && Object.hasOwn(target, part) ? part : key;
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, literal)) {
        throw new SchemaFault(path, `Unsupported ref: ${$ref}`);
      }
      target = (target as Json)[literal];
    }
    return target;
  }

  #branches(branches: unknown, path: string): Json[] {
    const written = this.#schemas(branches, path).flatMap((branch, index) => {
      const at = `${path}/${index}`;
      if (branch === false) return [];
      // One alternative that nothing fulfils takes nothing from the others.
      if (isObject(branch) && branch.$ref === undefined && this.#flat(branch, at, 0) === NOTHING) return [];
      return [this.#node(branch, at)];
    });
    if (written.length === 0) throw new SchemaFault(path, 'what is said here excludes every value');
    return written;
  }

  /** A grammar takes a value that fits any; where one can fit two, exactly one is no promise. */
  #checkOneOf(branches: unknown[], path: string): void {
    if (!this.#strict) return;
    const flat = branches.map((branch) => (isObject(branch) ? this.#inlined(branch, path, 0) : branch));
    for (const [index, a] of flat.entries()) {
      for (const b of flat.slice(index + 1)) {
        if (!isObject(a) || !isObject(b) || !areApart(a, b)) {
          this.#lose(path, 'oneOf', "has alternatives that a value can fit two of. Use 'anyOf'; it");
        }
      }
    }
  }

  // --- one value ---------------------------------------------------------------------------------------------------

  #plain(schema: Json, path: string): Json {
    for (const keyword of NEVER_KEPT) if (keyword in schema) this.#lose(path, keyword);
    if ('const' in schema || 'enum' in schema) return this.#values(schema, path);
    const types = typesOf(schema);
    const unknown = types?.find((type) => typeof type !== 'string' || !TYPES.includes(type));
    if (unknown !== undefined) throw new SchemaFault(path, `unrecognized type ${nameOf(unknown)}`);
    if (types?.length === 0) throw new SchemaFault(path, 'type must not be empty');
    const [type = this.#impliedType(schema), ...others] = (types ?? []) as string[];
    if (others.length === 0) return this.#typed(schema, type, path);
    return { anyOf: [type as string, ...others].map((each) => this.#typed({ ...schema, type: each }, each, path)) };
  }

  /** Keywords say something of one type only: what has them is meant to be of it. */
  #impliedType(schema: Json): string | undefined {
    const type = Object.keys(KEYWORDS_OF_TYPES).find((type) =>
      (KEYWORDS_OF_TYPES[type] as string[]).some((keyword) => schema[keyword] !== undefined),
    );
    const known = type ?? (typeof schema.format === 'string' && schema.format in FORMATS ? 'string' : undefined);
    if (known === 'number' || (known === 'object' && schema.properties === undefined)) this.changed = true;
    return known;
  }

  #typed(schema: Json, type: string | undefined, path: string): Json {
    switch (type) {
      case 'object':
        return this.#object(schema, path);
      case 'array':
        return this.#array(schema, path);
      case 'string':
        return this.#string(schema, path);
      case 'integer':
      case 'number':
        return this.#number(schema, type, path);
      case undefined:
        return {};
      default:
        return { type };
    }
  }

  #values(schema: Json, path: string): Json {
    const { const: only, enum: listed } = schema;
    if ('enum' in schema && (!Array.isArray(listed) || listed.length === 0)) {
      throw new SchemaFault(path, 'enum must be a non-empty array');
    }
    const values = 'const' in schema ? [only] : (listed as unknown[]);
    const allowed = values.filter((value) => accepts(schema, value));
    if (allowed.length === 0) {
      throw new SchemaFault(
        path,
        `'${'const' in schema ? 'const' : 'enum'}' has no value that fits the keywords beside it`,
      );
    }
    if (allowed.length < values.length) this.changed = true;
    return allowed.length === 1 ? { const: allowed[0] } : { enum: allowed };
  }

  // --- objects -----------------------------------------------------------------------------------------------------

  #object(schema: Json, path: string): Json {
    const { properties = {}, patternProperties, propertyNames, additionalProperties: additional } = schema;
    if (!isObject(properties)) throw new SchemaFault(path, 'properties must be an object');
    const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : [];
    const declared = new Map<string, unknown>(Object.entries(properties));
    for (const name of required) {
      if (declared.has(name)) continue;
      declared.set(name, additional ?? true);
      this.changed = true;
    }
    const written: Json = {};
    for (const [name, given] of declared) {
      const at = `${path}/properties/${name}`;
      const patterns = this.#patternsOf(name, patternProperties, path);
      const property = patterns.length === 0 ? given : this.#combined([given, ...patterns], at, 1);
      if (property === NOTHING) {
        if (required.includes(name)) throw new SchemaFault(at, 'it is required, and no value is allowed');
        this.changed = true;
        continue;
      }
      if (!Object.hasOwn(properties, name) && !this.#isAllowedName(propertyNames, name)) {
        throw new SchemaFault(path, `'required' names '${name}', which 'propertyNames' excludes`);
      }
      written[name] = this.#node(property, at);
    }
    const names = Object.keys(written);
    const others = this.#additional(schema, names, path);
    this.#checkPropertyCount(schema, names, required, others !== undefined, path);
    for (const keyword of ['dependentRequired']) if (keyword in schema) this.#lose(path, keyword);
    if (propertyNames !== undefined && !names.every((name) => this.#isAllowedName(propertyNames, name))) {
      this.#lose(path, 'propertyNames', 'excludes properties that are declared');
    }
    return {
      type: 'object',
      ...(names.length === 0 && others !== undefined && properties !== schema.properties
        ? {}
        : { properties: written }),
      ...(required.length === 0 ? {} : { required: [...new Set(required)] }),
      ...(others === undefined
        ? names.length === 0
          ? { additionalProperties: false }
          : {}
        : { additionalProperties: others }),
    };
  }

  /** The schema of properties that are not declared; undefined for none, which is always allowed to be so. */
  #additional(schema: Json, names: string[], path: string): unknown {
    const { additionalProperties: additional, properties, patternProperties, propertyNames } = schema;
    if (additional !== undefined && typeof additional !== 'boolean' && !isObject(additional)) {
      throw new SchemaFault(path, 'additionalProperties must be a boolean or a schema');
    }
    // As llama.cpp: declared properties are all there are, unless others are spoken of.
    const isOpen = additional === undefined ? properties === undefined && names.length === 0 : additional !== false;
    if (!isOpen) return undefined;
    const limits = ['patternProperties', 'propertyNames', 'unevaluatedProperties'].filter(
      (keyword) => keyword in schema,
    );
    if (limits.length > 0 && names.length === 0) {
      for (const keyword of limits) this.#lose(path, keyword, 'of an object without declared properties is not kept');
    }
    if (this.#strict && names.length > 0) {
      // Others may be left away, and llama.cpp's rule for names that are none of those declared lets through what is no JSON.
      this.changed = true;
      return undefined;
    }
    // Its rule of such names takes them for a character class.
    if (names.some((name) => /["\\\]^\p{Cc}-]/u.test(name))) {
      this.changed = true;
      return undefined;
    }
    if (patternProperties !== undefined || propertyNames !== undefined) return additional ?? true;
    return isObject(additional) ? this.#node(additional, `${path}/additionalProperties`) : true;
  }

  #patternsOf(name: string, patternProperties: unknown, path: string): unknown[] {
    if (!isObject(patternProperties)) return [];
    return Object.entries(patternProperties).flatMap(([pattern, schema]) => {
      const expression = regularExpression(pattern);
      if (expression === undefined)
        throw new SchemaFault(path, `the pattern ${pattern} of 'patternProperties' is none`);
      if (!expression.test(name)) return [];
      this.changed = true;
      return [schema];
    });
  }

  #isAllowedName(propertyNames: unknown, name: string): boolean {
    return (
      propertyNames === undefined || propertyNames === true || (isObject(propertyNames) && accepts(propertyNames, name))
    );
  }

  #checkPropertyCount(schema: Json, names: string[], required: string[], isOpen: boolean, path: string): void {
    const least = this.#count(schema, 'minProperties', path) ?? 0;
    const most = this.#count(schema, 'maxProperties', path) ?? Infinity;
    checkOrder(schema, 'minProperties', 'maxProperties', path);
    if (least > names.length && !isOpen) {
      throw new SchemaFault(path, `'minProperties' is ${least}, and there are ${names.length} properties to have`);
    }
    if (new Set(required).size > most) {
      throw new SchemaFault(path, `'maxProperties' is ${most}, and ${new Set(required).size} properties are required`);
    }
    if (least > new Set(required).size)
      this.#lose(path, 'minProperties', `is above the number of required properties, which a grammar does not count`);
    if (most < names.length || (isOpen && most < Infinity)) {
      this.#lose(path, 'maxProperties', 'is below the number of properties, which a grammar does not count');
    }
  }

  // --- arrays ------------------------------------------------------------------------------------------------------

  #array(schema: Json, path: string): Json {
    const least = this.#count(schema, 'minItems', path) ?? 0;
    const most = this.#count(schema, 'maxItems', path) ?? Infinity;
    checkOrder(schema, 'minItems', 'maxItems', path);
    checkOrder(schema, 'minContains', 'maxContains', path);
    const tuple = Array.isArray(schema.prefixItems)
      ? schema.prefixItems
      : Array.isArray(schema.items)
        ? schema.items
        : [];
    const others = Array.isArray(schema.items) ? schema.additionalItems : schema.items;
    if (schema.uniqueItems === true && most > 1) this.#lose(path, 'uniqueItems');
    if ('unevaluatedItems' in schema) this.#lose(path, 'unevaluatedItems');
    if (tuple.length > 0) return this.#tuple(schema, tuple, others, { min: least, max: most }, path);
    const { min, max, items } = this.#contained(schema, others, { min: least, max: most }, path);
    if (items === NOTHING || max === 0) {
      if (min > 0) throw new SchemaFault(path, `'minItems' is ${min}, and no item is allowed`);
      this.changed = true;
      return { type: 'array', items: {}, maxItems: 0 };
    }
    // llama.cpp writes the first, and repeats the others.
    if (min > MAX_REPETITIONS + 1) {
      throw new SchemaFault(path, `'minItems' is ${min}; the limit is ${MAX_REPETITIONS + 1}`);
    }
    const array = {
      type: 'array',
      ...(items === undefined ? {} : { items: this.#node(items, `${path}/items`) }),
      ...(max === Infinity ? {} : { maxItems: max }),
    };
    if (min === 0 && max > MOST_OF_OPTIONAL_ITEMS && max <= MAX_REPETITIONS + 1) {
      this.changed = true;
      return {
        anyOf: [
          { type: 'array', items: {}, maxItems: 0 },
          { ...array, minItems: 1 },
        ],
      };
    }
    return min === 0 ? array : { ...array, minItems: min };
  }

  /** What an array must contain, every item is. */
  #contained(schema: Json, items: unknown, { min, max }: Lengths, path: string): Lengths & { items: unknown } {
    const { contains } = schema;
    const least = this.#count(schema, 'minContains', path) ?? 1;
    if (contains === undefined || least === 0) return { min, max, items };
    if ('maxContains' in schema) this.#lose(path, 'maxContains');
    if (!this.#strict) return { min, max, items };
    if (least > max) throw new SchemaFault(path, `'minContains' is ${least}, above 'maxItems' ${max}`);
    this.changed = true;
    return { min: Math.max(min, least), max, items: this.#combined([items ?? true, contains], `${path}/contains`, 1) };
  }

  /** Of exactly so many elements, in llama.cpp; it takes `items` beside `prefixItems` for all of them. */
  #tuple(schema: Json, tuple: unknown[], others: unknown, { min, max }: Lengths, path: string): Json {
    if ('contains' in schema) this.#lose(path, 'contains', 'of a tuple is not kept');
    if (min > MAX_TUPLE) throw new SchemaFault(path, `'minItems' of a tuple is ${min}; the limit is ${MAX_TUPLE}`);
    const length = Math.min(max, Math.max(min, tuple.length));
    if (schema.prefixItems !== undefined && schema.items !== undefined) this.changed = true;
    if (length !== tuple.length) this.changed = true;
    if (length > tuple.length && others === false) {
      throw new SchemaFault(path, `'minItems' is ${min}, and only ${tuple.length} items are allowed`);
    }
    if (length === 0) return { type: 'array', items: {}, maxItems: 0 };
    const prefixItems = Array.from({ length }, (_, index) => {
      const at = `${path}/${Array.isArray(schema.prefixItems) ? 'prefixItems' : 'items'}/${index}`;
      return this.#node(index < tuple.length ? tuple[index] : (others ?? true), at);
    });
    return { type: 'array', prefixItems };
  }

  // --- strings -----------------------------------------------------------------------------------------------------

  #string(schema: Json, path: string): Json {
    const min = this.#count(schema, 'minLength', path) ?? 0;
    const max = this.#count(schema, 'maxLength', path) ?? Infinity;
    checkOrder(schema, 'minLength', 'maxLength', path);
    if (min > MAX_MIN_LENGTH) throw new SchemaFault(path, `'minLength' is ${min}; the limit is ${MAX_MIN_LENGTH}`);
    const { pattern, format } = schema;
    if (format !== undefined && typeof format !== 'string') throw new SchemaFault(path, 'format must be a string');
    if (pattern !== undefined) {
      if (typeof pattern !== 'string') throw new SchemaFault(path, 'pattern must be a string');
      const kept = this.#pattern(pattern, { min, max }, path);
      if (kept !== undefined) {
        if (kept !== pattern) this.changed = true;
        return { type: 'string', pattern: kept };
      }
      // llama.cpp would look at the pattern alone.
      this.changed = true;
    } else if (format !== undefined) {
      const kept = this.#format(format, { min, max });
      if (kept !== undefined) return kept;
    }
    if (min === 0 && max === Infinity) return { type: 'string' };
    if (min <= MAX_REPETITIONS && (max <= MAX_REPETITIONS || max === Infinity || (this.#tool && !this.#strict))) {
      return {
        type: 'string',
        ...(min === 0 ? {} : { minLength: min }),
        ...(max === Infinity ? {} : { maxLength: max }),
      };
    }
    this.changed = true;
    return { type: 'string', pattern: lengthPattern({ min, max }) };
  }

  #pattern(pattern: string, lengths: Lengths, path: string): string | undefined {
    try {
      return rewritePattern(pattern, lengths);
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      if (!this.#strict && (lengths.min > 0 || lengths.max < Infinity)) {
        return this.#pattern(pattern, { min: 0, max: Infinity }, path);
      }
      if (this.#strict || !this.#tool) {
        throw new SchemaFault(path, `'pattern' ${pattern} can't be kept: it has ${error.message}`);
      }
      return undefined;
    }
  }

  /** An annotation, which lengths outweigh. */
  #format(format: string, { min, max }: Lengths): Json | undefined {
    const fits = FORMATS[/^uuid[1-5]$/.test(format) ? 'uuid' : format];
    if (fits !== undefined) {
      if (fits.min >= min && fits.max <= max) return { type: 'string', format };
      this.changed = true;
      return undefined;
    }
    const pattern = FORMAT_PATTERNS[format];
    if (pattern === undefined || !this.#strict) return undefined;
    try {
      const written = rewritePattern(pattern, { min, max });
      this.changed = true;
      return { type: 'string', pattern: written };
    } catch (error) {
      if (error instanceof PatternFault) return undefined;
      throw error;
    }
  }

  // --- numbers -----------------------------------------------------------------------------------------------------

  #number(schema: Json, type: 'integer' | 'number', path: string): Json {
    const low = this.#bound(schema, 'minimum', 'exclusiveMinimum', path);
    const high = this.#bound(schema, 'maximum', 'exclusiveMaximum', path);
    if (low.value > high.value || (low.value === high.value && (low.exclusive || high.exclusive))) {
      throw new SchemaFault(
        path,
        `'${low.exclusive ? 'exclusiveMinimum' : 'minimum'}' ${low.value} leaves nothing below '${high.exclusive ? 'exclusiveMaximum' : 'maximum'}' ${high.value}`,
      );
    }
    const step = schema.multipleOf;
    if (step !== undefined && (typeof step !== 'number' || step <= 0)) {
      throw new SchemaFault(path, 'multipleOf must be a number above 0');
    }
    if (type === 'integer' || (step !== undefined && Number.isInteger(step))) {
      if (type === 'number') this.changed = true;
      return this.#integer(low, high, step !== undefined && Number.isInteger(1 / step) ? undefined : step, path);
    }
    const listed = step === undefined ? undefined : listedMultiples(low, high, step);
    if (listed !== undefined) {
      this.changed = true;
      return listed.length === 0 ? this.#noMultiple(path) : { enum: listed };
    }
    if (step !== undefined) this.#lose(path, 'multipleOf');
    if (low.value === -Infinity && high.value === Infinity) return { type: 'number' };
    if (this.#strict) {
      const grid = this.#grid(low, high);
      if (grid !== undefined) return grid;
      const keyword = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'].find(
        (keyword) => keyword in schema,
      );
      this.#lose(path, keyword ?? 'minimum', 'of a number that is no integer is not kept by grammars');
    }
    return { type: 'number' };
  }

  #noMultiple(path: string): never {
    throw new SchemaFault(path, "'multipleOf' has no multiple within the bounds");
  }

  #integer(low: Bound, high: Bound, step: number | undefined, path: string): Json {
    const min = Math.ceil(low.value) + (low.exclusive && Number.isInteger(low.value) ? 1 : 0);
    const max = Math.floor(high.value) - (high.exclusive && Number.isInteger(high.value) ? 1 : 0);
    if (min > max) throw new SchemaFault(path, `there is no integer from ${low.value} to ${high.value}`);
    if (step !== undefined) {
      const listed = listedMultiples({ value: min, exclusive: false }, { value: max, exclusive: false }, step);
      if (listed === undefined) this.#lose(path, 'multipleOf');
      else {
        this.changed = true;
        const integers = listed.filter((value) => Number.isInteger(value));
        return integers.length === 0 ? this.#noMultiple(path) : { enum: integers };
      }
    }
    if (min > MAX_INTEGER || max < -MAX_INTEGER) {
      throw new SchemaFault(path, `integers here have at most 15 digits, and the bounds want more`);
    }
    const hasMin = min > -Infinity;
    const hasMax = max < Infinity;
    if (!hasMin && !hasMax) return { type: 'integer' };
    if (low.exclusive || high.exclusive) this.changed = true;
    if ((hasMin && min < -MAX_INTEGER) || (hasMax && max > MAX_INTEGER)) this.changed = true;
    if (hasMin && !hasMax && min >= -MAX_INTEGER && min <= MOST_OPEN_MINIMUM)
      return { type: 'integer', minimum: min + 0 };
    if (hasMax && !hasMin && max >= 0 && max <= MAX_INTEGER) return { type: 'integer', maximum: max };
    if (hasMin !== hasMax) this.changed = true;
    return { type: 'integer', minimum: Math.max(min, -MAX_INTEGER) + 0, maximum: Math.min(max, MAX_INTEGER) + 0 };
  }

  /** Of a small range, numbers with one or two decimals: enough for a share, a score or a grade. */
  #grid(low: Bound, high: Bound): Json | undefined {
    const width = high.value - low.value;
    if (!(width <= 10) || Math.abs(low.value) > 1e6) return undefined;
    const listed = listedMultiples(low, high, width <= 1 ? 0.01 : 0.1);
    if (listed === undefined || listed.length === 0) return undefined;
    this.changed = true;
    return { enum: listed };
  }

  #bound(schema: Json, inclusive: string, exclusive: string, path: string): Bound {
    const isLow = inclusive === 'minimum';
    const none = isLow ? -Infinity : Infinity;
    const read = (keyword: string) => {
      const value = schema[keyword];
      if (value === undefined || typeof value === 'boolean') return none;
      if (typeof value !== 'number') throw new SchemaFault(path, `${keyword} must be a number`);
      return value;
    };
    const [with_, beyond] = [read(inclusive), read(exclusive)];
    // JSON Schema's fourth draft: a flag.
    if (schema[exclusive] === true) {
      this.changed = true;
      return { value: with_, exclusive: with_ !== none };
    }
    if (with_ !== none && beyond !== none) this.changed = true;
    const isBeyond = isLow ? beyond >= with_ : beyond <= with_;
    return isBeyond && beyond !== none ? { value: beyond, exclusive: true } : { value: with_, exclusive: false };
  }

  #count(schema: Json, keyword: string, path: string): number | undefined {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
      throw new SchemaFault(path, `${keyword} must be a non-negative integer`);
    }
    return value;
  }
}

interface Bound {
  value: number;
  exclusive: boolean;
}

/** Those between the bounds, if they are few. */
function listedMultiples(low: Bound, high: Bound, step: number): number[] | undefined {
  const [first, last] = [Math.ceil(low.value / step - 1e-9), Math.floor(high.value / step + 1e-9)];
  if (!(last - first < MAX_LISTED)) return undefined;
  const digits = Math.max(0, -Math.floor(Math.log10(step)) + 6);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) =>
    Number(((first + index) * step).toFixed(Math.min(20, digits))),
  )
    .map((value) => value + 0)
    .filter((value) => value >= low.value && value <= high.value)
    .filter((value) => !(low.exclusive && value === low.value) && !(high.exclusive && value === high.value));
}

function checkOrder(schema: Json, min: string, max: string, path: string): void {
  const [least, most] = [schema[min], schema[max]];
  if (typeof least === 'number' && typeof most === 'number' && least > most) {
    throw new SchemaFault(path, `'${min}' ${least} is above '${max}' ${most}`);
  }
}

/** Whether no value fits both. */
function areApart(a: Json, b: Json): boolean {
  const [valuesA, valuesB] = [valuesOf(a), valuesOf(b)];
  if (valuesA !== undefined && valuesB !== undefined) {
    return !valuesA.some((value) => valuesB.some((other) => sameJson(value, other)));
  }
  if (valuesA !== undefined) return !valuesA.some((value) => accepts(b, value));
  if (valuesB !== undefined) return !valuesB.some((value) => accepts(a, value));
  const [typesA, typesB] = [typesOf(a), typesOf(b)];
  if (typesA === undefined || typesB === undefined) return false;
  const isNumber = (type: unknown) => (type === 'integer' ? 'number' : type);
  if (!typesA.some((type) => typesB.some((other) => isNumber(type) === isNumber(other)))) return true;
  const [propertiesA, propertiesB] = [a.properties, b.properties];
  if (String(typesA) !== 'object' || String(typesB) !== 'object') return false;
  if (!isObject(propertiesA) || !isObject(propertiesB)) return false;
  const isRequired = (schema: Json, name: string) => Array.isArray(schema.required) && schema.required.includes(name);
  return Object.entries(propertiesA).some(([name, property]) => {
    const other = propertiesB[name];
    if (!isObject(property) || !isObject(other) || !isRequired(a, name) || !isRequired(b, name)) return false;
    return areApart(property, other);
  });
}

function valuesOf(schema: Json): unknown[] | undefined {
  if ('const' in schema) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

/** Whether it says anything of a value. */
function hasAssertions(schema: Json): boolean {
  return Object.keys(schema).some((keyword) => !isAnnotation(keyword));
}

function annotations(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => isAnnotation(keyword)));
}

function withoutAnnotations(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !isAnnotation(keyword)));
}

function unescaped(part: string): string {
  const text = part.replaceAll('~1', '/').replaceAll('~0', '~');
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function nameOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
