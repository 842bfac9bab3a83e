/** Verified pieces in IndexedDB, one Blob each, or in memory where the browser stores none. */
import { delMany, get, getMany, set, type UseStore } from 'idb-keyval';
import { LlamatabError } from '../errors.ts';
import type { CatalogPiece } from './models.ts';

export type StorageEstimator = () => Promise<StorageEstimate>;

/** Milliseconds for reading a byte from the disk, which takes 2 to 7; a disk that has to spin up, seconds. */
const PROBE_TIMEOUT = 5000;

export class PieceStorage {
  readonly #database: UseStore;
  readonly #estimate: StorageEstimator;
  /** Pieces that IndexedDB refused: kept as long as this worker lives. */
  readonly #memory = new Map<string, Blob>();
  #warned = false;

  constructor(database: UseStore, estimate: StorageEstimator = () => navigator.storage.estimate()) {
    this.#database = database;
    this.#estimate = estimate;
  }

  /** Bytes of these pieces that are stored, by their records; whether they can be read is not tried. */
  async size(pieces: readonly CatalogPiece[]): Promise<number> {
    let blobs: unknown[] = [];
    try {
      blobs = await getMany<unknown>(pieces.map(keyOf), this.#database);
    } catch (error) {
      this.#warnOnce(error);
    }
    return pieces
      .filter((piece, i) => this.#memory.has(piece.sha256 ?? '') || isPiece(blobs[i], piece))
      .reduce((total, piece) => total + piece.size, 0);
  }

  /** A piece as a lazy Blob; undefined if it is not stored, or its record is but its bytes are gone. */
  async get(piece: CatalogPiece): Promise<Blob | undefined> {
    const kept = this.#memory.get(piece.sha256 ?? '');
    if (kept !== undefined) return kept;
    let blob: unknown;
    try {
      blob = await get<unknown>(keyOf(piece), this.#database);
    } catch (error) {
      this.#warnOnce(error);
    }
    return isPiece(blob, piece) && (await isReadable(blob)) ? blob : undefined;
  }

  /**
   * Stores a verified piece; once this resolves, it survives a killed browser.
   * @throws LlamatabError `unavailable_error` with the numbers if the browser grants no more space.
   */
  async put(piece: CatalogPiece, blob: Blob): Promise<void> {
    try {
      await set(keyOf(piece), blob, this.#database);
    } catch (error) {
      if (error instanceof Error && error.name === 'QuotaExceededError') throw await this.#noSpace(piece, error);
      // Private windows of Safari and of older Firefoxes refuse Blobs, or IndexedDB as a whole.
      this.#warnOnce(error);
      this.#memory.set(piece.sha256 ?? '', blob);
    }
  }

  /** Deletes pieces; those that are not there are no error. */
  async delete(pieces: readonly CatalogPiece[]): Promise<void> {
    const inDatabase = pieces.filter((piece) => !this.#memory.delete(piece.sha256 ?? ''));
    // A browser without IndexedDB has nothing there to delete.
    if (inDatabase.length === 0) return;
    try {
      await delMany(inDatabase.map(keyOf), this.#database);
    } catch (error) {
      throw new LlamatabError('server_error', `The browser could not delete the model: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #noSpace(piece: CatalogPiece, cause: unknown): Promise<LlamatabError> {
    let numbers = '';
    try {
      const { usage = 0, quota = 0 } = await this.#estimate();
      numbers = ` It counts ${megabytes(usage)} of ${megabytes(quota)} used; if that looks like enough, the disk itself is full.`;
    } catch {
      // Not offered in this browser: the message does without.
    }
    return new LlamatabError(
      'unavailable_error',
      `The browser has no space for the next ${megabytes(piece.size)} of the model.${numbers} ` +
        'Delete other models of this site, or free space on the disk, and try again: what is complete stays stored.',
      { cause },
    );
  }

  #warnOnce(error: unknown): void {
    if (this.#warned) return;
    this.#warned = true;
    console.warn(
      `llamatab: IndexedDB does not take the model (${messageOf(error)}): it stays in memory and is downloaded again on the next visit`,
    );
  }
}

/** By content: a catalog that changes never mixes versions, and models that share a piece store it once. */
function keyOf(piece: CatalogPiece): string {
  return `piece:${piece.sha256 ?? ''}`;
}

function isPiece(value: unknown, piece: CatalogPiece): value is Blob {
  return value instanceof Blob && value.size === piece.size;
}

/**
 * Whether the file behind a stored Blob is there as a whole. Browsers hand out a Blob from its record alone; that its file is
 * gone (cleared by hand, evicted, a damaged disk) or shortened shows only when that end is read. Chromium 156 rejects if the
 * file is gone, and never settles if the slice lies behind the file's end.
 */
async function isReadable(blob: Blob): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), PROBE_TIMEOUT);
  });
  const ends = [blob.slice(0, 1), blob.slice(-1)].map((end) => end.arrayBuffer());
  const read = Promise.all(ends).then(
    () => true,
    () => false,
  );
  const readable = await Promise.race([read, late]);
  clearTimeout(timer);
  return readable;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
