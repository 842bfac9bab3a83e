/**
 * Reads the header of a GGUF file: what the file says of itself, and how long it has to be.
 *
 * It stands between a download and the engine, so the bytes are not trusted: every count is capped, every length is
 * checked against the file, and long lists (vocabularies, merges) are walked over, kept only when asked for. Only the header
 * is read, by slices; the tensors' data never is.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; what is refused is what llama.cpp's `gguf.cpp` refuses.
 */
import { LlamatabError } from '../errors.ts';

/** What a header is read from: a Blob, or a file on a server. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

export type GgufScalar = string | number | boolean;

export interface GgufArray {
  length: number;
  /** Null where the list was longer than `MAX_KEPT_ELEMENTS`, and not asked for. */
  values: readonly GgufScalar[] | null;
}

export type GgufValue = GgufScalar | GgufArray;

export interface GgufTensor {
  name: string;
  /** 1 to 4 of them, the fastest-varying first, as in ggml. */
  dims: number[];
  /** Number of the ggml type. */
  type: number;
  /** Bytes from `dataOffset`. */
  offset: number;
  /** Bytes; null for a type that this table does not know (llama.cpp says what it thinks of it). */
  size: number | null;
}

export interface GgufHeader {
  version: number;
  /** `general.architecture`; only the first shard of a model has it. */
  architecture: string | undefined;
  /** 64-bit integers are rounded to doubles. Strings over `MAX_KEPT_STRING` bytes are left out. */
  metadata: ReadonlyMap<string, GgufValue>;
  tensors: readonly GgufTensor[];
  /** Where the tensors' data begins, in bytes. */
  dataOffset: number;
  /** Bytes up to the end of the last tensor: a shorter file is truncated. */
  fileSizeNeeded: number;
}

/** Metadata pairs. Models have 20 to 60. */
const MAX_METADATA = 4096;
/** Tensors. A split mixture of experts has a few thousand in each shard. */
const MAX_TENSORS = 65_536;
/** The specification's limit for a key, in bytes. llama.cpp's for a tensor's name (`GGML_MAX_NAME`) counts a closing zero. */
const MAX_KEY = 65_535;
const MAX_TENSOR_NAME = 63;
/** `GGML_MAX_DIMS`. */
const MAX_DIMS = 4;
/** Bytes. The largest vocabularies with their merges (580,000) make headers of 20 MB. */
const MAX_HEADER = 128 * 1024 * 1024;
/** Bytes. Chat templates reach 100 KB; what is longer (a whole `tokenizer.json`) serves nobody here. */
const MAX_KEPT_STRING = 1024 * 1024;
/** Enough for a value per layer (llama.cpp allows 512), too small for a vocabulary. */
const MAX_KEPT_ELEMENTS = 1024;
/** Elements of a list that is asked for. The largest vocabularies have 300,000 tokens and 580,000 merges. */
const MAX_ASKED_ELEMENTS = 2 ** 20;
/** Bytes read at once: a slice of a stored Blob costs 2 to 7 ms whatever its length. */
const WINDOW = 1024 * 1024;
const DEFAULT_ALIGNMENT = 32;

const MAGIC = 0x46554747; // "GGUF", little-endian

/** Metadata value types, and the bytes of those with a fixed length. */
const UINT8 = 0;
const INT8 = 1;
const UINT16 = 2;
const INT16 = 3;
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const UINT64 = 10;
const INT64 = 11;
const FLOAT64 = 12;
const VALUE_SIZE: Readonly<Record<number, number>> = {
  [UINT8]: 1,
  [INT8]: 1,
  [UINT16]: 2,
  [INT16]: 2,
  [UINT32]: 4,
  [INT32]: 4,
  [FLOAT32]: 4,
  [BOOL]: 1,
  [UINT64]: 8,
  [INT64]: 8,
  [FLOAT64]: 8,
};

/** ggml types: [elements in a block, bytes of a block], from llama.cpp's `type_traits` (b12211). */
const BLOCKS: Readonly<Record<number, readonly [elements: number, bytes: number]>> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  9: [32, 36], // Q8_1
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  15: [256, 292], // Q8_K
  16: [256, 66], // IQ2_XXS
  17: [256, 74], // IQ2_XS
  18: [256, 98], // IQ3_XXS
  19: [256, 50], // IQ1_S
  20: [32, 18], // IQ4_NL
  21: [256, 110], // IQ3_S
  22: [256, 82], // IQ2_S
  23: [256, 136], // IQ4_XS
  24: [1, 1], // I8
  25: [1, 2], // I16
  26: [1, 4], // I32
  27: [1, 8], // I64
  28: [1, 8], // F64
  29: [256, 56], // IQ1_M
  30: [1, 2], // BF16
  34: [256, 54], // TQ1_0
  35: [256, 66], // TQ2_0
  39: [32, 17], // MXFP4
  40: [64, 36], // NVFP4
  41: [128, 18], // Q1_0
  42: [64, 18], // Q2_0
  43: [1, 1], // F8_E4M3
};

/**
 * Reads and checks a GGUF header.
 *
 * @param blob The whole file, or one shard (`-0000i-of-0000N.gguf`); only its header is read.
 * @param name What to call the file in messages.
 * @param wanted Keys of the metadata whose lists are kept, up to `MAX_ASKED_ELEMENTS` each.
 * @throws LlamatabError `server_error`: not a GGUF, damaged, or shorter than its tensors need.
 */
export async function readGgufHeader(
  blob: ByteSource,
  name = 'the file',
  wanted: ReadonlySet<string> = new Set(),
): Promise<GgufHeader> {
  const reader = new HeaderReader(blob, name);
  await checkMagic(reader);
  const version = await readVersion(reader);
  const tensorCount = await reader.count('tensors', MAX_TENSORS);
  const metadataCount = await reader.count('metadata pairs', MAX_METADATA);
  const metadata = await readMetadata(reader, metadataCount, wanted);
  const tensors = await readTensors(reader, tensorCount);

  const headerEnd = reader.position;
  const alignment = alignmentOf(metadata, reader);
  const dataOffset = Math.ceil(headerEnd / alignment) * alignment;
  const fileSizeNeeded = checkExtent(tensors, headerEnd, dataOffset, reader);
  const architecture = metadata.get('general.architecture');
  return {
    version,
    architecture: typeof architecture === 'string' ? architecture : undefined,
    metadata,
    tensors,
    dataOffset,
    fileSizeNeeded,
  };
}

async function checkMagic(reader: HeaderReader): Promise<void> {
  const start = await reader.peekStart();
  if (start.length === 0) reader.fail('not a GGUF: it is empty');
  if (start.length >= 4 && new DataView(start.buffer, start.byteOffset).getUint32(0, true) === MAGIC) {
    reader.position = 4;
    return;
  }
  const text = String.fromCharCode(...start);
  if (text.startsWith('version https://git-lfs')) {
    reader.fail('not a GGUF but a Git LFS pointer: put the file itself there (`git lfs pull`)');
  }
  const printable = /^[\x20-\x7e\s]*$/.test(text);
  const shown = printable
    ? JSON.stringify(text)
    : `the bytes ${Array.from(start.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
  reader.fail(`not a GGUF: starts with ${shown}`);
}

async function readVersion(reader: HeaderReader): Promise<number> {
  const version = (await reader.scalar(UINT32, 'the version')) as number;
  // A version is small, so a big-endian file shows by its zeros at the wrong end; llama.cpp looks for the same.
  if (version !== 0 && (version & 0xffff) === 0) reader.fail('a big-endian GGUF: convert it to little-endian');
  if (version !== 2 && version !== 3) {
    reader.fail(`GGUF version ${version}, but llama.cpp reads versions 2 and 3: convert the model again`);
  }
  return version;
}

async function readMetadata(
  reader: HeaderReader,
  count: number,
  wanted: ReadonlySet<string>,
): Promise<Map<string, GgufValue>> {
  const metadata = new Map<string, GgufValue>();
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) {
    const key = await reader.name(`metadata key ${i + 1} of ${count}`, MAX_KEY);
    if (seen.has(key)) reader.fail(`damaged: the metadata key ${JSON.stringify(key)} occurs twice`);
    seen.add(key);
    const what = `metadata ${JSON.stringify(key)}`;
    const type = (await reader.scalar(UINT32, what)) as number;
    const value =
      type === ARRAY
        ? await readArray(reader, what, wanted.has(key) ? MAX_ASKED_ELEMENTS : MAX_KEPT_ELEMENTS)
        : await readScalar(reader, type, what);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

async function readScalar(reader: HeaderReader, type: number, what: string): Promise<GgufScalar | undefined> {
  if (type === STRING) return reader.string(what);
  if (VALUE_SIZE[type] === undefined) reader.fail(`damaged: ${what} has the type ${type}, which does not exist`);
  return reader.scalar(type, what);
}

async function readArray(reader: HeaderReader, what: string, maxKept: number): Promise<GgufArray> {
  const type = (await reader.scalar(UINT32, what)) as number;
  const size = VALUE_SIZE[type];
  if (size === undefined && type !== STRING) {
    reader.fail(`damaged: ${what} is a list of the type ${type}, which does not exist or cannot be in a list`);
  }
  const length = await reader.count(`elements of ${what}`, MAX_HEADER);
  if (length > maxKept) {
    if (size === undefined) await reader.skipStrings(length, what);
    else reader.skip(length * size, what);
    return { length, values: null };
  }
  const values = type === STRING ? await reader.strings(length, what) : await reader.scalars(type, length, what);
  return { length, values };
}

async function readTensors(reader: HeaderReader, count: number): Promise<GgufTensor[]> {
  const tensors: GgufTensor[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = await reader.name(`the name of tensor ${i + 1} of ${count}`, MAX_TENSOR_NAME);
    if (seen.has(name)) reader.fail(`damaged: the tensor ${JSON.stringify(name)} occurs twice`);
    seen.add(name);
    const what = `tensor ${JSON.stringify(name)}`;
    const rank = (await reader.scalar(UINT32, what)) as number;
    if (rank < 1 || rank > MAX_DIMS) reader.fail(`damaged: ${what} has ${rank} dimensions, not 1 to ${MAX_DIMS}`);
    const dims: number[] = [];
    for (let d = 0; d < rank; d++) dims.push((await reader.scalar(UINT64, what)) as number);
    const type = (await reader.scalar(UINT32, what)) as number;
    const offset = (await reader.scalar(UINT64, what)) as number;
    if (!Number.isSafeInteger(offset)) reader.fail(`damaged: ${what} begins at byte ${offset}`);
    tensors.push({ name, dims, type, offset, size: tensorSize(dims, type, what, reader) });
  }
  return tensors;
}

function tensorSize(dims: number[], type: number, what: string, reader: HeaderReader): number | null {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  // Each alone as well: a zero among them hides an absurd one in the product.
  if (![...dims, elements].every(Number.isSafeInteger)) reader.fail(`damaged: ${what} is ${dims.join(' × ')} elements`);
  const block = BLOCKS[type];
  if (block === undefined) return null;
  const [blockElements, blockBytes] = block;
  const row = dims[0] ?? 0;
  if (row % blockElements !== 0) {
    reader.fail(`damaged: ${what} has rows of ${row} elements, but its type packs ${blockElements} at a time`);
  }
  return (elements / blockElements) * blockBytes;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, reader: HeaderReader): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const powerOfTwo = typeof alignment === 'number' && alignment > 0 && Number.isInteger(Math.log2(alignment));
  if (!powerOfTwo) reader.fail(`damaged: general.alignment is ${JSON.stringify(alignment)}, not a power of two`);
  return alignment;
}

function checkExtent(
  tensors: readonly GgufTensor[],
  headerEnd: number,
  dataOffset: number,
  reader: HeaderReader,
): number {
  let needed = headerEnd;
  for (const { name, offset, size } of tensors) {
    const end = dataOffset + offset + (size ?? 0);
    if (end > reader.fileSize) {
      reader.fail(`truncated: tensor ${JSON.stringify(name)} ends at byte ${end} but the file has ${reader.fileSize}`);
    }
    needed = Math.max(needed, end);
  }
  return needed;
}

/** Reads little-endian values from a Blob through a window that moves forward. */
class HeaderReader {
  position = 0;
  readonly fileSize: number;
  readonly #blob: ByteSource;
  readonly #name: string;
  /** A token may be U+FEFF, which is no byte order mark there. */
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  #window = new DataView(new ArrayBuffer(0));
  #windowStart = 0;

  constructor(blob: ByteSource, name: string) {
    this.#blob = blob;
    this.#name = name;
    this.fileSize = blob.size;
  }

  fail(what: string): never {
    throw new LlamatabError('server_error', `${this.#name} is ${what}.`);
  }

  /** The first bytes, as many as say what the file is instead. */
  async peekStart(): Promise<Uint8Array> {
    return new Uint8Array(await this.#blob.slice(0, 32).arrayBuffer());
  }

  /** A 64-bit number of things that follow. */
  async count(what: string, max: number): Promise<number> {
    const count = (await this.scalar(UINT64, `the number of ${what}`)) as number;
    if (count > max) this.fail(`damaged: it claims ${count} ${what}, and ${max} is the most that is read`);
    return count;
  }

  async scalar(type: number, what: string): Promise<number | boolean> {
    const size = VALUE_SIZE[type] ?? 0;
    return this.#value(type, this.#take(size) ?? (await this.#load(size, what)));
  }

  /** As `strings`. */
  async scalars(type: number, count: number, what: string): Promise<(number | boolean)[]> {
    const size = VALUE_SIZE[type] ?? 0;
    const values: (number | boolean)[] = [];
    for (let i = 0; i < count; i++) values.push(this.#value(type, this.#take(size) ?? (await this.#load(size, what))));
    return values;
  }

  #value(type: number, at: number): number | boolean {
    const view = this.#window;
    switch (type) {
      case UINT8:
        return view.getUint8(at);
      case INT8:
        return view.getInt8(at);
      case UINT16:
        return view.getUint16(at, true);
      case INT16:
        return view.getInt16(at, true);
      case UINT32:
        return view.getUint32(at, true);
      case INT32:
        return view.getInt32(at, true);
      case FLOAT32:
        return view.getFloat32(at, true);
      case BOOL:
        return view.getUint8(at) !== 0;
      case UINT64:
        return Number(view.getBigUint64(at, true));
      case INT64:
        return Number(view.getBigInt64(at, true));
      default:
        return view.getFloat64(at, true);
    }
  }

  /** A string with a length in front; undefined where it is too long to keep. */
  async string(what: string): Promise<string | undefined> {
    const length = (await this.scalar(UINT64, what)) as number;
    if (length > MAX_KEPT_STRING) {
      this.skip(length, what);
      return undefined;
    }
    const at = this.#take(length) ?? (await this.#load(length, what));
    return this.#text.decode(new Uint8Array(this.#window.buffer, at, length));
  }

  /** Vocabularies have hundreds of thousands of strings: awaits only where the window ends. */
  async strings(count: number, what: string): Promise<string[]> {
    const strings: string[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.#take(8) ?? (await this.#load(8, what));
      const length = Number(this.#window.getBigUint64(at, true));
      if (length > MAX_KEPT_STRING) this.fail(`damaged: ${what} holds a string of more than ${MAX_KEPT_STRING} bytes`);
      const start = this.#take(length) ?? (await this.#load(length, what));
      strings.push(this.#text.decode(new Uint8Array(this.#window.buffer, start, length)));
    }
    return strings;
  }

  /** A string that may not be longer than `max` bytes. */
  async name(what: string, max: number): Promise<string> {
    const start = this.position;
    const name = await this.string(what);
    if (name === undefined || this.position - start - 8 > max) {
      this.fail(`damaged: ${what} is longer than ${max} bytes`);
    }
    return name;
  }

  /** As `strings`. */
  async skipStrings(count: number, what: string): Promise<void> {
    for (let i = 0; i < count; i++) {
      const at = this.#take(8) ?? (await this.#load(8, what));
      this.skip(Number(this.#window.getBigUint64(at, true)), what);
    }
  }

  skip(bytes: number, what: string): void {
    this.#check(bytes, what);
    this.position += bytes;
  }

  /** Where the next bytes are in the window, or undefined if they are not all in it. */
  #take(bytes: number): number | undefined {
    const at = this.position - this.#windowStart;
    if (at + bytes > this.#window.byteLength) return undefined;
    this.position += bytes;
    return at;
  }

  async #load(bytes: number, what: string): Promise<number> {
    this.#check(bytes, what);
    const end = Math.min(this.position + Math.max(bytes, WINDOW), this.fileSize);
    this.#window = new DataView(await this.#blob.slice(this.position, end).arrayBuffer());
    this.#windowStart = this.position;
    this.position += bytes;
    return 0;
  }

  #check(bytes: number, what: string): void {
    const end = this.position + bytes;
    if (end > this.fileSize) {
      this.fail(`truncated: ${what} ends at byte ${end} but the file has ${this.fileSize}`);
    }
    if (end > MAX_HEADER) this.fail(`damaged: ${what} ends at byte ${end}, and a header has ${MAX_HEADER} at most`);
  }
}
