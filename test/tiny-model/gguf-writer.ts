/** Writes GGUF files, version 3, as much of the format as tests need. */

/** Numbers of the metadata value types. */
const UINT8 = 0;
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

const ALIGNMENT = 32;
/** ggml's number of F32. */
const F32 = 0;

export type MetadataValue =
  | { uint32: number }
  | { float32: number }
  | { bool: boolean }
  | { string: string }
  | { strings: readonly string[] }
  | { int32s: readonly number[] }
  | { float32s: readonly number[] }
  | { uint8s: Uint8Array };

export interface Tensor {
  name: string;
  /** The fastest-varying dimension first. */
  dims: readonly number[];
  data: Float32Array;
}

/** A tensor of another type than F32, as it is in the file. */
export interface QuantizedTensor {
  name: string;
  dims: readonly number[];
  /** ggml's number. */
  type: number;
  bytes: Uint8Array;
}

/** The bytes of a GGUF file. */
export function writeGguf(
  metadata: Readonly<Record<string, MetadataValue>>,
  tensors: readonly (Tensor | QuantizedTensor)[],
): Uint8Array<ArrayBuffer> {
  const header = new ByteWriter();
  header.raw(new TextEncoder().encode('GGUF'));
  header.uint32(3);
  header.uint64(tensors.length);
  header.uint64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    header.string(key);
    writeValue(header, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dims } = tensor;
    header.string(name);
    header.uint32(dims.length);
    for (const dim of dims) header.uint64(dim);
    header.uint32('data' in tensor ? F32 : tensor.type);
    header.uint64(offset);
    offset = align(offset + ('data' in tensor ? tensor.data : tensor.bytes).byteLength);
  }
  const file = new ByteWriter();
  file.raw(header.bytes());
  for (const tensor of tensors) {
    file.pad(ALIGNMENT);
    if ('bytes' in tensor) file.raw(tensor.bytes);
    else for (const value of tensor.data) file.float32(value);
  }
  return file.bytes();
}

function writeValue(writer: ByteWriter, value: MetadataValue): void {
  if ('uint32' in value) {
    writer.uint32(UINT32);
    writer.uint32(value.uint32);
  } else if ('float32' in value) {
    writer.uint32(FLOAT32);
    writer.float32(value.float32);
  } else if ('bool' in value) {
    writer.uint32(BOOL);
    writer.raw([value.bool ? 1 : 0]);
  } else if ('string' in value) {
    writer.uint32(STRING);
    writer.string(value.string);
  } else if ('strings' in value) {
    writer.uint32(ARRAY);
    writer.uint32(STRING);
    writer.uint64(value.strings.length);
    for (const string of value.strings) writer.string(string);
  } else if ('uint8s' in value) {
    writer.uint32(ARRAY);
    writer.uint32(UINT8);
    writer.uint64(value.uint8s.length);
    writer.raw(value.uint8s);
  } else if ('float32s' in value) {
    writer.uint32(ARRAY);
    writer.uint32(FLOAT32);
    writer.uint64(value.float32s.length);
    for (const float of value.float32s) writer.float32(float);
  } else {
    writer.uint32(ARRAY);
    writer.uint32(INT32);
    writer.uint64(value.int32s.length);
    for (const int of value.int32s) writer.uint32(int);
  }
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

/** Little-endian values into a buffer that grows. */
class ByteWriter {
  #buffer = new ArrayBuffer(64 * 1024);
  #length = 0;

  raw(bytes: ArrayLike<number>): void {
    const at = this.#grow(bytes.length);
    new Uint8Array(this.#buffer).set(bytes, at);
  }

  uint32(value: number): void {
    const at = this.#grow(4);
    new DataView(this.#buffer).setUint32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#grow(8);
    new DataView(this.#buffer).setBigUint64(at, BigInt(value), true);
  }

  float32(value: number): void {
    const at = this.#grow(4);
    new DataView(this.#buffer).setFloat32(at, value, true);
  }

  string(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.uint64(bytes.length);
    this.raw(bytes);
  }

  pad(alignment: number): void {
    this.#grow((alignment - (this.#length % alignment)) % alignment);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer.slice(0, this.#length));
  }

  /** Makes room for more bytes and says where they go. */
  #grow(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.byteLength) {
      const larger = new ArrayBuffer(Math.max(this.#length, this.#buffer.byteLength * 2));
      new Uint8Array(larger).set(new Uint8Array(this.#buffer));
      this.#buffer = larger;
    }
    return at;
  }
}
