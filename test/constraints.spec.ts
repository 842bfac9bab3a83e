/** Schemas and grammars on the real engine: kept, or refused at once, beside a stream that must not notice. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { createGrammarFuzzer, createSchemaFuzzer } from '../src/server/testing/fuzz-schemas.ts';
import { seededRandom } from '../src/server/testing/seeded-random.ts';
import type { Answered, Asked } from './bundles/constraints.ts';
import { expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

const SEED = Number(process.env.LLAMATAB_FUZZ_SEED ?? 20261127);
/** Of each kind; `LLAMATAB_FUZZ` says otherwise. */
const COUNT = Number(process.env.LLAMATAB_FUZZ ?? 60);
/** Sent to the page together. */
const BATCH = 20;
const BUNDLE = '/bundles/constraints.js';
const MAX_TOKENS = 400;
/** Tokens of an answer that can come while the stream beside is between two of its answers. */
const BEGINNING = 20;

const property = (schema: object) => ({ type: 'object', properties: { x: schema }, required: ['x'] });
const strictly = (schema: object) => ({
  messages: user('x'),
  max_tokens: MAX_TOKENS,
  temperature: 1,
  seed: 5,
  response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } },
});
const valid = (schema: object, value: unknown) => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, validateSchema: false, multipleOfPrecision: 9 });
  return ajv.validate(schema, value);
};

/** What is an error to `ajv` even where no answer comes to, such as items beyond `maxItems`: here nothing is valid there. */
const forAjv = (schema: object) => {
  const { $defs, ...rest } = JSON.parse(
    JSON.stringify(schema)
      .replaceAll('{"type":"hiccup"}', 'false')
      .replaceAll('"$ref":"http://x/y"', '"$ref":"#/$defs/none"')
      .replaceAll('^a{3,1}$', '(?!)')
      // An escape that needs none.
      .replaceAll('\\\\!', '!'),
  );
  return { ...rest, $defs: { t: false, a_b: false, 'a-b': false, 'e%': false, none: false, ...$defs } };
};

test('what used to stop the engine is refused, with the place and the keyword', async ({ page, site }) => {
  await serveIn(page, site);
  const cases: [string, object, string][] = [
    ['/v1/completions', { prompt: 'x', grammar: 'root ::= "a"{3,1}' }, '{3,1} has a minimum above its maximum'],
    [
      '/v1/completions',
      { prompt: 'x', json_schema: property({ type: 'string', minLength: 3, maxLength: 1 }) },
      "#/properties/x: 'minLength' 3 is above 'maxLength' 1",
    ],
    [
      '/v1/chat/completions',
      strictly(property({ type: 'string', pattern: '^a{3,1}$' })),
      "#/properties/x: 'pattern' ^a{3,1}$",
    ],
    ['/v1/chat/completions', strictly(property({ type: 'string', pattern: '^(?=a)a$' })), 'a look-ahead'],
    ['/v1/chat/completions', strictly(property({ type: 'string', pattern: '\\bfoo' })), 'a word boundary'],
    ['/v1/chat/completions', strictly(property({ type: 'string', pattern: '^(a)\\1$' })), 'a back-reference'],
    ['/completion', { prompt: 'x', grammar: 'root ::= x root "a"\nx ::= y\ny ::= ""' }, 'left recursion'],
  ];
  for (const [path, body, reason] of cases) {
    const { status, json } = await fetchIn(page, path, body);
    expect(status, reason).toBe(400);
    expect(json.error.message).toContain(reason);
  }
  expect((await fetchIn(page, '/v1/completions', { prompt: 'x', max_tokens: 1 })).status).toBe(200);
});

test('patterns, bounds and trees are kept', async ({ page, site }) => {
  putTinyModels(site, { tiny: { endBias: 0 } });
  await serveIn(page, site);
  const tree = { type: 'object', properties: { children: { type: 'array', items: { $ref: '#' }, maxItems: 1 } } };
  const operation = (op: string) => ({
    type: 'object',
    properties: { left: { $ref: '#' }, op: { const: op }, right: { $ref: '#' } },
    required: ['left', 'op', 'right'],
  });
  const schemas: object[] = [
    tree,
    // Without what tells them apart first, each level would double what the engine follows.
    { anyOf: [operation('+'), operation('-'), { type: 'null' }] },
    { type: 'string', pattern: '^good day!$' },
    { type: 'string', pattern: '^\\S{1,20}$' },
    { type: 'string', pattern: '^\\p{L}{1,20}$' },
    { type: 'string', pattern: '^.{0,20}$' },
    { type: 'string', pattern: '^[^a]{5,20}$' },
    { type: 'integer', minimum: 1000 },
    { type: 'integer', maximum: -5 },
    { type: 'number', minimum: 0, maximum: 1 },
    { type: 'array', items: { type: 'null' }, maxItems: 1999 },
  ].map((schema) => ('properties' in schema || 'anyOf' in schema ? schema : property(schema)));
  for (const schema of schemas) {
    const { status, json } = await fetchIn(page, '/v1/chat/completions', strictly(schema));
    expect(status, JSON.stringify(schema)).toBe(200);
    const [{ message, finish_reason }] = json.choices;
    if (finish_reason === 'stop') expect(valid(schema, JSON.parse(message.content)), message.content).toBe(true);
    expect(json.usage.completion_tokens).toBeGreaterThan(1);
  }
  const { json } = await fetchIn(
    page,
    '/v1/chat/completions',
    strictly(property({ type: 'string', pattern: '^good day\\!$' })),
  );
  expect(JSON.parse(json.choices[0].message.content)).toEqual({ x: 'good day!' });
});

test(`${COUNT} schemas and ${COUNT} grammars at random, beside a stream`, async ({ page, site }) => {
  test.setTimeout(120_000 + COUNT * 4000);
  await serveIn(page, site);
  const question = { prompt: 'a long story', max_tokens: 1900, temperature: 1, seed: 5 };
  const text = (await fetchIn(page, '/v1/completions', question)).json.choices[0].text;
  const nextSchema = createSchemaFuzzer(seededRandom(SEED));
  const nextGrammar = createGrammarFuzzer(seededRandom(SEED + 1));
  const schemas = Array.from({ length: COUNT }, nextSchema);
  const requests: Asked[] = [
    ...schemas.map((schema) => ({ path: '/v1/chat/completions', body: strictly(schema) })),
    ...Array.from({ length: COUNT }, () => ({
      path: '/v1/completions',
      body: { prompt: 'x', grammar: nextGrammar(), max_tokens: 30, temperature: 1, seed: 5 },
    })),
  ];
  const beside = await page.evaluateHandle(
    async ({ bundle, question }) => (await import(bundle)).countSteps(question),
    { bundle: BUNDLE, question },
  );
  const statuses: Record<number, number> = {};
  for (let from = 0; from < requests.length; from += BATCH) {
    const some = requests.slice(from, from + BATCH);
    const answers: Answered[] = await page.evaluate(async ({ bundle, some }) => (await import(bundle)).ask(some), {
      bundle: BUNDLE,
      some,
    });
    for (const [index, { status, text, steps }] of answers.entries()) {
      const sent = `${JSON.stringify(some[index])}\n→ ${text}`;
      statuses[status] = (statuses[status] ?? 0) + 1;
      expect([200, 400], sent).toContain(status);
      const answer = JSON.parse(text);
      expect(answer.error ?? null, sent).toEqual(status === 200 ? null : expect.objectContaining({ code: 400 }));
      const schema = schemas[from + index];
      if (status !== 200) continue;
      // Both are in the same batches of the engine: a token here is one there, but for when the stream begins again.
      if (answer.usage.completion_tokens > BEGINNING) expect(steps, sent).toBeGreaterThan(0);
      const [{ finish_reason, message }] = answer.choices;
      if (schema === undefined || finish_reason !== 'stop') continue;
      expect(valid(forAjv(schema), JSON.parse(message.content)), sent).toBe(true);
    }
  }
  test.info().annotations.push({ type: 'statuses', description: JSON.stringify(statuses) });
  const streamed: string[] = await beside.evaluate((beside) => beside.stop());
  for (const streamedText of streamed) expect(streamedText).toBe(text);
  expect(statuses[200]).toBeGreaterThan(COUNT / 4);
});
