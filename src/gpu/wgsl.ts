/** What fusing has to know of one of ggml's shaders, read from its text. Whatever is written in another way is not fused. */

export interface ShaderBinding {
  readonly binding: number;
  /** As in `var<…>`. */
  readonly space: string;
  readonly name: string;
  /** Without spaces: `array<vec4<f32>>`. */
  readonly type: string;
  /** Whether it is only ever read, an element at a time: `name[index]`. */
  readonly isRead: boolean;
}

export interface Shader {
  readonly label: string;
  /** `enable f16;` and the like, which come first. */
  readonly directives: readonly string[];
  /** The tokens of each declaration at module scope, but for bindings; the entry point is a plain function. */
  readonly declarations: readonly (readonly string[])[];
  /** Names at module scope. */
  readonly names: ReadonlySet<string>;
  readonly bindings: readonly ShaderBinding[];
  readonly hasWorkgroupMemory: boolean;
  readonly entry: string;
  /** Of the entry point's parameters, in their order: `workgroup_id`, `subgroup_size`, … */
  readonly builtins: readonly string[];
  /** Invocations of a workgroup, all of them in x. */
  readonly size: number;
}

/** What an entry point may ask for, and of which type it is. */
export const BUILTINS: Readonly<Record<string, string>> = {
  global_invocation_id: 'vec3<u32>',
  local_invocation_id: 'vec3<u32>',
  local_invocation_index: 'u32',
  num_subgroups: 'u32',
  num_workgroups: 'vec3<u32>',
  subgroup_id: 'u32',
  subgroup_invocation_id: 'u32',
  subgroup_size: 'u32',
  workgroup_id: 'vec3<u32>',
};

const TOKENS =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\s+|[A-Za-z_]\w*|\.?\d(?:[eEpP][-+]|[\w.])*|(?:<<|>>|[-+*/%&|^])=|[=!<>]=|\+\+|--|->|&&|\|\||<<|>>|[\s\S]/g;
const BLANK = /^(?:\s|\/\/|\/\*)/;
const ASSIGNMENT = /^(?:(?:<<|>>|[-+*/%&|^])?=|\+\+|--)$/;
const DIRECTIVES = new Set(['enable', 'requires', 'diagnostic']);
/** Names are replaced wherever they stand, so they must not be those of a vector's components. */
const COMPONENTS = /^(?:[xyzw]{1,4}|[rgba]{1,4})$/;

/** @returns undefined where something is not as ggml's shaders have it */
export function readShader(label: string, code: string): Shader | undefined {
  const directives: string[] = [];
  const kept: string[][] = [];
  const names = new Set<string>();
  const bindings: Omit<ShaderBinding, 'isRead'>[] = [];
  let hasWorkgroupMemory = false;
  let entry: ReturnType<typeof readEntry>;

  for (const declaration of declarations(code)) {
    const [first = '', second = '', third = ''] = declaration;
    const text = declaration.join(' ');
    if (DIRECTIVES.has(first)) {
      directives.push(text);
    } else if (first === 'fn' || first === 'struct' || first === 'const' || first === 'alias') {
      names.add(second);
      kept.push(declaration);
    } else if (first === 'var' && third === 'workgroup') {
      // var < workgroup > name
      names.add(declaration[4] as string);
      kept.push(declaration);
      hasWorkgroupMemory = true;
    } else if (text.startsWith('@ group')) {
      const binding = readBinding(text);
      if (binding === undefined) return undefined;
      names.add(binding.name);
      bindings.push(binding);
    } else if (text.startsWith('@ compute') && entry === undefined) {
      entry = readEntry(declaration);
      if (entry === undefined) return undefined;
      names.add(entry.name);
      kept.push(entry.tokens);
    } else {
      // Private memory is among it: it begins as zeros, which the second part to run would not find.
      return undefined;
    }
  }
  if (entry === undefined || [...names].some((name) => COMPONENTS.test(name) || name in BUILTINS)) return undefined;
  const tokens = kept.flat();
  return {
    label,
    directives,
    declarations: kept,
    names,
    bindings: bindings.map((binding) => ({ ...binding, isRead: isOnlyRead(tokens, binding.name) })),
    hasWorkgroupMemory,
    entry: entry.name,
    builtins: entry.builtins,
    size: entry.size,
  };
}

/** The tokens of each declaration at module scope. */
function* declarations(code: string): Generator<string[]> {
  let depth = 0;
  let declaration: string[] = [];
  for (const token of code.match(TOKENS) ?? []) {
    if (BLANK.test(token)) continue;
    // A struct may be followed by one.
    if (token === ';' && declaration.length === 0) continue;
    declaration.push(token);
    if ('([{'.includes(token)) depth++;
    else if (')]}'.includes(token)) depth--;
    if (depth > 0 || (token !== ';' && token !== '}')) continue;
    yield declaration;
    declaration = [];
  }
  if (declaration.length > 0) yield declaration;
}

function readBinding(text: string): Omit<ShaderBinding, 'isRead'> | undefined {
  const read = /^@ group \( 0 \) @ binding \( ([\d +]+) \) var < ([\w ,]+) > (\w+) : ([\w<> ,]+) ;$/.exec(text);
  if (read === null) return undefined;
  const [, terms = '', space = '', name = '', type = ''] = read;
  const binding = terms.split('+').reduce((sum, term) => sum + Number(term), 0);
  return { binding, space: space.replaceAll(' ', ''), name, type: type.replaceAll(' ', '') };
}

/** `@compute @workgroup_size(64) fn main(@builtin(workgroup_id) id: vec3<u32>, …) { … }`, as a function of plain parameters. */
function readEntry(declaration: readonly string[]) {
  const head = /^@ compute @ workgroup_size \( (\d+) \) fn (\w+) \( /.exec(declaration.join(' '));
  if (head === null) return undefined;
  const [text, size, name = ''] = head;
  const begin = text.trimEnd().split(' ').length;
  const end = declaration.indexOf('{');
  const builtins: string[] = [];
  const tokens = ['fn', name, '('];
  const list = declaration.slice(begin, end - 1).join(' ');
  for (const parameter of list.split(/ , (?=@)/)) {
    if (parameter === '') continue;
    const read = /^@ builtin \( (\w+) \) (\w+) : [\w<> ]+(?: ,)?$/.exec(parameter);
    const [, builtin = '', parameterName = ''] = read ?? [];
    const type = BUILTINS[builtin];
    if (type === undefined) return undefined;
    builtins.push(builtin);
    tokens.push(parameterName, ':', type, ',');
  }
  tokens.push(')', ...declaration.slice(end));
  return { name, builtins, size: Number(size), tokens };
}

/** Where the bracket that is opened at an index is closed. */
export function closing(tokens: readonly string[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if ('([{'.includes(tokens[at] as string)) depth++;
    else if (')]}'.includes(tokens[at] as string) && --depth === 0) return at;
  }
  throw new Error('a bracket is not closed');
}

function isOnlyRead(tokens: readonly string[], name: string): boolean {
  for (let at = tokens.indexOf(name); at >= 0; at = tokens.indexOf(name, at + 1)) {
    // By its address, or as a whole.
    if (tokens[at - 1] === '&' || tokens[at + 1] !== '[') return false;
    let end = closing(tokens, at + 1) + 1;
    while (tokens[end] === '.' || tokens[end] === '[') end = tokens[end] === '.' ? end + 2 : closing(tokens, end) + 1;
    if (ASSIGNMENT.test(tokens[end] ?? '')) return false;
  }
  return true;
}
