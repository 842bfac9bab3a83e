/**
 * Schemas and grammars at random: each is refused with a reason or written so that every text of its grammar is a value of
 * the schema, as `ajv` sees it. `LLAMATAB_FUZZ` is how many of each; `constraints.spec` asks the real engine the same.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { createGrammarFuzzer, createSchemaFuzzer, grammarText } from '../testing/fuzz-schemas.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { grammarFault } from './grammar-limits.ts';
import { keepableSchema, SchemaFault } from './schema.ts';
import { schemaGrammar } from './schema-grammar.ts';

const SEED = 20261126;
const COUNT = Number(process.env.LLAMATAB_FUZZ ?? 200);
const TEXTS = 3;

test(`${COUNT} schemas under strict`, { timeout: 600_000 }, () => {
  const next = createSchemaFuzzer(seededRandom(SEED));
  const random = seededRandom(SEED + 1);
  let written = 0;
  for (let index = 0; index < COUNT; index++) {
    const schema = next();
    const kept = keep(schema, true);
    const accepts = kept === undefined ? undefined : validatorOf(schema);
    if (kept === undefined || accepts === undefined) continue;
    written++;
    const grammar = schemaGrammar(kept);
    for (let count = 0; count < TEXTS; count++) {
      const text = grammarText(grammar, random);
      if (text === undefined) continue;
      const sent = `seed ${SEED}, schema ${index}: ${JSON.stringify(schema)}\n${text}`;
      const value: unknown = parsed(text, sent);
      // Of integers with bounds, this grammar has the number of digits only.
      if (!hasBoundedInteger(kept)) expect(accepts(value), sent).toBe(true);
    }
  }
  expect(written).toBeGreaterThan(COUNT / 3);
});

test(`${COUNT} schemas without strict, and of tools`, { timeout: 600_000 }, () => {
  const next = createSchemaFuzzer(seededRandom(SEED + 2));
  let written = 0;
  for (let index = 0; index < COUNT; index++) {
    const schema = next();
    const isKept = [keep(schema, false), keep(schema, false, true)].map((kept) => kept !== undefined);
    if (isKept[0]) expect(isKept[1], `seed ${SEED + 2}, schema ${index}`).toBe(true);
    if (isKept[1]) written++;
  }
  expect(written).toBeGreaterThan(COUNT / 3);
});

test(`${COUNT} grammars`, { timeout: 600_000 }, () => {
  const next = createGrammarFuzzer(seededRandom(SEED + 3));
  const random = seededRandom(SEED + 4);
  let taken = 0;
  for (let index = 0; index < COUNT; index++) {
    const grammar = next();
    const fault = grammarFault(grammar);
    if (fault !== undefined) expect(fault.length).toBeGreaterThan(10);
    else {
      taken++;
      grammarText(grammar, random);
    }
  }
  expect(taken).toBeGreaterThan(COUNT / 50);
});

function keep(schema: Json, strict: boolean, tool = false): Json | undefined {
  try {
    return keepableSchema(schema, { strict, tool });
  } catch (error) {
    if (!(error instanceof SchemaFault)) throw error;
    expect(error.message).toMatch(/^JSON schema error at #.*: ./s);
    return undefined;
  }
}

/**
 * Undefined where a part that no value ever reaches is no schema. An escape that needs none is an error to `ajv`, whose
 * expressions have the flag for `\\p`.
 */
function validatorOf(schema: Json): ValidateFunction | undefined {
  const options = { strict: false, validateFormats: false, validateSchema: false, multipleOfPrecision: 9 } as const;
  const unescaped = JSON.parse(JSON.stringify(schema).replaceAll('\\\\!', '!')) as Json;
  try {
    return new Ajv2020(options).compile(unescaped);
  } catch {
    return undefined;
  }
}

function parsed(text: string, sent: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(sent, { cause });
  }
}

function hasBoundedInteger(kept: Json): boolean {
  return /"type":"integer","(?:minimum|maximum)"/.test(JSON.stringify(kept));
}
