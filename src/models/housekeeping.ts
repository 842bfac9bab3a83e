/** Looks after the space: how much is free, which models may be evicted, and how a new part finds room. */
import type { UseStore } from 'idb-keyval';
import { LlamatabError } from '../errors.ts';
import { size as showSize } from './http.ts';
import { isQuotaExceeded, type PartKey, type PartStorage } from './part-storage.ts';
import type { Part } from './parts-layout.ts';
import { type ModelRecord, partsOf, quietly, type Records, type ValidatorStorage } from './records.ts';
import { RunningHash } from './running-hash.ts';
import type { Tabs } from './tabs.ts';

/** The part of `navigator.storage` that tells how much space there is. */
export type StorageReport = Pick<StorageManager, 'estimate' | 'persisted'>;

/**
 * Milliseconds between attempts after an eviction: browsers free the space, and count it as free, some time after they have
 * said so.
 */
const SETTLING: readonly number[] = [50, 200, 800, 3000];

/** Bytes; null where the browser does not say. */
export interface Estimate {
  usage: number | null;
  quota: number | null;
  free: number | null;
}

export interface HousekeepingOptions {
  parts: PartStorage;
  records: Records;
  validators: ValidatorStorage;
  database: UseStore;
  tabs: Tabs;
  storage: StorageReport | undefined;
  /** Whether models may be evicted. */
  evict: boolean;
  /** Whether this tab is working on the model. */
  isBusy: (key: string) => boolean;
  /** A model was evicted. */
  onEvicted: (key: string) => Promise<void>;
}

/** It knows models by the keys of their records. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  async estimate(): Promise<Estimate> {
    try {
      const { usage, quota } = (await this.#options.storage?.estimate()) ?? {};
      if (usage === undefined || quota === undefined) return { usage: null, quota: null, free: null };
      return { usage, quota, free: Math.max(0, quota - usage) };
    } catch {
      return { usage: null, quota: null, free: null };
    }
  }

  /** Whether the browser promised not to delete this origin's data by itself. */
  async persisted(): Promise<boolean> {
    try {
      return (await this.#options.storage?.persisted()) ?? false;
    } catch {
      return false;
    }
  }

  /**
   * Before the first byte, so that gigabytes are not downloaded in vain.
   * @throws LlamatabError with the numbers if there is too little space
   */
  async makeRoom(missing: number, key: string): Promise<void> {
    const { free } = await this.estimate();
    if (missing === 0 || free === null || missing <= free) return;
    const freed = this.#options.evict ? (await this.evict(missing - free, key)).freed : 0;
    if (free + freed < missing) throw await this.#noSpace(`the ${showSize(missing)} that the model still needs`);
  }

  /** Stores a part. If there is no space left, it evicts other models, or throws an error with the numbers. */
  put(key: string, part: Part, hash: string, blob: Blob): Promise<void> {
    const work = () => this.#options.parts.put(part, hash, blob);
    return this.#withRoom(work, key, blob.size, `the next ${showSize(blob.size)} of the model`);
  }

  /** Changes a record as `Records.change` does, and makes space for that in the same way. */
  change(key: string, change: (record: ModelRecord) => ModelRecord): Promise<void> {
    // A browser that is full does not take even a few more bytes.
    return this.#withRoom(() => this.#options.records.change(key, change), key, 1, "the model's record");
  }

  async #withRoom(work: () => Promise<void>, key: string, bytes: number, what: string): Promise<void> {
    let delays: readonly number[] = [];
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isQuotaExceeded(error)) throw error;
        const [delay, ...rest] = delays;
        if (delay !== undefined) {
          await new Promise((resolve) => setTimeout(resolve, delay));
          delays = rest;
          continue;
        }
        const { freed } = this.#options.evict ? await this.evict(bytes, key) : { freed: 0 };
        if (freed === 0) throw await this.#noSpace(what, error);
        delays = SETTLING;
      }
    }
  }

  /** Bytes that evicting everything would free. @param key Of the model that needs them: it is not evicted itself. */
  async evictable(key: string): Promise<number> {
    let bytes = 0;
    for (const [other, record] of await this.#candidates(key)) {
      await this.#options.tabs.unlessUsed(other, async () => {
        bytes += await this.#options.parts.storedSize(partsOf(record));
      });
    }
    return bytes;
  }

  /**
   * Deletes models that are neither pinned nor used by any tab, the least recently used first, until enough is free.
   * @param key Of the model that it is for; null for none.
   */
  async evict(bytes: number, key: string | null): Promise<{ freed: number; keys: string[] }> {
    const keys: string[] = [];
    let freed = 0;
    for (const [other, record] of await this.#candidates(key)) {
      if (freed >= bytes) break;
      await this.#options.tabs.unlessUsed(other, async () => {
        const bytes = await this.deleteFiles(other, partsOf(record));
        if (bytes === 0) return;
        freed += bytes;
        keys.push(other);
        await this.#options.onEvicted(other);
      });
    }
    return { freed, keys };
  }

  async #candidates(except: string | null): Promise<[string, ModelRecord][]> {
    return [...(await this.#options.records.all())]
      .filter(([key, { pinned, parts, own }]) => {
        // A model from the user's own disk can't be downloaded again.
        const irreplaceable = own?.source?.kind === 'file';
        return key !== except && !pinned && !irreplaceable && parts.length > 0 && !this.#options.isBusy(key);
      })
      .sort(([, a], [, b]) => (a.lastUsed ?? 0) - (b.lastUsed ?? 0));
  }

  /**
   * Deletes a model's bytes, including those of earlier versions. Its record stays, and says that nothing is stored.
   * @returns bytes that this freed.
   */
  async deleteFiles(key: string, parts: readonly PartKey[]): Promise<number> {
    const { records, validators, database } = this.#options;
    const record = await records.get(key);
    const old = record === undefined ? [] : partsOf(record);
    const freed = await this.deleteParts(key, [
      ...new Map([...old, ...parts].map((part) => [part.key, part])).values(),
    ]);
    if (record === undefined) return freed;
    const forget = (name: string) => RunningHash.forget({ key: name }, database);
    await Promise.all([...record.hashes.map(forget), ...record.pieces.map((name) => validators.delete(name))]);
    // A browser that is still full does not take that; the missing parts tell the same.
    await quietly(() =>
      records.change(key, ({ complete: _, error: __, ...rest }) => ({ ...rest, parts: [], fingerprint: '' })),
    );
    return freed;
  }

  /** Parts that another model has too are kept. @returns bytes that this freed */
  async deleteParts(key: string, parts: readonly PartKey[]): Promise<number> {
    const storage = this.#options.parts;
    const others = [...(await this.#options.records.all())].filter(([other]) => other !== key);
    const othersParts = others.flatMap(([, record]) => partsOf(record));
    const othersKeys = new Set(othersParts.map((part) => part.key));
    const othersHashes = new Set((await storage.hashes(othersParts)).values());
    const hashes = await storage.hashes(parts);
    const stored = await storage.stored(parts);
    const own = parts.filter((part) => !othersHashes.has(hashes.get(part.key) ?? ''));
    await storage.delete(
      own.flatMap((part) => hashes.get(part.key) ?? []),
      parts.filter((part) => !othersKeys.has(part.key)),
    );
    return sizeOf(own.filter((part) => stored.has(part.key)));
  }

  async #noSpace(what: string, cause?: unknown): Promise<LlamatabError> {
    const { usage, quota } = await this.estimate();
    const numbers =
      usage === null || quota === null
        ? ''
        : ` It counts ${showSize(usage)} of ${showSize(quota)} used; if that looks like enough, the disk itself is full.`;
    const others = this.#options.evict ? ' All other models are pinned or in use.' : '';
    return new LlamatabError(
      'unavailable_error',
      `The browser has no space for ${what}.${numbers}${others} ` +
        'Delete other models of this site, or free space on the disk, and try again: what is complete stays stored.',
      { cause },
    );
  }
}

export function sizeOf(parts: readonly { size: number }[]): number {
  return parts.reduce((sum, { size }) => sum + size, 0);
}
