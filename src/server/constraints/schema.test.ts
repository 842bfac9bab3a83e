import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { grammarText } from '../testing/fuzz-schemas.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { keepableSchema } from './schema.ts';
import { schemaGrammar } from './schema-grammar.ts';

const strict = (schema: unknown) => keepableSchema(schema, { strict: true });
const loose = (schema: unknown) => keepableSchema(schema, { strict: false });
const asTool = (schema: unknown) => keepableSchema(schema, { strict: false, tool: true });
const property = (schema: unknown): Json => ({ type: 'object', properties: { x: schema }, required: ['x'] });
const AT_X = 'JSON schema error at #/properties/x: ';

describe('refused, whatever strict says', () => {
  test.each([
    [{ type: 'string', minLength: 3, maxLength: 1 }, "'minLength' 3 is above 'maxLength' 1"],
    [{ type: 'array', minItems: 3, maxItems: 1 }, "'minItems' 3 is above 'maxItems' 1"],
    [{ type: 'array', contains: {}, minContains: 3, maxContains: 1 }, "'minContains' 3 is above 'maxContains' 1"],
    [{ type: 'integer', minimum: 5, maximum: 3 }, "'minimum' 5 leaves nothing below 'maximum' 3"],
    [{ type: 'integer', minimum: 1.2, maximum: 1.8 }, 'there is no integer from 1.2 to 1.8'],
    [{ type: 'number', exclusiveMinimum: 1, maximum: 1 }, "'exclusiveMinimum' 1 leaves nothing below"],
    [{ type: 'string', minLength: 100_000 }, "'minLength' is 100000; the limit is 65536"],
    [{ type: 'array', minItems: 5000 }, "'minItems' is 5000; the limit is 2001"],
    [{ type: 'string', pattern: '^a{3,1}$' }, "'pattern' ^a{3,1}$ can't be kept: it has the repetition {3,1}"],
    [{ type: 'string', pattern: '^(?=a)b$' }, "'pattern' ^(?=a)b$ can't be kept: it has a look-ahead"],
    [{ enum: ['a', 'b'], type: 'integer' }, "'enum' has no value that fits the keywords beside it"],
    [{ $ref: 'http://x/y' }, 'Unsupported ref: http://x/y'],
    [{ $ref: '#/properties/x' }, '$ref #/properties/x refers to itself'],
    [{ type: 'hiccup' }, 'unrecognized type hiccup'],
    [false, 'it is required, and no value is allowed'],
  ])('%j', (schema, reason) => {
    expect(() => loose(property(schema))).toThrow(`${AT_X}${reason}`);
    expect(() => strict(property(schema))).toThrow(`${AT_X}${reason}`);
  });

  test('what would stop the engine', () => {
    const list = (items: object) => ({ type: 'array', items });
    const schema = { anyOf: [list({ $ref: '#' }), list({ anyOf: [{ $ref: '#' }, { type: 'string' }] })] };
    expect(() => loose(schema)).toThrow('more than 1100 ways to go on');
  });

  test.each(['anyOf', 'oneOf', 'allOf'])('a reference from %s that leads back, with keywords beside it', (keyword) => {
    const schema = { [keyword]: [{ $ref: '#', required: ['a'] }, { type: 'array' }] };
    expect(() => loose(schema)).toThrow('more than 16 references');
  });
});

test.each([
  [{ not: {} }, 'not'],
  [{ type: 'array', items: { type: 'string' }, uniqueItems: true }, 'uniqueItems'],
  [{ type: 'number', minimum: 0 }, 'minimum'],
  [{ type: 'integer', multipleOf: 7 }, 'multipleOf'],
  [{ type: 'object', minProperties: 1 }, 'minProperties'],
  [{ type: 'object', patternProperties: { '^a': {} } }, 'patternProperties'],
  [{ if: {} }, 'if'],
  [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf'],
])('%j is kept or refused under strict, and otherwise left to be', (schema, keyword) => {
  expect(() => strict(property(schema))).toThrow(`${AT_X.slice(0, -2)}`);
  expect(() => strict(property(schema))).toThrow(`'${keyword}'`);
  expect(loose(property(schema))).toBeTypeOf('object');
});

describe('alternatives that begin alike and nest are told apart first', () => {
  const E = { $ref: '#/$defs/e' };
  const object = (properties: Json) => ({
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  });
  const nested = (e: unknown[]) => ({ ...object({ x: E }), $defs: { e: { anyOf: [...e, { type: 'null' }] } } });
  const operation = (op: unknown) => object({ left: E, op, right: E });

  test.each<[what: string, schema: Json]>([
    ['by a constant', nested(['+', '-', '*'].map((op) => operation({ const: op })))],
    ['by an enumeration', nested([operation({ enum: ['+', '-'] }), operation({ enum: ['<', '>'] })])],
    ['by a name', nested([object({ group: E }), object({ group: E, name: { type: 'string' } })])],
    [
      'as Pydantic writes them',
      {
        ...object({ x: E }),
        $defs: {
          add: object({ left: E, right: E, kind: { const: 'add' } }),
          multiply: object({ left: E, right: E, kind: { const: 'multiply' } }),
          e: { oneOf: [{ $ref: '#/$defs/add' }, { $ref: '#/$defs/multiply' }, { type: 'number' }] },
        },
      },
    ],
  ])('%s', (_, schema) => {
    for (const keep of [strict, loose]) {
      const grammar = schemaGrammar(keep(schema));
      const accepts = new Ajv2020({ strict: false }).compile(schema);
      const random = seededRandom(1);
      const texts = Array.from({ length: 50 }, () => grammarText(grammar, random)).filter((text) => text !== undefined);
      expect(texts.length).toBeGreaterThan(5);
      for (const text of texts) expect(accepts(JSON.parse(text)), text).toBe(true);
    }
  });

  test('and where nothing has to be told apart, the order stays', () => {
    const schema = nested([object({ left: E, op: { const: '+' } }), object({ value: { type: 'number' } })]);
    expect(JSON.stringify(strict(schema))).toContain('"left":{"$ref":"#/$defs/d0"},"op"');
  });
});

test('a tree', () => {
  const tree = { type: 'object', properties: { children: { type: 'array', items: { $ref: '#' } } } };
  const written = { type: 'object', properties: { children: { type: 'array', items: { $ref: '#/$defs/d0' } } } };
  expect(strict(tree)).toEqual({ ...written, $defs: { d0: written } });
});

test.each<[string, unknown, unknown]>([
  ['a required property that is not declared', { required: ['a'] }, { properties: { a: {} }, required: ['a'] }],
  [
    'allOf',
    { allOf: [{ properties: { a: { type: 'string' } } }, { properties: { a: { maxLength: 3 } }, required: ['a'] }] },
    { properties: { a: { type: 'string', maxLength: 3 } }, required: ['a'] },
  ],
  [
    'keywords beside anyOf',
    { anyOf: [{ required: ['a'] }], properties: { a: { type: 'null' } } },
    { anyOf: [{ type: 'object', properties: { a: { type: 'null' } }, required: ['a'] }] },
  ],
])('%s', (_, schema, written) => {
  const whole = (part: object) => ('anyOf' in part ? part : { type: 'object', ...part });
  expect(strict({ type: 'object', ...(schema as object) })).toEqual(whole(written as object));
});

test.each([
  [
    { type: 'integer', minimum: 1000 },
    { type: 'integer', minimum: 1000, maximum: 999_999_999_999_999 },
  ],
  [
    { type: 'integer', exclusiveMinimum: 0 },
    { type: 'integer', minimum: 1 },
  ],
  [{ type: 'number', multipleOf: 0.5, minimum: 0, maximum: 1 }, { enum: [0, 0.5, 1] }],
  [{ type: 'string', enum: ['a', 1] }, { const: 'a' }],
  [
    { type: 'string', format: 'uuid' },
    { type: 'string', format: 'uuid' },
  ],
  [true, {}],
  [
    { type: 'array', prefixItems: [{ type: 'null' }], items: false },
    { type: 'array', prefixItems: [{ type: 'null' }] },
  ],
])('%j', (schema, written) => {
  expect(strict(property(schema)).properties).toEqual({ x: written });
});

test('lengths and items from 1,999 to 65,536', () => {
  for (const bound of [1999, 2000, 2001, 5000, 65_536]) {
    expect(strict(property({ type: 'string', maxLength: bound }))).toBeTypeOf('object');
    expect(strict(property({ type: 'array', items: { type: 'string' }, maxItems: bound }))).toBeTypeOf('object');
  }
  expect(strict(property({ type: 'string', minLength: 65_536 }))).toBeTypeOf('object');
});

test('the schema of a tool is what it was, unless llama.cpp would go wrong', () => {
  const tool = {
    type: 'object',
    properties: {
      path: { type: 'string', description: 'a file', maxLength: 65_536 },
      mode: { type: 'string', enum: ['r', 'w'], default: 'r' },
      ranges: { type: 'array', items: { $ref: '#/$defs/range' }, minItems: 1 },
      limit: { anyOf: [{ type: 'integer', minimum: 1, maximum: 1999 }, { type: 'null' }] },
      share: { type: 'number', minimum: 0 },
    },
    required: ['path'],
    additionalProperties: false,
    $defs: { range: { type: 'object', properties: { from: { type: 'integer' } }, required: ['from'] } },
  };
  expect(asTool(tool)).toBe(tool);
  expect(asTool(property({ type: 'string', pattern: '^(?!x).*$' }))).toEqual(property({ type: 'string' }));
  expect(asTool(property({ description: 'a', type: 'string', pattern: '^a\\!$' }))).toEqual(
    property({ description: 'a', type: 'string', pattern: '^a!$' }),
  );
});
