/** Reads the little-endian values of a GGUF header, and only as much of the file as it needs. It trusts no length. */
import { LlamatabError } from '../errors.ts';

/** What a header is read from: a Blob, or a file on a server. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** Bytes. The largest vocabularies with their merges (580,000) make headers of 20 MB. */
export const MAX_HEADER = 128 * 1024 * 1024;
/** Bytes. Chat templates reach 100 KB; what is longer (a whole `tokenizer.json`) is of no use here. */
const MAX_KEPT_STRING = 1024 * 1024;
/** Bytes read at once: a slice of a stored Blob costs 2 to 7 ms whatever its length. */
const WINDOW = 1024 * 1024;

/** Metadata value types, and the bytes of those with a fixed length. */
const UINT8 = 0;
const INT8 = 1;
const UINT16 = 2;
const INT16 = 3;
export const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
export const STRING = 8;
export const ARRAY = 9;
export const UINT64 = 10;
const INT64 = 11;
const FLOAT64 = 12;
export const VALUE_SIZE: Readonly<Record<number, number>> = {
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

/** Reads through a window that moves forward. */
export class HeaderReader {
  position = 0;
  readonly fileSize: number;
  readonly #blob: ByteSource;
  readonly #name: string;
  /** A token may be U+FEFF, which is not a byte order mark here. */
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

  /** The first bytes: enough to say what the file is if it is not a GGUF. */
  async peekStart(): Promise<Uint8Array> {
    return new Uint8Array(await this.#blob.slice(0, 32).arrayBuffer());
  }

  /** A 64-bit count of things that follow. */
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

  /** A string, which is preceded by its length; undefined if it is too long to keep. */
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
