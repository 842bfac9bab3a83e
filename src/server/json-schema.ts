/** The faults of a JSON schema that llama.cpp's grammar compiler throws on: found here, since an exception there is dear. */
import { isObject } from './json.ts';

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

/** Keywords that the compiler looks at before `type`. */
const BEFORE_TYPE = ['$ref', 'oneOf', 'anyOf', 'const', 'enum'];

/** llama.cpp's message for the first fault, or undefined. `at` is a JSON pointer, for messages. */
export function schemaFault(schema: unknown, at = '#'): string | undefined {
  if (typeof schema === 'boolean' && at !== '#') return undefined;
  if (!isObject(schema)) return `JSON schema error at ${at}: schema must be an object`;
  if (!BEFORE_TYPE.some((keyword) => keyword in schema)) {
    const types = Array.isArray(schema.type) ? schema.type : [schema.type];
    const unknown = types.find((type) => type !== undefined && !TYPES.includes(type as string));
    if (unknown !== undefined) {
      const name = typeof unknown === 'string' ? unknown : JSON.stringify(unknown);
      return `JSON schema error at ${at}: unrecognized type ${name}`;
    }
  }
  return firstFault(subschemas(schema, at));
}

function firstFault(schemas: [schema: unknown, at: string][]): string | undefined {
  for (const [schema, at] of schemas) {
    const fault = schemaFault(schema, at);
    if (fault !== undefined) return fault;
  }
  return undefined;
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
