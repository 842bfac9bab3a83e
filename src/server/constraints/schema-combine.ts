/** Two JSON schemas as one that says both: what `allOf` means, and keywords beside `$ref` and `anyOf`. */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';
import { accepts, regularExpression, sameJson } from './schema-values.ts';

/** The schema that no value fits. */
export const NOTHING = false;

/** Keywords that say something of one type of value only. */
export const KEYWORDS_OF_TYPES: Record<string, string[]> = {
  object: [
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
    'dependentRequired',
    'dependentSchemas',
    'dependencies',
    'unevaluatedProperties',
  ],
  array: [
    'items',
    'prefixItems',
    'additionalItems',
    'minItems',
    'maxItems',
    'contains',
    'minContains',
    'maxContains',
    'uniqueItems',
    'unevaluatedItems',
  ],
  string: ['pattern', 'minLength', 'maxLength'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

/** Keywords that say something of a value. Any other tells of it, or is not known. */
const ASSERTIONS = new Set([
  '$ref',
  '$dynamicRef',
  '$recursiveRef',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
  'type',
  'const',
  'enum',
  'format',
  ...Object.values(KEYWORDS_OF_TYPES).flat(),
]);
/** Of both, the greater or the smaller says both. */
const LEAST = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const MOST = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];

export function isAnnotation(keyword: string): boolean {
  return !ASSERTIONS.has(keyword);
}

/** A list, where it says any. */
export function typesOf({ type }: Json): unknown[] | undefined {
  if (type === undefined || type === null) return undefined;
  return Array.isArray(type) ? type : [type];
}

/**
 * @param a Without references and alternatives, as `b`.
 * @param lose Is told a keyword of both that can't be combined; that of `a` stays.
 */
export function combine(a: Json, b: Json, lose: (keyword: string) => void): Json | false {
  const whole: Json = { ...b, ...a };
  const types = commonTypes(typesOf(a), typesOf(b));
  if (types?.length === 0) return NOTHING;
  if (types !== undefined) whole.type = types.length === 1 ? types[0] : types;
  for (const [keyword, mine] of Object.entries(a)) {
    const other = b[keyword];
    if (other === undefined || isAnnotation(keyword) || sameJson(mine, other)) continue;
    const combined = combineKeyword(keyword, mine, other, lose);
    if (combined === undefined) return NOTHING;
    whole[keyword] = combined;
  }
  const values = 'const' in whole ? [whole.const] : whole.enum;
  if (Array.isArray(values) && !values.some((value) => accepts(whole, value))) return NOTHING;
  return withProperties(withItems(whole, a, b), a, b, lose);
}

/** Undefined where no value fits both. */
function combineKeyword(keyword: string, mine: unknown, other: unknown, lose: (keyword: string) => void): unknown {
  if (typeof mine === 'number' && typeof other === 'number') {
    if (LEAST.includes(keyword)) return Math.max(mine, other);
    if (MOST.includes(keyword)) return Math.min(mine, other);
  }
  switch (keyword) {
    case 'type':
      return commonTypes([mine].flat(), [other].flat());
    case 'const':
      return undefined;
    case 'enum': {
      if (!Array.isArray(mine) || !Array.isArray(other)) break;
      const common = mine.filter((value) => other.some((entry) => sameJson(entry, value)));
      return common.length === 0 ? undefined : common;
    }
    case 'required':
      if (Array.isArray(mine) && Array.isArray(other)) return [...new Set([...mine, ...other])];
      break;
    case 'uniqueItems':
      return true;
    case 'multipleOf':
      if (typeof mine !== 'number' || typeof other !== 'number') break;
      if (Number.isInteger(mine / other)) return mine;
      if (Number.isInteger(other / mine)) return other;
      break;
    case 'properties':
    case 'additionalProperties':
      return mine;
    case 'items':
    case 'prefixItems':
    case 'additionalItems':
      return mine;
    case 'propertyNames':
      return both(mine, other);
  }
  lose(keyword);
  return mine;
}

function commonTypes(a: unknown[] | undefined, b: unknown[] | undefined): unknown[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const narrower = (type: unknown, types: unknown[]) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  return [...new Set([...a.filter((type) => narrower(type, b)), ...b.filter((type) => narrower(type, a))])];
}

/** An item at the beginning of one may be one of the other's that are all alike. */
function withItems(whole: Json, a: Json, b: Json): Json {
  const [mine, other] = [itemsOf(a), itemsOf(b)];
  if (mine === undefined || other === undefined) return whole;
  const { prefixItems: _, additionalItems, ...combined } = whole;
  const length = Math.max(mine.first.length, other.first.length);
  const first = Array.from({ length }, (_, index) =>
    both(mine.first[index] ?? mine.others, other.first[index] ?? other.others),
  );
  return { ...combined, ...(length === 0 ? {} : { prefixItems: first }), items: both(mine.others, other.others) };
}

function itemsOf({ items, prefixItems, additionalItems }: Json): { first: unknown[]; others: unknown } | undefined {
  // Before JSON Schema's draft of 2020, an array of them stood in `items`.
  if (Array.isArray(items)) return { first: items, others: additionalItems ?? true };
  if (items === undefined && prefixItems === undefined) return undefined;
  return { first: Array.isArray(prefixItems) ? prefixItems : [], others: items ?? true };
}

/** A property of one may be one of the other's that are not declared. */
function withProperties(whole: Json, a: Json, b: Json, lose: (keyword: string) => void): Json | false {
  const [mine, other] = [a, b].map((schema) => (isObject(schema.properties) ? schema.properties : {})) as [Json, Json];
  if (a.properties === undefined && b.properties === undefined && a.additionalProperties === undefined) return whole;
  const properties: Json = {};
  for (const name of new Set([...Object.keys(mine), ...Object.keys(other)])) {
    properties[name] = both(propertyOf(a, mine, name, lose), propertyOf(b, other, name, lose));
  }
  if (Object.keys(properties).length > 0) whole.properties = properties;
  if (a.additionalProperties !== undefined && b.additionalProperties !== undefined) {
    whole.additionalProperties = both(a.additionalProperties, b.additionalProperties);
  }
  return whole;
}

function propertyOf(schema: Json, properties: Json, name: string, lose: (keyword: string) => void): unknown {
  if (Object.hasOwn(properties, name)) return properties[name];
  const { additionalProperties = true, patternProperties } = schema;
  if (!isObject(patternProperties)) return additionalProperties;
  const matches = Object.keys(patternProperties).filter((pattern) => regularExpression(pattern)?.test(name) ?? true);
  if (matches.length > 0) lose('patternProperties');
  return matches.length > 0 ? true : additionalProperties;
}

/** Left to be combined where it is reached. */
function both(a: unknown, b: unknown): unknown {
  if (a === true || sameJson(a, b)) return b;
  if (b === true) return a;
  return a === NOTHING || b === NOTHING ? NOTHING : { allOf: [a, b] };
}
