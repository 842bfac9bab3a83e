/**
 * Keeps verified parts in IndexedDB by their content, or in memory if the browser stores nothing.
 *
 * Keys: `piece:<sha256>` is a part's Blob (or, where the browser refuses Blobs, a note that `bytes:<sha256>` is its
 * ArrayBuffer). `part:<key>` acknowledges a part whose hash was not known in advance, and holds it. Both are written in
 * one transaction, so that a part is acknowledged if, and only if, it is there. Keys are hashes of the content, so that a change of
 * the catalog never mixes versions, and models that share a part store it once.
 */
import { delMany, get, getMany, promisifyRequest, setMany, type UseStore } from 'idb-keyval';
import { LlamatabError } from '../errors.ts';
import { messageOf } from './http.ts';
import { LazyFile, remembering } from './lazy-file.ts';
import type { Part } from './parts-layout.ts';

/** What the storage needs to know about a part. */
export type PartKey = Pick<Part, 'key' | 'sha256' | 'size'>;

/** What is stored in a Blob's place if the browser refuses Blobs. */
interface BufferNote {
  buffer: true;
  size: number;
}

/** A stored part: the hash that its bytes are found by. */
export interface StoredPart {
  sha256: string;
  size: number;
}

/** Milliseconds for reading a byte from the disk. It takes 2 to 7, but seconds if the disk has to spin up. */
const PROBE_TIMEOUT = 5000;

export class PartStorage {
  readonly #database: UseStore;
  /** Parts that IndexedDB refused: kept as long as this worker lives. By hash. */
  readonly #memory = new Map<string, Blob>();
  /** Of those, the hashes that were not known in advance. By the part's key. */
  readonly #memoryHashes = new Map<string, string>();
  #form: 'blob' | 'buffer' | 'memory' = 'blob';
  /** Whether IndexedDB has ever worked here. If so, what it holds is not given up for a failure: it would be fetched again. */
  #worked = false;

  constructor(database: UseStore) {
    this.#database = database;
  }

  /** Where this browser keeps parts, as far as it is known by now. */
  get kept(): 'disk' | 'memory' {
    return this.#form === 'memory' ? 'memory' : 'disk';
  }

  /**
   * Those of the parts that are acknowledged, by their keys. It asks for keys only, because a Blob that is read keeps its file on
   * the disk until it is collected, even if it is deleted. Only `get` finds out whether the bytes are there.
   */
  async stored(parts: readonly PartKey[]): Promise<Map<string, StoredPart>> {
    const hashes = await this.hashes(parts);
    const known = parts.flatMap(({ key, size }) => {
      const sha256 = hashes.get(key);
      return sha256 === undefined ? [] : [{ key, sha256, size }];
    });
    const there = await this.#have(known.map(({ sha256 }) => blobKey(sha256)));
    return new Map(
      known
        .filter(({ sha256 }, i) => this.#memory.has(sha256) || there[i])
        .map(({ key, sha256, size }) => [key, { sha256, size }]),
    );
  }

  /** Bytes of the parts that are acknowledged. */
  async storedSize(parts: readonly PartKey[]): Promise<number> {
    return [...(await this.stored(parts)).values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** The hash of each part that has one: the published hash, or that of the bytes that were downloaded. */
  async hashes(parts: readonly Pick<Part, 'key' | 'sha256'>[]): Promise<Map<string, string>> {
    const unknown = parts.filter((part) => part.sha256 === undefined);
    const acknowledged = await this.#getMany(unknown.map(partKey));
    const hashes = new Map<string, string>();
    for (const { key, sha256 } of parts) if (sha256 !== undefined) hashes.set(key, sha256);
    for (const [i, { key }] of unknown.entries()) {
      const hash = acknowledged[i] ?? this.#memoryHashes.get(key);
      if (typeof hash === 'string') hashes.set(key, hash);
    }
    return hashes;
  }

  /** A part as a lazy Blob; undefined if it is not stored, or if its bytes are gone though it is recorded. */
  async get({ sha256, size }: StoredPart): Promise<Blob | undefined> {
    const kept = this.#memory.get(sha256);
    if (kept !== undefined) return kept;
    const [value] = await this.#getMany([blobKey(sha256)]);
    if (!isStored(value, size)) return undefined;
    if (value instanceof Blob) return (await isReadable(value)) ? value : undefined;
    const load = remembering(async () => {
      const buffer = await get<unknown>(bufferKey(sha256), this.#database);
      if (buffer instanceof ArrayBuffer && buffer.byteLength === size) return buffer;
      throw new LlamatabError(
        'unavailable_error',
        'A part of the model is gone from the browser: load the model again.',
      );
    });
    return new LazyFile([{ size, load }]);
  }

  /**
   * Stores and acknowledges a verified part; once this resolves, it survives a killed browser.
   * @throws the browser's QuotaExceededError
   */
  async put(part: Pick<Part, 'key' | 'sha256'>, sha256: string, blob: Blob): Promise<void> {
    const acknowledgement: [string, unknown][] = part.sha256 === undefined ? [[partKey(part), sha256]] : [];
    if (this.#form === 'blob') {
      try {
        await setMany([[blobKey(sha256), blob], ...acknowledgement], this.#database);
        this.#worked = true;
        return;
      } catch (error) {
        if (isQuotaExceeded(error)) throw error;
        // Private windows of Safari refuse Blobs; those of older Firefoxes refuse IndexedDB altogether.
        this.#form = 'buffer';
        console.warn(`llamatab: the browser stores no Blobs here (${messageOf(error)}); trying ArrayBuffers`);
      }
    }
    if (this.#form === 'buffer') {
      try {
        const note: BufferNote = { buffer: true, size: blob.size };
        const entries: [string, unknown][] = [
          [bufferKey(sha256), await blob.arrayBuffer()],
          [blobKey(sha256), note],
        ];
        return await setMany([...entries, ...acknowledgement], this.#database);
      } catch (error) {
        if (isQuotaExceeded(error)) throw error;
        this.#warnMemory(error);
      }
    }
    this.#memory.set(sha256, blob);
    if (part.sha256 === undefined) this.#memoryHashes.set(part.key, sha256);
  }

  /** Deletes bytes and acknowledgements, as far as they are there. */
  async delete(hashes: readonly string[], parts: readonly Pick<Part, 'key' | 'sha256'>[]): Promise<void> {
    const inDatabase = hashes.filter((hash) => !this.#memory.delete(hash));
    const acknowledged = parts.filter((part) => part.sha256 === undefined && !this.#memoryHashes.delete(part.key));
    const keys = [...inDatabase.flatMap((hash) => [blobKey(hash), bufferKey(hash)]), ...acknowledged.map(partKey)];
    // A browser without IndexedDB has nothing there to delete.
    if (keys.length === 0) return;
    try {
      await delMany(keys, this.#database);
    } catch (error) {
      throw new LlamatabError('server_error', `The browser could not delete the model: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #have(keys: string[]): Promise<boolean[]> {
    const counts = await this.#read(keys, () =>
      this.#database('readonly', (store) => Promise.all(keys.map((key) => promisifyRequest(store.count(key))))),
    );
    return counts.map((count) => count > 0);
  }

  #getMany(keys: string[]): Promise<unknown[]> {
    return this.#read(keys, () => getMany<unknown>(keys, this.#database));
  }

  /** @returns nothing where IndexedDB has never worked. @throws LlamatabError if it did work, and has failed now */
  async #read<T>(keys: string[], read: () => Promise<T[]>): Promise<T[]> {
    if (keys.length === 0 || (this.#form === 'memory' && !this.#worked)) return [];
    try {
      const values = await read();
      this.#worked = true;
      return values;
    } catch (error) {
      if (this.#worked) {
        throw new LlamatabError(
          'unavailable_error',
          `The browser's database can't be read now (${messageOf(error)}). What it holds is not lost: try again, or reload the page.`,
          { cause: error },
        );
      }
      this.#warnMemory(error);
      return [];
    }
  }

  #warnMemory(error: unknown): void {
    if (this.#form === 'memory') return;
    this.#form = 'memory';
    console.warn(
      `llamatab: IndexedDB does not take the model (${messageOf(error)}): it stays in memory and is downloaded again on the next visit`,
    );
  }
}

export function isQuotaExceeded(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

/** `piece` is what the first version called a part. The key stays, since existing stores have it. */
function blobKey(sha256: string): string {
  return `piece:${sha256}`;
}

function bufferKey(sha256: string): string {
  return `bytes:${sha256}`;
}

function partKey({ key }: { key: string }): string {
  return `part:${key}`;
}

function isStored(value: unknown, size: number): value is Blob | BufferNote {
  if (value instanceof Blob) return value.size === size;
  return typeof value === 'object' && value !== null && 'buffer' in value && (value as BufferNote).size === size;
}

/**
 * Whether the whole file behind a stored Blob is there. Browsers make a Blob from its record alone; only reading both ends shows
 * that its file is gone (cleared by hand, evicted, lost with the disk) or shortened. Chromium 156 rejects if the file is gone, and
 * never settles if the slice lies behind the file's end.
 */
async function isReadable(blob: Blob): Promise<boolean> {
  const ends = [blob.slice(0, 1), blob.slice(-1)].map((end) => end.arrayBuffer());
  return within(PROBE_TIMEOUT, Promise.all(ends)).then(
    () => true,
    () => false,
  );
}

/** `promise`, or a rejection after so many milliseconds: see `isReadable`. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the browser does not give its bytes')), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
