/** Reads a model's file once: hashes it as the store will verify it, and cuts it into pieces if it is too long for the host. */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { CatalogFile, CatalogPiece } from '../models/models.ts';
import { PART_SIZE } from '../models/parts-layout.ts';

/** Where a file's bytes come from. */
export interface Source {
  name: string;
  /** Bytes. */
  size: number;
  stream(): AsyncIterable<Uint8Array>;
}

/** Where a piece goes, and what the catalog calls it. */
export interface Target {
  /** Null to leave the bytes where they are. */
  path: string | null;
  url: string;
}

/** Sizes of a file's pieces: as few as possible, all of the same size but the last. */
export function cut(size: number, limit: number): number[] {
  const count = Math.max(1, Math.ceil(size / limit));
  const length = count === 1 ? size : limit;
  return Array.from({ length: count }, (_, i) => Math.min(length, size - i * length));
}

/**
 * Reads the file to its end, and writes the pieces that have a place to go.
 *
 * @param targets One for each of `sizes`.
 * @throws Error if it does not have `size` bytes
 */
export async function hashAndWrite(
  source: Source,
  sizes: readonly number[],
  targets: readonly Target[],
  onBytes: (read: number) => void = () => {},
): Promise<CatalogFile> {
  const whole = createHash('sha256');
  const pieces: CatalogPiece[] = [];
  let read = 0;
  let writer = await PieceWriter.open(sizes[0] ?? 0, targets[0]);
  try {
    for await (const chunk of source.stream()) {
      whole.update(chunk);
      read += chunk.length;
      if (read > source.size) throw wrongLength(source, `more than ${source.size}`);
      for (let at = 0; at < chunk.length; ) {
        at += await writer.write(chunk.subarray(at));
        if (writer.left === 0 && pieces.length < sizes.length - 1) {
          pieces.push(await writer.close());
          writer = await PieceWriter.open(sizes[pieces.length] ?? 0, targets[pieces.length]);
        }
      }
      onBytes(read);
    }
    if (read < source.size) throw wrongLength(source, `${read}`);
  } finally {
    await writer.end();
  }
  pieces.push(await writer.close());
  return { name: source.name, size: source.size, sha256: whole.digest('hex'), pieces };
}

function wrongLength({ name, size }: Source, came: string): Error {
  return new Error(`${name} has ${came} bytes; it should have ${size}. Was it changed, or cut off, while it was read?`);
}

class PieceWriter {
  left: number;
  readonly #size: number;
  readonly #url: string;
  readonly #file: FileHandle | null;
  readonly #hash = createHash('sha256');
  /** The hash of each stretch of `PART_SIZE`. */
  readonly #parts: string[] = [];
  #part: Hash = createHash('sha256');
  #ended = false;

  private constructor(size: number, url: string, file: FileHandle | null) {
    this.left = size;
    this.#size = size;
    this.#url = url;
    this.#file = file;
  }

  static async open(size: number, target: Target | undefined): Promise<PieceWriter> {
    const file = target?.path ? await open(target.path, 'w') : null;
    return new PieceWriter(size, target?.url ?? '', file);
  }

  /** Takes as much of the chunk as fits. @returns how many bytes that is */
  async write(chunk: Uint8Array): Promise<number> {
    const partLeft = PART_SIZE - ((this.#size - this.left) % PART_SIZE);
    const taken = chunk.subarray(0, Math.min(this.left, partLeft));
    await this.#file?.writeFile(taken);
    this.#hash.update(taken);
    this.#part.update(taken);
    this.left -= taken.length;
    if (taken.length === partLeft) this.#endPart();
    return taken.length;
  }

  #endPart(): void {
    this.#parts.push(this.#part.digest('hex'));
    this.#part = createHash('sha256');
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#file?.close();
  }

  async close(): Promise<CatalogPiece> {
    await this.end();
    if (this.#size % PART_SIZE !== 0) this.#endPart();
    const parts = this.#size > PART_SIZE ? { parts: this.#parts } : {};
    return { url: this.#url, size: this.#size, sha256: this.#hash.digest('hex'), ...parts };
  }
}
