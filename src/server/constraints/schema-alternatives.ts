/**
 * Alternatives that begin alike, told apart sooner. A grammar follows all of them until they differ, and where they nest
 * (`left`, `op`, `right`), each level multiplies what the engine has to follow. Objects have no order: what tells
 * them apart can come first. Works on what `keepableSchema` writes.
 */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';

type ObjectSchema = Json & { properties: Json };

/** Keywords whose values are data, not schemas. */
const DATA = ['const', 'enum', 'default'];

/** With the properties of objects that are alternatives in another order: those that tell one from the others, then the rest. */
export function distinctFirst(schema: Json): Json {
  const alternatives = alternativesIn(schema);
  const ordered = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(ordered);
    if (!isObject(node)) return node;
    const others = alternatives.get(node);
    const inner = others === undefined ? node : { ...node, properties: inOrder(node as ObjectSchema, others) };
    return Object.fromEntries(
      Object.entries(inner).map(([key, value]) => [key, DATA.includes(key) ? value : ordered(value)]),
    );
  };
  return ordered(schema) as Json;
}

/** Each object that is an alternative, and those that it is one beside. */
function alternativesIn(schema: Json): Map<Json, ObjectSchema[]> {
  const $defs = (schema.$defs ?? {}) as Record<string, Json>;
  const target = (branch: Json) =>
    typeof branch.$ref === 'string' ? $defs[branch.$ref.slice('#/$defs/'.length)] : branch;
  const found = new Map<Json, ObjectSchema[]>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const entry of node) visit(entry);
    if (!isObject(node)) return;
    if (Array.isArray(node.anyOf)) {
      const objects = (node.anyOf as Json[]).map(target).filter((branch) => isObject(branch?.properties));
      for (const one of objects as ObjectSchema[]) {
        const others = objects.filter((other) => other !== one) as ObjectSchema[];
        found.set(one, [...(found.get(one) ?? []), ...others]);
      }
    }
    for (const [key, value] of Object.entries(node)) if (!DATA.includes(key)) visit(value);
  };
  visit(schema);
  return found;
}

function inOrder({ properties }: ObjectSchema, others: ObjectSchema[]): Json {
  const rank = ([name, property]: [string, unknown]) => {
    if (isObject(property) && ('const' in property || 'enum' in property)) return 0;
    return others.every(({ properties }) => Object.hasOwn(properties, name)) ? 2 : 1;
  };
  return Object.fromEntries(Object.entries(properties).sort((a, b) => rank(a) - rank(b)));
}
