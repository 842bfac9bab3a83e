/**
 * Finds the faults in a JSON schema that llama.cpp's grammar compiler throws on; there, an exception would fail every
 * request in flight.
 */
import { isObject } from '../http/json.ts';

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

/** Keywords that the compiler checks before `type`. */
const BEFORE_TYPE = ['$ref', 'oneOf', 'anyOf', 'const', 'enum'];

/**
 * llama.cpp's message for the first fault, or undefined.
 * @param at JSON pointer of `schema` in `root`, for messages.
 */
export function schemaFault(schema: unknown, at = '#', root = schema): string | undefined {
  if (typeof schema === 'boolean' && at !== '#') return undefined;
  if (!isObject(schema)) return faultAt(at, 'schema must be an object');
  if ('$ref' in schema && !resolves(schema.$ref, root)) return faultAt(at, `Unsupported ref: ${nameOf(schema.$ref)}`);
  if (!BEFORE_TYPE.some((keyword) => keyword in schema)) {
    const types = Array.isArray(schema.type) ? schema.type : [schema.type];
    const unknown = types.find((type) => type !== undefined && !TYPES.includes(type));
    if (unknown !== undefined) return faultAt(at, `unrecognized type ${nameOf(unknown)}`);
  }
  for (const [child, childAt] of subschemas(schema, at)) {
    const fault = schemaFault(child, childAt, root);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultAt(at: string, reason: string): string {
  return `JSON schema error at ${at}: ${reason}`;
}

function nameOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** References within the schema: llama-server would fetch others, its wasm build can't. */
function resolves(ref: unknown, root: unknown): boolean {
  if (typeof ref !== 'string' || !ref.startsWith('#/')) return false;
  let target = root;
  for (const key of ref.slice('#/'.length).split('/')) {
    if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key)) return false;
    target = (target as Record<string, unknown>)[key];
  }
  return true;
}

function subschemas(schema: Record<string, unknown>, at: string): [unknown, string][] {
  const children: [unknown, string][] = [];
  const add = (keyword: string, value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) children.push([child, `${at}/${keyword}/${key}`]);
  };
  add('properties', schema.properties);
  for (const keyword of ['oneOf', 'anyOf', 'allOf', 'prefixItems']) add(keyword, schema[keyword]);
  if (Array.isArray(schema.items)) add('items', schema.items);
  else if (isObject(schema.items)) children.push([schema.items, `${at}/items`]);
  if (isObject(schema.additionalProperties)) children.push([schema.additionalProperties, `${at}/additionalProperties`]);
  return children;
}
