/** Values beside the keywords that speak of them alone: of numbers, strings, types, `const` and `enum`. */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';

/** As JSON Schema compares: objects in any order of their keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((entry, index) => sameJson(entry, b[index]));
  }
  if (isObject(a)) {
    if (!isObject(b)) return false;
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
    );
  }
  return a === b;
}

/** Whether none of these keywords excludes the value; others are not looked at. */
export function accepts(schema: Json, value: unknown): boolean {
  const { type, const: only, enum: listed } = schema;
  if (type !== undefined && ![type].flat().some((type) => isOfType(value, type))) return false;
  if ('const' in schema && !sameJson(only, value)) return false;
  if (Array.isArray(listed) && !listed.some((entry) => sameJson(entry, value))) return false;
  if (typeof value === 'number') return acceptsNumber(schema, value);
  return typeof value !== 'string' || acceptsString(schema, value);
}

function isOfType(value: unknown, type: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function acceptsNumber(schema: Json, value: number): boolean {
  const bound = (keyword: string) => {
    const given = schema[keyword];
    return typeof given === 'number' ? given : undefined;
  };
  const step = bound('multipleOf');
  return (
    value >= (bound('minimum') ?? -Infinity) &&
    value <= (bound('maximum') ?? Infinity) &&
    value > (bound('exclusiveMinimum') ?? -Infinity) &&
    value < (bound('exclusiveMaximum') ?? Infinity) &&
    (step === undefined || Number.isInteger(value / step))
  );
}

function acceptsString({ minLength, maxLength, pattern }: Json, value: string): boolean {
  const length = Array.from(value).length;
  if (typeof minLength === 'number' && length < minLength) return false;
  if (typeof maxLength === 'number' && length > maxLength) return false;
  return typeof pattern !== 'string' || (regularExpression(pattern)?.test(value) ?? true);
}

/** As a schema's author means it; undefined where it is none. */
export function regularExpression(pattern: string): RegExp | undefined {
  for (const flags of ['u', '']) {
    try {
      return new RegExp(pattern, flags);
    } catch {
      // With the flag, an escape that isn't needed is an error; without, what is only known with it.
    }
  }
  return undefined;
}
