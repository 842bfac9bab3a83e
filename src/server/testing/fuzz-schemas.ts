/**
 * JSON schemas and grammars at random, of what is likely to matter, and texts that a grammar allows: for tests in Node and on
 * the real engine. The same numbers give the same ones.
 */
import type { Json } from '../../engine/engine.ts';
import { type CharacterSet, contains } from '../constraints/character-set.ts';
import { parseGrammar } from '../constraints/grammar.ts';
import { GrammarWalk } from '../constraints/grammar-limits.ts';
import { draws, type Random } from './seeded-random.ts';

const PATTERNS = [
  '^good day\\!$',
  '^\\p{L}+$',
  '^[\\p{Lu}\\p{Nd}]{2,4}$',
  '^\\P{L}$',
  '(?=a)',
  '^(?!x).*$',
  '\\bfoo\\b',
  '^(a)\\1$',
  '^\\S+$',
  '^\\W\\D\\s$',
  'abc',
  '^a|b$',
  '^(^a|b)c$',
  '^a$b$',
  '',
  '^$',
  '^.*$',
  '^[^a]{0,5}$',
  '^[^"]*$',
  '^"\\\\/$',
  '^[\\x00-\\x1f]$',
  '^(?:a|b|"|\\\\|\\n)+$',
  '^[\\]\\-^]+$',
  '^\\u{1F999}',
  '^a{3,1}$',
  '^a{1,65536}$',
  '^[a-z]{1,1999}$',
  '^(a*)*$',
  '^((a?){0,100}){0,100}$',
  '^(?:a{0,50}b{0,50}){0,50}$',
  '^(?:(?:ab){0,3}){2,5}$',
  '^[a-z0-9]+(?:-[a-z0-9]+)*$',
  '^[\\w.+-]+@[\\w-]+\\.[\\w.-]+$',
  '^\\d{3}-\\d{4}$',
  '^(a|ab)(c|bcd)(d*)$',
];
const FORMATS = ['date', 'time', 'date-time', 'uuid', 'email', 'ipv4', 'ipv6', 'hostname', 'duration', 'uri'];
const COUNTS = [0, 1, 2, 3, 5, 10, 1999, 2000, 2001, 5000, 65536, 1e6, -1, 1.5];
const NUMBERS = [0, 1, 2, 3, 5, 9, 10, 12, 99, 100, 1000, 1999, 65536, -1, -5, -100, 1.5, -0.5, 0.1, 1e15, 1e17];
const NAMES = ['a', 'b', 'c', 'a b', 'a_b', 'é', '"q"', 'x-y', 'value', 'root', 'string', ']', '0'];
const VALUES = ['x', 'a"b\\c', 1, 0, -5, 1.5, null, true, [], { a: 1 }, 'é\n'];
const REFERENCES = ['#', '#/$defs/t', '#/$defs/a_b', '#/$defs/a-b', '#/$defs/e%25', '#/$defs/none', 'http://x/y'];
const ODD = [
  true,
  false,
  {},
  { not: {} },
  { if: {}, else: {} },
  { type: 'hiccup' },
  { minimum: 3 },
  { required: ['a'] },
];

export type ConstraintApi = 'chat' | 'completion' | 'responses' | 'messages';

/** Requests that hold an answer to a schema or a grammar, without what bounds it. */
export function createConstraintFuzzer(random: Random): (api: ConstraintApi) => Json {
  const { pick, chance, maybe, several } = draws(random);
  const schema = createSchemaFuzzer(random);
  const grammar = createGrammarFuzzer(random);
  const user = [{ role: 'user', content: 'x' }];
  const named = (): Json => ({ name: 'x', schema: schema(), ...maybe(0.8, 'strict', () => chance(0.7)) });
  const functions = () => [...new Set(several(1, 3, () => pick(['f', 'g', 'h'])))];
  const tool = (name: string): Json => ({ name, parameters: schema(), ...maybe(0.4, 'strict', () => chance(0.7)) });

  const requests: Record<ConstraintApi, (() => Json)[]> = {
    chat: [
      () => ({ response_format: { type: 'json_schema', json_schema: named() } }),
      () => ({ response_format: { type: 'json_object', ...maybe(0.5, 'schema', schema) } }),
      () => ({ grammar: grammar() }),
      () => ({ json_schema: schema() }),
      () => ({
        tools: functions().map((name) => ({ type: 'function', function: tool(name) })),
        ...maybe(0.7, 'tool_choice', () => pick(['required', 'auto', { type: 'function', function: { name: 'f' } }])),
        ...maybe(0.3, 'parallel_tool_calls', () => chance(0.5)),
      }),
    ],
    completion: [() => ({ json_schema: schema() }), () => ({ grammar: grammar() })],
    responses: [
      () => ({ text: { format: { type: 'json_schema', ...named() } } }),
      () => ({
        tools: functions().map((name) => ({ type: 'function', ...tool(name) })),
        ...maybe(0.7, 'tool_choice', () => pick(['required', 'auto', { type: 'function', name: 'f' }])),
      }),
    ],
    messages: [
      () => ({
        tools: functions().map((name) => ({ name, input_schema: schema() })),
        ...maybe(0.7, 'tool_choice', () => pick([{ type: 'any' }, { type: 'auto' }, { type: 'tool', name: 'f' }])),
      }),
    ],
  };
  const asked: Record<ConstraintApi, Json> = {
    chat: { messages: user },
    completion: { prompt: 'x', input_prefix: 'x', input_suffix: 'y' },
    responses: { input: 'x' },
    messages: { messages: user },
  };
  return (api) => ({
    ...asked[api],
    ...pick(requests[api])(),
    seed: 1,
    ...maybe(0.3, 'stream', () => true),
  });
}

export function createSchemaFuzzer(random: Random): () => Json {
  const { below, pick, maybe, several } = draws(random);

  const string = (): Json => ({
    type: 'string',
    ...maybe(0.4, 'pattern', () => pick(PATTERNS)),
    ...maybe(0.25, 'minLength', () => pick(COUNTS)),
    ...maybe(0.25, 'maxLength', () => pick(COUNTS)),
    ...maybe(0.15, 'format', () => pick(FORMATS)),
  });
  const number = (): Json => ({
    type: pick(['integer', 'integer', 'number']),
    ...maybe(0.4, 'minimum', () => pick(NUMBERS)),
    ...maybe(0.4, 'maximum', () => pick(NUMBERS)),
    ...maybe(0.15, 'exclusiveMinimum', () => pick(NUMBERS)),
    ...maybe(0.15, 'exclusiveMaximum', () => pick(NUMBERS)),
    ...maybe(0.2, 'multipleOf', () => pick([1, 2, 5, 10, 0.5, 0.25])),
  });
  const object = (depth: number): Json => {
    const names = [...new Set(Array.from({ length: below(4) }, () => pick(NAMES)))];
    return {
      type: 'object',
      ...maybe(0.9, 'properties', () => Object.fromEntries(names.map((name) => [name, schema(depth - 1)]))),
      ...maybe(0.6, 'required', () => [...new Set(several(1, 2, () => pick(random() < 0.8 ? names : NAMES) ?? 'a'))]),
      ...maybe(0.4, 'additionalProperties', () => pick([true, false, false, schema(depth - 1)])),
      ...maybe(0.06, 'patternProperties', () => ({ [pick(['^a', 'b$', '.*'])]: schema(depth - 1) })),
      ...maybe(0.06, 'propertyNames', () => ({ pattern: '^[a-z]+$' })),
      ...maybe(0.06, 'minProperties', () => below(4)),
      ...maybe(0.06, 'maxProperties', () => below(4)),
    };
  };
  const array = (depth: number): Json => ({
    type: 'array',
    ...maybe(0.7, 'items', () => schema(depth - 1)),
    ...maybe(0.2, 'prefixItems', () => several(1, 3, () => schema(depth - 1))),
    ...maybe(0.3, 'minItems', () => pick([0, 1, 2, 3, 5, 2002])),
    ...maybe(0.3, 'maxItems', () => pick([0, 1, 2, 3, 5, 1999, 65536])),
    ...maybe(0.08, 'uniqueItems', () => true),
    ...maybe(0.08, 'contains', () => schema(depth - 1)),
    ...maybe(0.05, 'minContains', () => below(3)),
    ...maybe(0.05, 'maxContains', () => below(3)),
  });
  const combined = (depth: number): Json =>
    pick([
      () => ({
        [pick(['anyOf', 'anyOf', 'oneOf'])]: several(1, 3, () => schema(depth - 1)),
        ...maybe(0.2, 'type', () => pick(['object', ['string', 'null']])),
        ...maybe(0.1, 'required', () => ['a']),
      }),
      () => ({ allOf: several(1, 3, () => (random() < 0.7 ? object(depth - 1) : schema(depth - 1))) }),
      () => ({ $ref: pick(REFERENCES), ...maybe(0.1, 'required', () => ['a']) }),
      () => ({ enum: several(1, 4, () => pick(VALUES)), ...maybe(0.3, 'type', () => pick(['string', 'integer'])) }),
      () => ({ const: pick(VALUES) }),
      () => ({ type: ['string', 'null', 'integer'], ...maybe(0.5, 'minLength', () => 2), minimum: 3 }),
    ])();

  function schema(depth: number): unknown {
    const kind = depth <= 0 ? random() * 0.45 : random();
    if (kind < 0.22) return string();
    if (kind < 0.38) return number();
    if (kind < 0.45) return { type: pick(['boolean', 'null']) };
    if (kind < 0.65) return object(depth);
    if (kind < 0.77) return array(depth);
    return kind < 0.97 ? combined(depth) : pick(ODD);
  }

  /** Alternatives that hold one another, and perhaps begin alike. */
  const expression = (): Json => {
    const inner = { $ref: '#/$defs/t' };
    const operation = (): Json => {
      const parts = {
        left: inner,
        [pick(['op', 'kind'])]: { enum: several(1, 2, () => pick(['+', '-', '<'])) },
        right: inner,
      };
      const names = Object.keys(parts).filter(() => random() < 0.9);
      return {
        type: 'object',
        properties: Object.fromEntries(Object.entries(parts).filter(([name]) => names.includes(name))),
        required: names,
        additionalProperties: false,
      };
    };
    return { anyOf: [...several(1, 3, operation), pick([{ type: 'number' }, string(), { type: 'null' }])] };
  };

  return () => {
    const root = random() < 0.8 ? object(3) : combined(3);
    const $defs = () => ({
      t: random() < 0.2 ? expression() : object(2),
      a_b: schema(1),
      'a-b': schema(1),
      'e%': schema(1),
    });
    return { ...root, ...maybe(0.5, '$defs', $defs) };
  };
}

const REPETITIONS = ['*', '+', '?', '{2}', '{0,3}', '{1,50}', '{0,50}', '{0,1999}', '{2000}', '{0,65536}', '{0}'];
const FAULTY_REPETITIONS = ['{3,1}', '{5,0}', '{,3}', '{1,', '{99999999999999999999}', '{2001}'];
const RULES = ['root', 'a', 'b', 'c', 'd'];

export function createGrammarFuzzer(random: Random): () => string {
  const { below, pick } = draws(random);
  const repetition = () => (random() < 0.5 ? '' : pick(random() < 0.02 ? FAULTY_REPETITIONS : REPETITIONS));
  const item = (depth: number): string => {
    const kind = random();
    if (kind < 0.35) return pick(['"a"', '"ab"', '""', '"\\n"', '"é"', '"\\""']);
    if (kind < 0.5)
      return random() < 0.97 ? pick(['[a-z]', '[^a]', '.', '[]']) : pick(['[b-a]', '[a', '[\\p]', '"\\x00"']);
    if (kind < 0.7) return pick(RULES);
    return depth > 0 && kind < 0.97 ? `(${alternatives(depth - 1)})` : pick(['"z"', '"z"', 'nowhere', '(']);
  };
  const alternatives = (depth: number): string =>
    Array.from({ length: 1 + below(3) }, () =>
      random() < 0.1 ? '' : Array.from({ length: 1 + below(3) }, () => item(depth) + repetition()).join(' '),
    ).join(' | ');
  return () => {
    const written = 1 + below(RULES.length);
    return RULES.map((name, index) => `${name} ::= ${index < written ? alternatives(2) : `"${name}"`}`).join('\n');
  };
}

const LIKELY = Array.from('ab Z09"\\\n\t!$.-_/éα日🦙\u2028\u0001', (character) => character.codePointAt(0) as number);
const CLOSING = Array.from('"}]', (character) => character.codePointAt(0) as number);
/** Characters after which a text is brought to its end. */
const LONG = 150;
const MAX_LENGTH = 600;

/** A text that the grammar allows, undefined where none has come to its end. @throws Error where a text can't go on. */
export function grammarText(grammar: string, random: Random): string | undefined {
  const { pick } = draws(random);
  const walk = new GrammarWalk(parseGrammar(grammar));
  let text = '';
  let ways = walk.start();
  for (let length = 0; length < MAX_LENGTH; length++) {
    const sets = ways.flatMap((way): CharacterSet[] => {
      const element = way?.sequence[way.index];
      return element?.type === 'characters' ? [element.set] : [];
    });
    if (ways.includes(undefined) && (sets.length === 0 || length > LONG || random() < 0.3)) return text;
    if (sets.length === 0) throw new Error(`no way to go on after ${JSON.stringify(text)}`);
    const closing = length > LONG ? CLOSING.find((code) => sets.some((set) => isOnly(set, code))) : undefined;
    const set = pick(sets);
    const likely = LIKELY.filter((code) => contains(set, code));
    const [first, last] = pick(set);
    const any = first + Math.floor(random() * Math.min(last - first + 1, 1000));
    const code = closing ?? (likely.length > 0 && random() < 0.7 ? pick(likely) : any);
    text += String.fromCodePoint(code);
    ways = walk.after(ways, code);
  }
  return undefined;
}

function isOnly(set: CharacterSet, code: number): boolean {
  return set.length === 1 && set[0]?.[0] === code && set[0][1] === code;
}
