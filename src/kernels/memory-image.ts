/**
 * The memory that a module starts with.
 *
 * A module with shared memory (wllama's) keeps its data in passive segments, and its start function copies each to its
 * address, once for all threads: `const address; i32.const 0; i32.const length; memory.init segment`. Binaryen cuts segments
 * at runs of zeros, so a table in C may lie in several of them: only the addresses put it together again.
 */
import {
  type Instruction,
  OPCODE,
  Reader,
  readInstructions,
  SECTION,
  WasmFormatError,
  type WasmModule,
} from './wasm-binary.ts';

/** No start function of an engine initializes more than this; a damaged address would ask for any amount. */
const MAX_IMAGE_BYTES = 64 * 1024 * 1024;

const PASSIVE = 1;

/** The initial memory from address 0, as far as the last segment reaches. Throws `WasmFormatError` for any other layout. */
export function readMemoryImage(module: WasmModule): Uint8Array<ArrayBuffer> {
  const segments = readPassiveSegments(module);
  const copies = readCopies(module);
  if (segments.length === 0 || copies.length !== segments.length) {
    throw new WasmFormatError(`${segments.length} data segments, ${copies.length} copied by the start function`);
  }

  const end = Math.max(...copies.map(({ address, length }) => address + length));
  if (end > MAX_IMAGE_BYTES) throw new WasmFormatError(`the data reaches to address ${end}`);
  const image = new Uint8Array(end);
  for (const { segment, address, length } of copies) {
    const data = segments[segment];
    if (data?.length !== length) throw new WasmFormatError(`data segment ${segment} is not copied as a whole`);
    image.set(data, address);
  }
  return image;
}

function readPassiveSegments(module: WasmModule): Uint8Array[] {
  const reader = new Reader(sectionOf(module, SECTION.data));
  return reader.vector(() => {
    if (reader.u32() !== PASSIVE) throw new WasmFormatError('a data segment is not passive');
    return reader.take(reader.u32());
  });
}

function readCopies(module: WasmModule): { segment: number; address: number; length: number }[] {
  const start = new Reader(sectionOf(module, SECTION.start)).u32();
  const body = module.bodies[start - module.importedFunctions];
  if (!body) throw new WasmFormatError('the start function is not defined in the module');
  const instructions = readInstructions(body);
  const addressConst = module.memory64 ? OPCODE.i64Const : OPCODE.i32Const;

  return instructions.flatMap(({ opcode, operand }, index) => {
    if (opcode !== OPCODE.memoryInit) return [];
    const [address, from, length] = instructions.slice(index - 3, index);
    if (!isConst(address, addressConst) || !isConst(from, OPCODE.i32Const) || !isConst(length, OPCODE.i32Const)) {
      throw new WasmFormatError('a data segment is copied to an address that is no constant');
    }
    if (from.operand !== 0n) throw new WasmFormatError(`data segment ${operand} is not copied from its start`);
    return [{ segment: Number(operand), address: Number(address.operand), length: Number(length.operand) }];
  });
}

function isConst(instruction: Instruction | undefined, opcode: number): instruction is Instruction {
  return instruction?.opcode === opcode && instruction.operand >= 0n;
}

function sectionOf(module: WasmModule, id: number): Uint8Array {
  const section = module.sections.find((candidate) => candidate.id === id);
  if (!section) throw new WasmFormatError(`the module has no section ${id}`);
  return section.body;
}
