/**
 * One shader out of several: their own code, each name with its part's number behind it. *Beside* one another, each workgroup
 * runs one part; *in turn*, a single workgroup runs all the workgroups of the first part, then those of the next.
 */
import { BUILTINS, closing, type Shader } from './wgsl.ts';

export type Fusing = 'beside' | 'in turn';

/** Parts at most: their numbers of workgroups are one `vec4`. */
export const MAX_PARTS = 4;

export interface ShaderPart {
  readonly shader: Shader;
  /** For each of its storage bindings, in order: which of the fused shader's it is. Two that are the same range are one. */
  readonly storage: readonly number[];
}

/**
 * Its bindings are, from 0: storage, the parameters of each part, and the parts' numbers of workgroups.
 *
 * @returns undefined where the parts can't be put together
 */
export function fuseShaders(fusing: Fusing, parts: readonly ShaderPart[]): string | undefined {
  const types = storageTypes(parts);
  if (types === undefined) return undefined;
  const directives = new Set(parts.flatMap(({ shader }) => shader.directives));
  // Through a parameter, compilers don't see that a subgroup's number is the same for all of it.
  if (directives.has('enable subgroups ;')) directives.add('diagnostic ( off , subgroup_uniformity ) ;');
  const storage = types.map((type, i) => `@group(0) @binding(${i}) var<storage, read_write> storage${i}: ${type};`);
  const uniforms = parts.map(
    (part, i) =>
      `@group(0) @binding(${types.length + i}) var<uniform> ${parametersOf(part)}_${i}: ${typeOf(part)}_${i};`,
  );
  const counts = `@group(0) @binding(${types.length + parts.length}) var<uniform> counts: vec4<u32>;`;
  const bodies = parts.map((part, i) => body(part, i, types, fusing === 'beside' && i > 0));
  return [...directives, ...storage, ...uniforms, counts, ...bodies, entry(fusing, parts)].join('\n');
}

/** Of storage bindings, by number: the type by which all parts can read and write them. */
function storageTypes(parts: readonly ShaderPart[]): string[] | undefined {
  const types: string[] = [];
  const users = parts.flatMap(({ shader, storage }) =>
    storageBindings(shader).map((binding, i) => ({ ...binding, number: storage[i] as number })),
  );
  for (const { number, type } of users) if (types[number] !== SCALARS) types[number] = type;
  // Vectors that are only read can be put together from scalars.
  const fits = users.every(({ number, type, isRead }) => {
    return type === types[number] || (types[number] === SCALARS && type === VECTORS && isRead);
  });
  return fits ? types : undefined;
}

const SCALARS = 'array<f32>';
const VECTORS = 'array<vec4<f32>>';

export const storageBindings = ({ bindings }: Shader) => bindings.filter(({ space }) => space !== 'uniform');

const uniformOf = ({ shader }: ShaderPart) => shader.bindings.find(({ space }) => space === 'uniform');
const parametersOf = (part: ShaderPart) => uniformOf(part)?.name;
const typeOf = (part: ShaderPart) => uniformOf(part)?.type;

/** A part's declarations with names of its own. Parts that run beside one another share the first one's workgroup memory. */
function body({ shader, storage }: ShaderPart, part: number, types: readonly string[], sharesMemory: boolean): string {
  const names = new Map<string, string>();
  for (const name of shader.names) names.set(name, `${name}_${part}`);
  const vectors = new Set<string>();
  storageBindings(shader).forEach(({ name, type }, i) => {
    const number = storage[i] as number;
    const isVector = type !== types[number];
    names.set(name, isVector ? `vector${number}_${part}` : `storage${number}`);
    if (isVector) vectors.add(name);
  });
  const memory = shader.declarations
    .filter(([keyword]) => keyword === 'var')
    .map((declaration) => declaration[4] as string);
  if (sharesMemory) for (const name of memory) names.set(name, `${name}_0`);
  const accessors = storageBindings(shader).flatMap(({ name }, i) => {
    if (!vectors.has(name)) return [];
    const elements = [0, 1, 2, 3].map((k) => `storage${storage[i]}[4u * at + ${k}u]`);
    return `fn ${names.get(name)}(at: u32) -> vec4<f32> { return vec4<f32>(${elements.join(', ')}); }`;
  });
  const declarations = shader.declarations
    .filter(([keyword]) => !(sharesMemory && keyword === 'var'))
    .map((declaration) => renamed(declaration, names, vectors).join(' '));
  return [...accessors, ...declarations].join('\n');
}

function renamed(
  tokens: readonly string[],
  names: ReadonlyMap<string, string>,
  vectors: ReadonlySet<string>,
): string[] {
  const result = [...tokens];
  for (const [at, token] of tokens.entries()) {
    if (vectors.has(token)) {
      // An element becomes a call.
      result[closing(tokens, at + 1)] = ')';
      result[at + 1] = '(';
    }
    result[at] = names.get(token) ?? (result[at] as string);
  }
  return result;
}

function entry(fusing: Fusing, parts: readonly ShaderPart[]): string {
  const [{ shader: first } = { shader: { size: 1 } }] = parts;
  const builtins = new Set(['workgroup_id', 'local_invocation_id', ...parts.flatMap(({ shader }) => shader.builtins)]);
  const parameters = [...builtins].map((name) => `@builtin(${name}) ${name}: ${BUILTINS[name]}`);
  const run = ({ shader }: ShaderPart, part: number, workgroup: string) => {
    const ofPart: Record<string, string> = {
      workgroup_id: `vec3<u32>(${workgroup}, 0u, 0u)`,
      num_workgroups: `vec3<u32>(counts[${part}], 1u, 1u)`,
      global_invocation_id: `vec3<u32>(${workgroup} * ${shader.size}u + local_invocation_id.x, 0u, 0u)`,
    };
    return `${shader.entry}_${part}(${shader.builtins.map((name) => ofPart[name] ?? name).join(', ')});`;
  };
  const statements = parts.map((part, i) => {
    if (fusing === 'in turn') {
      // What one wrote the next one reads; and the memory of a workgroup is the next one's.
      return `for (var at = 0u; at < counts[${i}]; at++) { ${run(part, i, 'at')} storageBarrier(); workgroupBarrier(); }`;
    }
    const before = Array.from({ length: i }, (_, earlier) => `counts[${earlier}]`).join(' + ') || '0u';
    const condition = `workgroup_id.x < ${before} + counts[${i}]`;
    return `${i === 0 ? '' : 'else '}if (${condition}) { ${run(part, i, `(workgroup_id.x - (${before}))`)} }`;
  });
  return `@compute @workgroup_size(${first.size}) fn main(${parameters.join(', ')}) {\n${statements.join('\n')}\n}`;
}
