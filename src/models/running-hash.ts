/**
 * SHA-256 of a file that comes in parts, perhaps over several visits. SubtleCrypto can't do that: it needs all bytes in memory at
 * once, and its state can't be stored.
 */
import { createSHA256, type IHasher } from 'hash-wasm';
import { del, get, set, type UseStore } from 'idb-keyval';
import type { WholeHash } from './parts-layout.ts';
import { quietly } from './records.ts';

/** Bytes hashed at once. In between, other work of this worker gets its turn. */
const STEP = 4 * 1024 * 1024;

/** How far the hash has come, as it is stored under `hash:<key>`. */
interface HashState {
  /** Parts that are in it. */
  parts: number;
  /** hash-wasm's state. It names the version of its format, and other versions refuse it. */
  state: Uint8Array;
}

export class RunningHash {
  readonly whole: WholeHash;
  readonly #database: UseStore;
  readonly #hasher: IHasher;
  #parts: number;

  private constructor(whole: WholeHash, database: UseStore, hasher: IHasher, parts: number) {
    this.whole = whole;
    this.#database = database;
    this.#hasher = hasher;
    this.#parts = parts;
  }

  /** Goes on with the hash where the last visit left off. */
  static async open(whole: WholeHash, database: UseStore): Promise<RunningHash> {
    const hasher = await createSHA256();
    let parts = 0;
    try {
      const stored = await get<HashState>(keyOf(whole), database);
      if (stored !== undefined && stored.parts <= whole.parts.length) {
        hasher.load(stored.state);
        parts = stored.parts;
      }
    } catch {
      // The state is of another version, or there is no IndexedDB: it starts from the beginning.
    }
    if (parts === 0) hasher.init();
    return new RunningHash(whole, database, hasher, parts);
  }

  /** Index of the part that comes next; the number of parts when all are in. */
  get next(): number {
    return this.#parts;
  }

  /** Hashes the next part and keeps the state. */
  async add(part: Blob): Promise<void> {
    for (let at = 0; at < part.size; at += STEP) {
      this.#hasher.update(new Uint8Array(await part.slice(at, at + STEP).arrayBuffer()));
    }
    this.#parts++;
    const state: HashState = { parts: this.#parts, state: this.#hasher.save() };
    // If this fails, the next visit has to hash again.
    await quietly(() => set(keyOf(this.whole), state, this.#database));
  }

  /** The hash of all parts, in hexadecimal. May be called once. */
  digest(): string {
    return this.#hasher.digest();
  }

  static async forget(whole: Pick<WholeHash, 'key'>, database: UseStore): Promise<void> {
    await quietly(() => del(keyOf(whole), database));
  }
}

function keyOf({ key }: Pick<WholeHash, 'key'>): string {
  return `hash:${key}`;
}
