/**
 * Writes kernels into wllama's binary: each replaces the body of the function that it is named after, found through ggml's
 * table of functions. The module keeps its types, imports, tables, data and exports; only the code section changes.
 */

import { readMemoryImage } from './memory-image.ts';
import { type PatchOptions, patchCode } from './patch.ts';
import { findTypeTraits, TYPE, type TypeTraits } from './type-traits.ts';
import {
  concat,
  describeType,
  encodeU32,
  Reader,
  readModule,
  SECTION,
  sameBytes,
  typeOf,
  WasmFormatError,
  type WasmModule,
  whyNotMovable,
  writeSections,
} from './wasm-binary.ts';

interface Kernel {
  /** The name that the kernels' module exports: ggml's own for this function. */
  name: string;
  type: number;
  role: 'fromFloat' | 'vecDot';
  /** What the entry must say of the other operand: a kernel reads that layout and no other. */
  vecDotType: number;
}

const vecDot = (type: keyof typeof TYPE, other: keyof typeof TYPE): Kernel => ({
  name: type === other && type !== 'q8_0' ? `ggml_vec_dot_${type}` : `ggml_vec_dot_${type}_${other}`,
  type: TYPE[type],
  role: 'vecDot',
  vecDotType: TYPE[other],
});
const fromFloat = (type: keyof typeof TYPE, vecDotType: number): Kernel => ({
  name: `quantize_row_${type}`,
  type: TYPE[type],
  role: 'fromFloat',
  vecDotType,
});

/** Every kernel, and where ggml's table names the function that it replaces. */
export const KERNELS: readonly Kernel[] = [
  vecDot('q4_0', 'q8_0'),
  vecDot('q4_1', 'q8_1'),
  vecDot('q5_0', 'q8_0'),
  vecDot('q5_1', 'q8_1'),
  vecDot('q8_0', 'q8_0'),
  vecDot('q2_K', 'q8_K'),
  vecDot('q3_K', 'q8_K'),
  vecDot('q4_K', 'q8_K'),
  vecDot('q5_K', 'q8_K'),
  vecDot('q6_K', 'q8_K'),
  vecDot('iq4_nl', 'q8_0'),
  vecDot('iq4_xs', 'q8_K'),
  vecDot('mxfp4', 'q8_0'),
  vecDot('f16', 'f32'),
  vecDot('bf16', 'bf16'),
  fromFloat('q8_0', TYPE.q8_0),
  fromFloat('q8_1', TYPE.q8_1),
  fromFloat('q8_K', 0),
];

/**
 * wllama's binary with the kernels in it, and patched.
 *
 * @param wllama the published module: wasm64 or wasm32
 * @param kernels the kernels' module, compiled for the same size of address
 * @returns the bytes of a module that has the same interface
 * @throws WasmFormatError when either module is not built as expected: nothing is guessed
 */
export function link(wllama: Uint8Array, kernels: Uint8Array, options: PatchOptions = {}): Uint8Array<ArrayBuffer> {
  const target = readModule(wllama);
  const source = readModule(kernels);
  if (target.memory64 !== source.memory64) {
    throw new WasmFormatError('the kernels are compiled for another size of address than the binary');
  }
  if (source.sections.some(({ id }) => id === SECTION.data)) {
    throw new WasmFormatError('the kernels hold data: a constant table that the compiler did not keep in the code');
  }

  const functions = readFunctionTable(target);
  const traits = readTraits(target, functions);
  const bodies = [...target.bodies];
  const replaced = new Map<number, string>();

  for (const kernel of KERNELS) {
    const old = functionOf(kernel, traits(kernel.type), functions);
    const index = source.exports.get(kernel.name);
    const body = source.bodies[(index ?? -1) - source.importedFunctions];
    if (index === undefined || !body) throw new WasmFormatError(`the kernels' module does not define ${kernel.name}`);

    const [oldType, newType] = [typeOf(target, old), typeOf(source, index)];
    if (!sameBytes(oldType, newType)) {
      throw new WasmFormatError(`${kernel.name} is ${describeType(newType)}, in wllama ${describeType(oldType)}`);
    }
    const reason = whyNotMovable(body);
    if (reason) throw new WasmFormatError(`${kernel.name} can't be moved into another module: ${reason}`);
    const other = replaced.get(old);
    if (other) throw new WasmFormatError(`${kernel.name} and ${other} are one function in wllama`);

    replaced.set(old, kernel.name);
    bodies[old - target.importedFunctions] = body;
  }

  const code = patchCode(writeCode(bodies), options);
  return writeSections(target.sections.map(({ id, body }) => ({ id, body: id === SECTION.code ? code : body })));
}

/** Index of the function that the kernel replaces. */
function functionOf(kernel: Kernel, traits: TypeTraits, functions: readonly (number | undefined)[]): number {
  if (traits.vecDotType !== kernel.vecDotType) {
    throw new WasmFormatError(`${kernel.name}: type ${kernel.type} is multiplied with type ${traits.vecDotType} here`);
  }
  const slot = traits[kernel.role];
  const index = functions[slot];
  if (index === undefined) throw new WasmFormatError(`${kernel.name}: the function table has no slot ${slot}`);
  return index;
}

/** Function index by table slot. The table is filled by one active segment. */
export function readFunctionTable(module: WasmModule): (number | undefined)[] {
  const section = module.sections.find(({ id }) => id === SECTION.element);
  const reader = new Reader(section?.body ?? Uint8Array.of(0));
  const ACTIVE_TABLE_0 = 0;
  const END = 0x0b;
  if (reader.u32() !== 1 || reader.u32() !== ACTIVE_TABLE_0) {
    throw new WasmFormatError('the function table is not filled by one active segment');
  }
  reader.u8(); // i32.const or i64.const
  const offset = Number(reader.signed(64));
  if (offset < 0 || offset > 1 || reader.u8() !== END) {
    throw new WasmFormatError('the function table does not begin at a constant 0 or 1');
  }
  const functions = reader.vector(() => reader.u32());
  return [...Array.from({ length: offset }, () => undefined), ...functions];
}

function readTraits(module: WasmModule, functions: readonly unknown[]): (type: number) => TypeTraits {
  const found = findTypeTraits(readMemoryImage(module), module.memory64, functions.length);
  const [array] = found;
  if (!array || found.length > 1) throw new WasmFormatError(`ggml's type_traits_cpu is found ${found.length} times`);
  return array.entry;
}

function writeCode(bodies: readonly Uint8Array[]): Uint8Array {
  const pieces = [encodeU32(bodies.length)];
  for (const body of bodies) pieces.push(encodeU32(body.length), body);
  return concat(pieces);
}
