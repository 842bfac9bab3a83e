/** What the store remembers about each model besides its bytes: one record under `model:<scope> <id>`. */
import { del, get, getMany, keys, set, type UseStore, update } from 'idb-keyval';
import type { ErrorType } from '../errors.ts';
import { ERROR_STATUS } from '../errors.ts';
import type { CatalogModel } from './models.ts';
import { isQuotaExceeded } from './part-storage.ts';
import type { Part, PartsLayout, WholeHash } from './parts-layout.ts';

export interface ModelRecord {
  version: 1;
  /** That of the layout that the parts belong to. */
  fingerprint: string;
  /** All parts that may be stored for it, so that they can be deleted without its catalog. */
  parts: { key: string; sha256?: string; size: number }[];
  /** Keys of running hashes and of servers' validators, for the same reason. */
  hashes: string[];
  pieces: string[];
  /**
   * The manifest: the hash of each part, in the layout's order. Written last, once all parts are stored and verified to be a
   * model.
   */
  complete?: string[];
  /** Why the last attempt ended. */
  error?: { type: ErrorType; message: string };
  pinned: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number | null;
  /** The catalog entry, if the user added the model. */
  own?: CatalogModel;
}

/**
 * The scope of models that the user added, for all sites of this origin. The scope of a site's models is the URL of their
 * catalog.
 */
export const OWN = 'own';

const PREFIX = 'model:';

export class Records {
  readonly #database: UseStore;
  /** Used if IndexedDB is refused. It lasts as long as this worker. */
  readonly #memory = new Map<string, ModelRecord>();

  constructor(database: UseStore) {
    this.#database = database;
  }

  async get(key: string): Promise<ModelRecord | undefined> {
    try {
      return parse(await get<unknown>(PREFIX + key, this.#database)) ?? this.#memory.get(key);
    } catch {
      return this.#memory.get(key);
    }
  }

  /** Every record, by its key. */
  async all(): Promise<Map<string, ModelRecord>> {
    const records = new Map(this.#memory);
    try {
      const names = (await keys<string>(this.#database)).filter((name) => name.startsWith(PREFIX));
      const values = await getMany<unknown>(names, this.#database);
      for (const [i, name] of names.entries()) {
        const record = parse(values[i]);
        if (record !== undefined) records.set(name.slice(PREFIX.length), record);
      }
    } catch {
      // Without IndexedDB, the records in memory are all there is.
    }
    return records;
  }

  /** Changes a record, which is made if there is none, in one transaction. @throws the browser's QuotaExceededError */
  async change(key: string, change: (record: ModelRecord) => ModelRecord): Promise<void> {
    try {
      await update<unknown>(PREFIX + key, (old) => change(parse(old) ?? empty()), this.#database);
    } catch (error) {
      if (isQuotaExceeded(error)) throw error;
      // There is no IndexedDB here.
      this.#memory.set(key, change(this.#memory.get(key) ?? empty()));
    }
  }

  async delete(key: string): Promise<void> {
    this.#memory.delete(key);
    await quietly(() => del(PREFIX + key, this.#database));
  }
}

/** What a record keeps of a layout. */
export function ofLayout(layout: PartsLayout): Pick<ModelRecord, 'fingerprint' | 'parts' | 'hashes' | 'pieces'> {
  return {
    fingerprint: layout.fingerprint,
    parts: layout.parts.map(({ key, sha256, size }) => ({ key, size, ...(sha256 === undefined ? {} : { sha256 }) })),
    hashes: layout.hashes.map(({ key }: WholeHash) => key),
    pieces: layout.files.flatMap((file) => file.pieces.map((piece) => piece.key)),
  };
}

/** Whether the whole model was stored and verified, in the version that the layout describes. */
export function isComplete(
  record: ModelRecord | undefined,
  layout: PartsLayout,
): record is ModelRecord & { complete: string[] } {
  return record?.complete?.length === layout.parts.length && record.fingerprint === layout.fingerprint;
}

/** The parts of a record, as the storage needs them. */
export function partsOf(record: ModelRecord): Pick<Part, 'key' | 'sha256' | 'size'>[] {
  return record.parts.map(({ key, sha256, size }) => ({ key, sha256, size }));
}

function empty(): ModelRecord {
  return { version: 1, fingerprint: '', parts: [], hashes: [], pieces: [], pinned: false, lastUsed: null };
}

/** A record as this version of the store writes it. Undefined for anything else: then only the parts tell what is stored. */
function parse(value: unknown): ModelRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as ModelRecord;
  const isRecord =
    record.version === 1 &&
    typeof record.fingerprint === 'string' &&
    isListOf(record.parts, isPart) &&
    isListOf(record.hashes, isText) &&
    isListOf(record.pieces, isText) &&
    (record.complete === undefined || isListOf(record.complete, isText)) &&
    (record.error === undefined || (isText(record.error.message) && record.error.type in ERROR_STATUS)) &&
    typeof record.pinned === 'boolean' &&
    (record.lastUsed === null || typeof record.lastUsed === 'number') &&
    (record.own === undefined || typeof record.own === 'object');
  return isRecord ? record : undefined;
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isPart(value: unknown): boolean {
  const part = value as ModelRecord['parts'][number] | null;
  return (
    typeof part === 'object' &&
    part !== null &&
    isText(part.key) &&
    typeof part.size === 'number' &&
    (part.sha256 === undefined || isText(part.sha256))
  );
}

/** What a server said of a piece when its first part came: stored under `validators:<key>`. */
export class ValidatorStorage {
  readonly #database: UseStore;
  constructor(database: UseStore) {
    this.#database = database;
  }
  get = (pieceKey: string) => quietly(() => get<unknown>(`validators:${pieceKey}`, this.#database));
  set = (pieceKey: string, validators: object) =>
    quietly(() => set(`validators:${pieceKey}`, validators, this.#database));
  delete = (pieceKey: string) => quietly(() => del(`validators:${pieceKey}`, this.#database));
}

/** For what is good to have but not worth failing for. Without IndexedDB, idb-keyval throws even before it returns a promise. */
export async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}
