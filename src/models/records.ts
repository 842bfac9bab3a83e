/** What the store remembers of each model beside its bytes: one record under `model:<scope> <id>`. */
import { del, get, getMany, keys, set, type UseStore, update } from 'idb-keyval';
import type { ErrorType } from '../errors.ts';
import { ERROR_STATUS } from '../errors.ts';
import type { CatalogModel } from './models.ts';
import { isQuotaExceeded } from './part-storage.ts';
import type { Part, PartsLayout, WholeHash } from './parts-layout.ts';

export interface ModelRecord {
  version: 1;
  /** Of the layout that the parts belong to. */
  fingerprint: string;
  /** All parts that may be stored for it, so that they can be deleted without its catalog. */
  parts: { key: string; sha256?: string; size: number }[];
  /** Keys of running hashes and of servers' validators, for the same reason. */
  hashes: string[];
  pieces: string[];
  /** The manifest: written last, once all is stored, verified and a model. The hash of each part, in the layout's order. */
  complete?: string[];
  /** Why the last attempt ended. */
  error?: { type: ErrorType; message: string };
  pinned: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number | null;
  /** Of a model that the user added. */
  own?: CatalogModel;
}

/** Scope of models that the user added: whatever site of this origin asks. Site's models have their catalog's URL. */
export const OWN = 'own';

const PREFIX = 'model:';

export class Records {
  readonly #database: UseStore;
  /** Where IndexedDB is refused: for as long as this worker lives. */
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
      // What is in memory is all there is.
    }
    return records;
  }

  /** Changes a record, or makes it, in one transaction. @throws the browser's QuotaExceededError */
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

/** A record's part of a layout. */
export function ofLayout(layout: PartsLayout): Pick<ModelRecord, 'fingerprint' | 'parts' | 'hashes' | 'pieces'> {
  return {
    fingerprint: layout.fingerprint,
    parts: layout.parts.map(({ key, sha256, size }) => ({ key, size, ...(sha256 === undefined ? {} : { sha256 }) })),
    hashes: layout.hashes.map(({ key }: WholeHash) => key),
    pieces: layout.files.flatMap((file) => file.pieces.map((piece) => piece.key)),
  };
}

/** Whether all of it is stored, verified and a model, and no other version of it. */
export function isComplete(
  record: ModelRecord | undefined,
  layout: PartsLayout,
): record is ModelRecord & { complete: string[] } {
  return record?.complete?.length === layout.parts.length && record.fingerprint === layout.fingerprint;
}

/** The parts of a record, as far as their storage goes. */
export function partsOf(record: ModelRecord): Pick<Part, 'key' | 'sha256' | 'size'>[] {
  return record.parts.map(({ key, sha256, size }) => ({ key, sha256, size }));
}

function empty(): ModelRecord {
  return { version: 1, fingerprint: '', parts: [], hashes: [], pieces: [], pinned: false, lastUsed: null };
}

/** A record as it was stored by this version of the store; undefined for anything else: then the parts alone tell. */
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

/** What would be good to have, but is not worth failing for. Without IndexedDB idb-keyval throws before it returns. */
export async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}
