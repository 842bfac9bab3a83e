/** A file made of chunks that are loaded when they are read: for browsers that can store ArrayBuffers but not Blobs. */

/** A stretch of a file that can only be loaded as a whole. */
export interface LazyChunk {
  /** Bytes. */
  size: number;
  load(): Promise<ArrayBuffer>;
}

/** Bytes of a chunk of `stream()`. */
const STREAM_CHUNK = 1024 * 1024;

/** JavaScript can read it like any File, but the browser itself (`URL.createObjectURL`) sees an empty one. */
export class LazyFile extends File {
  readonly #chunks: readonly LazyChunk[];
  readonly #start: number;
  readonly #end: number;

  constructor(chunks: readonly LazyChunk[], name = '', start = 0, end = sum(chunks)) {
    super([], name);
    this.#chunks = chunks;
    this.#start = start;
    this.#end = end;
  }

  /** Joins Blobs into one file, which reads them when it is read. */
  static join(blobs: readonly Blob[], name: string): File {
    // The browser's own File is lazy too, but takes a LazyFile for an empty one.
    if (!blobs.some((blob) => blob instanceof LazyFile)) return new File([...blobs], name);
    return new LazyFile(
      blobs.flatMap((blob) =>
        blob instanceof LazyFile && blob.size === sum(blob.#chunks)
          ? blob.#chunks
          : [{ size: blob.size, load: () => blob.arrayBuffer() }],
      ),
      name,
    );
  }

  override get size(): number {
    return this.#end - this.#start;
  }

  override slice(start = 0, end = this.size): LazyFile {
    const from = this.#start + clamp(start, this.size);
    return new LazyFile(this.#chunks, this.name, from, Math.max(from, this.#start + clamp(end, this.size)));
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    let chunkStart = 0;
    for (const chunk of this.#chunks) {
      const from = Math.max(this.#start, chunkStart);
      const to = Math.min(this.#end, chunkStart + chunk.size);
      if (from < to) {
        const loaded = new Uint8Array(await chunk.load(), from - chunkStart, to - from);
        bytes.set(loaded, from - this.#start);
      }
      chunkStart += chunk.size;
    }
    return bytes.buffer;
  }

  override async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer());
  }

  override async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    let at = 0;
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        if (at < this.size) controller.enqueue(await this.slice(at, at + STREAM_CHUNK).bytes());
        at += STREAM_CHUNK;
        if (at >= this.size) controller.close();
      },
    });
  }
}

/** `load`, but its last result is kept for as long as the garbage collector allows: readers go forward in small steps. */
export function remembering(load: () => Promise<ArrayBuffer>): () => Promise<ArrayBuffer> {
  let last: WeakRef<ArrayBuffer> | undefined;
  return async () => {
    const known = last?.deref();
    if (known) return known;
    const buffer = await load();
    last = new WeakRef(buffer);
    return buffer;
  };
}

function clamp(position: number, size: number): number {
  return position < 0 ? Math.max(0, size + position) : Math.min(position, size);
}

function sum(chunks: readonly LazyChunk[]): number {
  return chunks.reduce((total, chunk) => total + chunk.size, 0);
}
