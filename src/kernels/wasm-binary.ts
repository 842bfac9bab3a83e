/**
 * Just enough of the WebAssembly binary format to look into a module and to write one back: LEB128 numbers, sections,
 * functions, and the length of every instruction that a kernel or an initializer may hold. Pure functions over bytes.
 *
 * Specification: https://webassembly.github.io/spec/core/binary/
 */

/** The module is not what the reader expects. `offset` is counted from the start of the bytes that were being read. */
export class WasmFormatError extends Error {
  override name = 'WasmFormatError';
}

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
} as const;

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** Reads forward through bytes, and refuses to leave them. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  u8(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new WasmFormatError(`the bytes end at ${this.at}, in the middle of something`);
    this.at += 1;
    return byte;
  }

  /** An unsigned LEB128 number of up to 32 bits. */
  u32(): number {
    return Number(this.leb(32, false));
  }

  /** An unsigned LEB128 number of up to 64 bits: offsets into a 64-bit memory. */
  u64(): bigint {
    return this.leb(64, false);
  }

  /** A signed LEB128 number of up to `bits` bits. */
  signed(bits: 32 | 33 | 64): bigint {
    return this.leb(bits, true);
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) {
      throw new WasmFormatError(`${length} bytes are announced at ${this.at}, ${this.bytes.length - this.at} are left`);
    }
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  /** A vector: its length, then `read` that many times. */
  vector<T>(read: () => T): T[] {
    const length = this.u32();
    // Every element takes at least one byte; without this check a damaged length would ask for gigabytes.
    if (length > this.bytes.length - this.at) {
      throw new WasmFormatError(`a vector of ${length} is announced at ${this.at}, too long for what follows`);
    }
    return Array.from({ length }, read);
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.u32()));
  }

  private leb(bits: number, signed: boolean): bigint {
    const start = this.at;
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if ((byte & 0x80) === 0) {
        if (signed && (byte & 0x40) !== 0) value -= 1n << shift;
        break;
      }
      if (shift >= bits) throw new WasmFormatError(`the number at ${start} is longer than ${bits} bits`);
    }
    const fits = signed ? value === BigInt.asIntN(bits, value) : value === BigInt.asUintN(bits, value);
    if (!fits) throw new WasmFormatError(`the number at ${start} does not fit ${bits} bits`);
    return value;
  }
}

/** An unsigned integer (0 to 2^32 - 1) in its shortest LEB128 form. */
export function encodeU32(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return Uint8Array.from(bytes);
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export interface Section {
  id: number;
  body: Uint8Array;
}

/** The module's sections in their order, each a view into `bytes`. */
export function readSections(bytes: Uint8Array): Section[] {
  if (HEADER.some((byte, index) => bytes[index] !== byte)) {
    throw new WasmFormatError('this is not a WebAssembly module of version 1');
  }
  const reader = new Reader(bytes, HEADER.length);
  const sections: Section[] = [];
  while (!reader.done) {
    const id = reader.u8();
    sections.push({ id, body: reader.take(reader.u32()) });
  }
  return sections;
}

export function writeSections(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [Uint8Array.from(HEADER)];
  for (const { id, body } of sections) pieces.push(Uint8Array.of(id), encodeU32(body.length), body);
  return concat(pieces);
}

/** What the linker needs to know of a module. Function indexes count imports first, as everywhere in WebAssembly. */
export interface WasmModule {
  sections: Section[];
  /** The encoded function types: equal bytes are equal types. */
  types: Uint8Array[];
  importedFunctions: number;
  /** True when memory 0 is addressed with 64 bits. */
  memory64: boolean;
  /** Type index of each function that the module defines. */
  functionTypes: number[];
  /** Body of each function that the module defines: its locals, then its instructions. */
  bodies: Uint8Array[];
  /** Exported functions: name to function index. */
  exports: Map<string, number>;
}

const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
const LIMITS = { maximum: 0x01, memory64: 0x04 } as const;
const FUNCTION_TYPE = 0x60;

export function readModule(bytes: Uint8Array): WasmModule {
  const sections = readSections(bytes);
  const section = (id: number) =>
    new Reader(sections.find((candidate) => candidate.id === id)?.body ?? Uint8Array.of(0));

  let reader = section(SECTION.type);
  const types = reader.vector(() => {
    const start = reader.at;
    if (reader.u8() !== FUNCTION_TYPE) throw new WasmFormatError('a type is not a function type');
    reader.vector(() => reader.u8());
    reader.vector(() => reader.u8());
    return reader.bytes.subarray(start, reader.at);
  });

  let importedFunctions = 0;
  let memory64 = false;
  const limits = () => {
    const flags = reader.u8();
    reader.u64();
    if (flags & LIMITS.maximum) reader.u64();
    return flags;
  };
  reader = section(SECTION.import);
  reader.vector(() => {
    reader.name();
    reader.name();
    const kind = reader.u8();
    if (kind === KIND.function) {
      importedFunctions += 1;
      reader.u32();
    } else if (kind === KIND.table) {
      reader.u8();
      limits();
    } else if (kind === KIND.memory) {
      memory64 = (limits() & LIMITS.memory64) !== 0;
    } else if (kind === KIND.global) {
      reader.take(2);
    } else if (kind === KIND.tag) {
      reader.u8();
      reader.u32();
    } else {
      throw new WasmFormatError(`an import is of unknown kind ${kind}`);
    }
  });

  reader = section(SECTION.memory);
  reader.vector(() => {
    memory64 = (limits() & LIMITS.memory64) !== 0;
  });

  reader = section(SECTION.function);
  const functionTypes = reader.vector(() => reader.u32());
  reader = section(SECTION.code);
  const bodies = reader.vector(() => reader.take(reader.u32()));
  if (bodies.length !== functionTypes.length) {
    throw new WasmFormatError(`${functionTypes.length} functions are declared, ${bodies.length} have a body`);
  }

  const exports = new Map<string, number>();
  reader = section(SECTION.export);
  reader.vector(() => {
    const name = reader.name();
    const kind = reader.u8();
    const index = reader.u32();
    if (kind === KIND.function) exports.set(name, index);
  });

  return { sections, types, importedFunctions, memory64, functionTypes, bodies, exports };
}

/** The encoded type of a function that the module defines. */
export function typeOf(module: WasmModule, functionIndex: number): Uint8Array {
  const type = module.types[module.functionTypes[functionIndex - module.importedFunctions] ?? -1];
  if (!type) throw new WasmFormatError(`function ${functionIndex} is not defined in the module`);
  return type;
}

const FUNCTION_NAMES = 1;

/** Index of the one function of this name. Throws `WasmFormatError` if the module's names don't have it, or more than once. */
export function functionNamed(module: WasmModule, name: string): number {
  const indexes = module.sections.flatMap(({ id, body }) => {
    const reader = new Reader(body);
    if (id !== SECTION.custom || reader.name() !== 'name') return [];
    while (!reader.done) {
      const kind = reader.u8();
      const names = new Reader(reader.take(reader.u32()));
      if (kind !== FUNCTION_NAMES) continue;
      return names.vector(() => ({ index: names.u32(), name: names.name() })).filter((entry) => entry.name === name);
    }
    return [];
  });
  const [first] = indexes;
  if (first === undefined || indexes.length > 1)
    throw new WasmFormatError(`${indexes.length} functions are named ${name}`);
  return first.index;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** One instruction. Opcodes with a prefix are `prefix << 16 | number`: `memory.init` is 0xfc0008. */
export interface Instruction {
  opcode: number;
  /** Value of an `i32.const` or `i64.const`; the first index of anything that names one; 0 otherwise. */
  operand: bigint;
}

export const OPCODE = {
  i32Const: 0x41,
  i64Const: 0x42,
  memoryInit: 0xfc0008,
} as const;

/** Bit 6 of a memory argument's alignment: a memory index follows. */
const HAS_MEMORY_INDEX = 0x40;

/** Reads the next instruction. Throws `WasmFormatError` at an opcode that it does not know. */
export function readInstruction(reader: Reader): Instruction {
  const at = reader.at;
  const first = reader.u8();
  const prefixed = first === 0xfc || first === 0xfd || first === 0xfe;
  const opcode = prefixed ? first * 0x10000 + reader.u32() : first;
  const instruction = { opcode, operand: 0n };
  const memoryArgument = () => {
    const alignment = reader.u32();
    if (alignment & HAS_MEMORY_INDEX) instruction.operand = reader.u64();
    reader.u64();
  };

  if (first === 0xfd) {
    const simd = opcode & 0xffff;
    if (simd <= 11 || simd === 92 || simd === 93) memoryArgument();
    else if (simd === 12 || simd === 13) reader.take(16);
    else if (simd >= 21 && simd <= 34) reader.take(1);
    else if (simd >= 84 && simd <= 91) {
      memoryArgument();
      reader.take(1);
    } else if (simd > 0x113) throw unknownInstruction(opcode, at);
  } else if (first === 0xfc) {
    const number = opcode & 0xffff;
    if (number >= 18) throw unknownInstruction(opcode, at);
    if (number >= 8) instruction.operand = reader.u64();
    if (number === 8 || number === 10 || number === 12 || number === 14) reader.u32();
  } else if (first === 0xfe) {
    const number = opcode & 0xffff;
    if (number > 0x4e) throw unknownInstruction(opcode, at);
    if (number === 0x03) reader.take(1);
    else memoryArgument();
  } else if (first === 0x02 || first === 0x03 || first === 0x04) {
    instruction.operand = reader.signed(33);
  } else if (first === 0x0c || first === 0x0d || first === 0x10) {
    instruction.operand = reader.u64();
  } else if (first === 0x0e) {
    reader.vector(() => reader.u32());
    reader.u32();
  } else if (first === 0x11) {
    instruction.operand = reader.u64();
    reader.u32();
  } else if (first >= 0x20 && first <= 0x26) {
    instruction.operand = reader.u64();
  } else if (first >= 0x28 && first <= 0x3e) {
    memoryArgument();
  } else if (first === 0x3f || first === 0x40) {
    instruction.operand = reader.u64();
  } else if (first === OPCODE.i32Const) {
    instruction.operand = reader.signed(32);
  } else if (first === OPCODE.i64Const) {
    instruction.operand = reader.signed(64);
  } else if (first === 0x43) {
    reader.take(4);
  } else if (first === 0x44) {
    reader.take(8);
  } else if (!isPlain(first)) {
    throw unknownInstruction(opcode, at);
  }
  return instruction;
}

/** Instructions without immediates: control, parametric, comparison, arithmetic, conversion. */
function isPlain(opcode: number): boolean {
  return (
    opcode <= 0x01 ||
    opcode === 0x05 ||
    opcode === 0x0b ||
    opcode === 0x0f ||
    opcode === 0x1a ||
    opcode === 0x1b ||
    (opcode >= 0x45 && opcode <= 0xc4)
  );
}

function unknownInstruction(opcode: number, at: number): WasmFormatError {
  return new WasmFormatError(`unknown instruction 0x${opcode.toString(16)} at ${at}`);
}

/** The instructions of a function's body, without its locals. */
export function readInstructions(body: Uint8Array): Instruction[] {
  const reader = new Reader(body);
  reader.vector(() => {
    reader.u32();
    return reader.u8();
  });
  const instructions: Instruction[] = [];
  while (!reader.done) instructions.push(readInstruction(reader));
  return instructions;
}

/**
 * Why a body can't be moved into another module as it is; `undefined` when it can. A body can be moved when nothing in it
 * refers to its module: no calls, globals, tables, other memories, data segments or numbered types. Memory 0 is allowed,
 * constant addresses can't be told from other constants: the caller makes sure that there is no data to point to.
 */
export function whyNotMovable(body: Uint8Array): string | undefined {
  for (const { opcode, operand } of readInstructions(body)) {
    if (opcode === 0x10 || opcode === 0x11) return 'it calls a function';
    if (opcode === 0x23 || opcode === 0x24) return 'it uses a global: a stack frame, or data';
    if (opcode === 0x25 || opcode === 0x26) return 'it uses a table';
    if (opcode === 0x3f || opcode === 0x40) return 'it asks for the size of the memory';
    if (opcode >= 0xfc0008 && opcode <= 0xfcffff) return 'it copies, fills or initializes memory or tables in bulk';
    if (opcode >= 0xfe0000) return 'it holds atomic instructions';
    const isLoadOrStore =
      (opcode >= 0x28 && opcode <= 0x3e) ||
      (opcode >= 0xfd0000 && (opcode <= 0xfd000b || (opcode >= 0xfd0054 && opcode <= 0xfd005d)));
    if (isLoadOrStore && operand !== 0n) return `it uses memory ${operand}`;
    const isBlock = opcode >= 0x02 && opcode <= 0x04;
    if (isBlock && operand >= 0n) return 'a block in it has a numbered type';
  }
  return undefined;
}

/** A function's value types, for messages: `(i32, i64) -> ()`. */
export function describeType(type: Uint8Array): string {
  const names: Record<number, string> = { 127: 'i32', 126: 'i64', 125: 'f32', 124: 'f64', 123: 'v128' };
  const reader = new Reader(type, 1);
  const list = () => `(${reader.vector(() => names[reader.u8()] ?? 'reference').join(', ')})`;
  return `${list()} -> ${list()}`;
}
