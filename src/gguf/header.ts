/**
 * Reads the header of a GGUF file: what the file says about itself, and how long it has to be.
 *
 * It stands between a download and the engine, so the bytes are not trusted: every count is capped, every length is
 * checked against the file, and long lists (vocabularies, merges) are skipped unless they are asked for. Only the header is
 * read, slice by slice, never the tensors' data.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It refuses what llama.cpp's `gguf.cpp` refuses.
 */
import { ggmlType } from './ggml-types.ts';
import { ARRAY, type ByteSource, HeaderReader, MAX_HEADER, STRING, UINT32, UINT64, VALUE_SIZE } from './reader.ts';

export type GgufScalar = string | number | boolean;

export interface GgufArray {
  length: number;
  /** Null if the list was longer than `MAX_KEPT_ELEMENTS` and was not asked for. */
  values: readonly GgufScalar[] | null;
}

export type GgufValue = GgufScalar | GgufArray;

export interface GgufTensor {
  name: string;
  /** One to four numbers, the fastest-varying dimension first, as in ggml. */
  dims: number[];
  /** Number of the ggml type. */
  type: number;
  /** Bytes from `dataOffset`. */
  offset: number;
  /** Bytes; null for a type that is not in our table: whether it is valid is left to llama.cpp. */
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
/** Elements. Enough for a value per layer (llama.cpp allows 512), too few for a vocabulary. */
const MAX_KEPT_ELEMENTS = 1024;
/** Elements of a list that is asked for. The largest vocabularies have 300,000 tokens and 580,000 merges. */
const MAX_ASKED_ELEMENTS = 2 ** 20;
const DEFAULT_ALIGNMENT = 32;

const MAGIC = 0x46554747; // "GGUF", little-endian

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
  // A version is a small number, so in a big-endian file its zeros are at the wrong end; llama.cpp checks the same.
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
  // Each one alone too: in the product, a zero would hide an absurd number.
  if (![...dims, elements].every(Number.isSafeInteger)) reader.fail(`damaged: ${what} is ${dims.join(' × ')} elements`);
  const known = ggmlType(type);
  if (known === undefined) return null;
  const { blockElements, blockBytes } = known;
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
