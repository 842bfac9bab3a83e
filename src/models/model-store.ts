/**
 * The model store: which models there are, and their files as Blobs, downloaded part by part where they are not stored yet.
 *
 * What happens in the order of a download: `plan.ts` cuts the model into parts, `download.ts` brings them (`transfer.ts` each
 * from the network, `part-storage.ts` into IndexedDB), the whole is checked to be a GGUF, and the record (`records.ts`) says
 * that it is complete, last of all.
 */
import { createStore, type UseStore } from 'idb-keyval';
import { isAbort, LlamatabError } from '../errors.ts';
import { readArchive, writeArchive } from './archive.ts';
import { loadCatalog, NAME, parseCatalog } from './catalog.ts';
import { allShards, describeModel, idFrom, shardOf } from './describe.ts';
import { downloadParts, gone } from './download.ts';
import { type ByteSource, type GgufHeader, readGgufHeader } from './gguf.ts';
import { browserNetwork, type FetchLike, messageOf, type Network, sha256, size as showSize } from './http.ts';
import { DEFAULT_ENDPOINT, findOnHub, type HubFile } from './hub.ts';
import { LazyFile } from './lazy-file.ts';
import type {
  AddOptions,
  Catalog,
  CatalogFile,
  CatalogModel,
  DownloadProgress,
  ModelSource,
  ModelStatus,
  ModelStore,
  SpaceReport,
  VerifyReport,
  WorkOptions,
} from './models.ts';
import { isQuotaExceeded, PartStorage, type StoredPart, within } from './part-storage.ts';
import { PART_SIZE, type Part, type Plan, planModel } from './plan.ts';
import { DownloadMeter } from './progress.ts';
import { type ModelRecord, OWN, ofPlan, partsOf, Records, ValidatorStorage } from './records.ts';
import { openRemoteFile } from './remote-file.ts';
import { RunningHash } from './running-hash.ts';
import { memoryNeeded } from './space.ts';
import { createTabs, type Tabs } from './tabs.ts';
import { RETRY_DELAYS, STALL_TIMEOUT, withoutQuery } from './transfer.ts';

/** Milliseconds between progress reports. */
const PROGRESS_INTERVAL = 200;

/** Milliseconds for reading a part's bytes from the disk. */
const READ_TIMEOUT = 60_000;

export interface ModelStoreOptions {
  /** Absolute; pieces' URLs are relative to it. */
  catalogUrl: string;
  /** Whether models that were not used for longest may be deleted when there is no space for another. Default: false. */
  evict?: boolean;
  fetch?: FetchLike;
  network?: Network;
  /** An idb-keyval store for all that the store keeps. */
  database?: UseStore;
  /** What the browser says of space, as `navigator.storage` does. */
  storage?: Pick<StorageManager, 'estimate' | 'persisted'> | undefined;
  tabs?: Tabs;
  /** See `transfer.ts`. */
  retryDelays?: readonly number[];
  stallTimeout?: number;
  /** Bytes; see `plan.ts`. */
  partSize?: number;
  now?: () => number;
}

type OnProgress = (progress: DownloadProgress) => void;
type Listener = Parameters<ModelStore['subscribe']>[0];

/** One download, and the callers that wait for it. */
interface Job {
  key: string;
  model: CatalogModel;
  files: Promise<Blob[]>;
  meter: DownloadMeter;
  /** What another tab reports while this one waits for it. */
  elsewhere?: DownloadProgress | undefined;
  callers: Set<{ onProgress: OnProgress }>;
  controller: AbortController;
  /** Ends the present transfer only. */
  transfer: AbortController;
  /** While it is paused. */
  gate?: { promise: Promise<void>; open: () => void } | undefined;
  /** What its model's status is beside the download. */
  status: ModelStatus | undefined;
}

/** A part as far as its storage goes. */
type PartKey = Pick<Part, 'key' | 'sha256' | 'size'>;

const PAUSED = new DOMException('The download is paused.', 'AbortError');

/**
 * Makes a store. Nothing is fetched before it is asked for.
 *
 * @param options All but `catalogUrl` default to the platform's own.
 */
export function createModelStore(options: ModelStoreOptions): ModelStore {
  return new IndexedDbModelStore(options);
}

class IndexedDbModelStore implements ModelStore {
  readonly #options: ModelStoreOptions;
  readonly #fetch: FetchLike;
  readonly #database: UseStore;
  readonly #parts: PartStorage;
  readonly #records: Records;
  readonly #validators: ValidatorStorage;
  readonly #tabs: Tabs;
  readonly #now: () => number;
  /** By origin. In memory only: whoever reads the disk or the database must not find them. */
  readonly #tokens = new Map<string, string>();
  readonly #listeners = new Set<Listener>();
  /** By the record's key. */
  readonly #jobs = new Map<string, Job>();
  #site: Promise<Catalog> | undefined;
  /** The user's own models. */
  #own: Promise<CatalogModel[]> | undefined;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.#database = options.database ?? createStore('llamatab', 'models');
    this.#parts = new PartStorage(this.#database);
    this.#records = new Records(this.#database);
    this.#validators = new ValidatorStorage(this.#database);
    this.#tabs = options.tabs ?? createTabs();
    this.#now = options.now ?? Date.now;
    this.#tabs.listen((message) => {
      const job = this.#jobs.get(message.key);
      if (message.type === 'progress' && job) job.elsewhere = { ...message.progress, source: 'another tab' };
      if (message.type === 'changed' && message.key.startsWith(`${OWN} `)) this.#own = undefined;
    });
  }

  // --- What there is -----------------------------------------------------------------------------------------------

  async catalog(): Promise<Catalog> {
    if (this.#site === undefined) {
      this.#site = loadCatalog(this.#options.catalogUrl, this.#database, this.#fetch);
      this.#site.catch(() => {
        this.#site = undefined;
      });
    }
    const [site, own] = await Promise.all([this.#site, this.#ownModels()]);
    if (own.length === 0) return site;
    // A later catalog of the site may take a name that the user gave: the site's wins.
    const names = new Set(site.models.flatMap((model) => [model.id, ...(model.aliases ?? [])]));
    return { ...site, models: [...site.models, ...own.filter(({ id }) => !names.has(id))] };
  }

  async list(): Promise<ModelStatus[]> {
    const { models } = await this.catalog();
    return Promise.all(models.map((model) => this.status(model)));
  }

  async status(model: CatalogModel): Promise<ModelStatus> {
    const key = this.#keyOf(model);
    const plan = this.#planOf(model);
    const [record, stored] = await Promise.all([this.#records.get(key), this.#parts.stored(plan.parts)]);
    const loaded = sizeOf([...stored.values()]);
    const job = this.#jobs.get(key);
    const complete = isComplete(record, plan) && loaded === plan.total;
    const error = job || complete ? undefined : record?.error;
    return {
      model,
      state: complete ? 'complete' : error ? 'failed' : loaded > 0 || job ? 'partial' : 'absent',
      loaded,
      total: plan.total,
      ...(error ? { error: new LlamatabError(error.type, error.message) } : {}),
      ...(job ? { download: progressOf(job) } : {}),
      pinned: record?.pinned ?? false,
      lastUsed: record?.lastUsed ?? null,
      kept: this.#parts.kept,
    };
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stored(model: CatalogModel): Promise<number> {
    return sizeOf([...(await this.#parts.stored(this.#planOf(model).parts)).values()]);
  }

  // --- Downloads ---------------------------------------------------------------------------------------------------

  async download(model: CatalogModel, { signal, onProgress = () => {} }: WorkOptions = {}): Promise<void> {
    this.resume(model);
    await this.#join(model, onProgress, signal);
  }

  async open(model: CatalogModel, onProgress: OnProgress, signal?: AbortSignal): Promise<Blob[]> {
    const files = await this.#join(model, onProgress, signal);
    await this.touch(model);
    return files;
  }

  pause(model: CatalogModel): void {
    const job = this.#jobs.get(this.#keyOf(model));
    if (job === undefined || job.gate !== undefined) return;
    let open = () => {};
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    job.gate = { promise, open };
    job.transfer.abort(PAUSED);
    job.meter.enter('paused');
    this.#report(job);
  }

  resume(model: CatalogModel): void {
    const job = this.#jobs.get(this.#keyOf(model));
    const gate = job?.gate;
    if (job === undefined || gate === undefined) return;
    job.gate = undefined;
    gate.open();
  }

  async cancel(model: CatalogModel): Promise<void> {
    if (!this.#jobs.has(this.#keyOf(model))) return;
    await this.#end(model, `The download of ${model.id} was cancelled. Ask for it again to get it.`);
    await this.#deleteFiles(this.#keyOf(model), this.#planOf(model).parts);
    await this.#changed(model);
  }

  #join(model: CatalogModel, onProgress: OnProgress, signal?: AbortSignal): Promise<Blob[]> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const job = this.#jobs.get(this.#keyOf(model)) ?? this.#begin(model);
    const caller = { onProgress };
    job.callers.add(caller);
    onProgress(progressOf(job));
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener('abort', abort);
        job.callers.delete(caller);
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
        // A paused download is the user's to end.
        if (job.callers.size > 0 || job.gate !== undefined) return;
        // At once, so that whoever asks next does not join a download that is being stopped.
        this.#forget(job);
        job.controller.abort(new DOMException('Nobody waits for it.', 'AbortError'));
      };
      signal?.addEventListener('abort', abort);
      job.files.then(resolve, reject).finally(leave);
    });
  }

  #begin(model: CatalogModel): Job {
    const key = this.#keyOf(model);
    const plan = this.#planOf(model);
    const controller = new AbortController();
    const job: Job = {
      key,
      model,
      files: Promise.resolve([]),
      meter: new DownloadMeter(plan.total),
      callers: new Set(),
      controller,
      transfer: new AbortController(),
      status: undefined,
    };
    this.#jobs.set(key, job);
    // By the clock and not by the chunk: a stall shows as a falling speed.
    const timer = setInterval(() => this.#report(job), PROGRESS_INTERVAL);
    job.files = this.#run(job, plan).finally(() => {
      clearInterval(timer);
      this.#forget(job);
      this.#report(job);
    });
    job.files.then(
      () => this.#changed(model),
      () => this.#changed(model),
    );
    void this.status(model).then(
      (status) => {
        job.status = status;
      },
      () => {},
    );
    return job;
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
  }

  #report(job: Job): void {
    const progress = progressOf(job);
    for (const { onProgress } of job.callers) onProgress(progress);
    if (progress.source === 'this tab') this.#tabs.tell({ type: 'progress', key: job.key, progress });
    if (job.status === undefined || this.#jobs.get(job.key) !== job) return;
    const { error: _, ...status } = job.status;
    for (const listener of this.#listeners) {
      listener(job.model, { ...status, state: 'partial', loaded: progress.loaded, download: progress });
    }
  }

  /** Until it is done, aborted or failed; over its pauses. */
  async #run(job: Job, plan: Plan): Promise<Blob[]> {
    const { controller } = job;
    for (;;) {
      const { signal } = controller;
      await (job.gate ? abortable(job.gate.promise, signal) : undefined);
      job.transfer = new AbortController();
      const end = () => job.transfer.abort(signal.reason);
      signal.addEventListener('abort', end);
      if (signal.aborted) end();
      try {
        return await this.#bring(job, plan, job.transfer.signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        // Paused, and perhaps resumed already.
        if (job.transfer.signal.reason === PAUSED) continue;
        if (!isAbort(error)) await this.#remember(job.key, LlamatabError.from(error));
        throw error;
      } finally {
        signal.removeEventListener('abort', end);
      }
    }
  }

  async #remember(key: string, { type, message }: LlamatabError): Promise<void> {
    await this.#records.change(key, (record) => ({ ...record, error: { type, message } })).catch(() => {});
  }

  async #bring(job: Job, plan: Plan, signal: AbortSignal): Promise<Blob[]> {
    job.meter.restart();
    const complete = await this.#openComplete(job, plan);
    if (complete !== undefined) return complete;
    signal.throwIfAborted();
    return this.#tabs.alone(
      job.key,
      async () => {
        job.elsewhere = undefined;
        // Another tab may have brought it while this one waited.
        job.meter.restart();
        return (await this.#openComplete(job, plan)) ?? (await this.#fill(job, plan, signal));
      },
      () => job.meter.enter('waiting'),
      signal,
    );
  }

  /** The files of a model that is complete; undefined if it is not, or its bytes are gone. */
  async #openComplete({ key, model, meter }: Job, plan: Plan): Promise<Blob[] | undefined> {
    const record = await this.#records.get(key);
    if (!isComplete(record, plan)) return undefined;
    const stored = new Map(
      plan.parts.map((part, i) => [part.key, { sha256: record.complete[i] ?? '', size: part.size }]),
    );
    const files = await this.#assemble(plan, stored);
    if (files === undefined) return undefined;
    await checkFiles(model, plan, files);
    for (const part of plan.parts) meter.stored(part.key, part.size);
    return files;
  }

  async #fill({ key, model, meter }: Job, plan: Plan, signal: AbortSignal): Promise<Blob[]> {
    const [old, stored] = await Promise.all([this.#records.get(key), this.#parts.stored(plan.parts)]);
    if (old && old.fingerprint !== plan.fingerprint) await this.#dropOldVersion(key, old, plan);
    const missing = plan.total - sizeOf([...stored.values()]);
    if (missing > 0 && model.source?.kind === 'file') {
      throw new LlamatabError(
        'unavailable_error',
        `${model.id}: ${showSize(missing)} of it are gone from this browser, and it came from a file of yours. Delete it and add the file again.`,
      );
    }
    await this.#makeRoom(missing, key);
    await this.#change(key, ({ error: _, complete: __, ...record }) => ({ ...record, ...ofPlan(plan) }));
    const parts = await downloadParts({
      plan,
      storage: this.#parts,
      validators: this.#validators,
      database: this.#database,
      meter,
      signal,
      fetch: this.#fetch,
      network: this.#options.network ?? browserNetwork,
      headers: (url) => this.#headersFor(url),
      put: (part, hash, blob) => this.#put(key, part, hash, blob),
      retryDelays: this.#options.retryDelays ?? RETRY_DELAYS,
      stallTimeout: this.#options.stallTimeout ?? STALL_TIMEOUT,
      random: Math.random,
    });
    return this.#finish(key, model, plan, parts);
  }

  /** What all parts together must be; then the manifest. */
  async #finish(key: string, model: CatalogModel, plan: Plan, parts: Map<string, StoredPart>): Promise<Blob[]> {
    const files = await this.#assemble(plan, parts);
    if (files === undefined) throw new LlamatabError('unavailable_error', gone({ label: model.id }));
    await checkFiles(model, plan, files);
    const complete = plan.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
    await this.#change(key, ({ error: _, ...record }) => ({
      ...record,
      ...ofPlan(plan),
      complete,
      lastUsed: this.#now(),
    }));
    return files;
  }

  /** A file of stored parts is lazy: it refers to them and reads them when it is read. */
  async #assemble(plan: Plan, stored: Map<string, StoredPart>): Promise<Blob[] | undefined> {
    const blobs = new Map<string, Blob>();
    await Promise.all(
      plan.parts.map(async ({ key }) => {
        const part = stored.get(key);
        const blob = part && (await this.#parts.get(part));
        if (blob !== undefined) blobs.set(key, blob);
      }),
    );
    if (blobs.size < plan.parts.length) return undefined;
    return plan.files.map((file) =>
      LazyFile.join(
        file.parts.map((part) => blobs.get(part.key) as Blob),
        file.name,
      ),
    );
  }

  /** The catalog names other bytes than before: what is not in them any more only takes space. */
  async #dropOldVersion(key: string, old: ModelRecord, plan: Plan): Promise<void> {
    const now = new Set(plan.parts.map((part) => part.key));
    await this.#deleteParts(
      key,
      partsOf(old).filter((part) => !now.has(part.key)),
    );
  }

  #headersFor(url: string): Record<string, string> {
    const token = URL.canParse(url) ? this.#tokens.get(new URL(url).origin) : undefined;
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }

  // --- Keeping and deleting ----------------------------------------------------------------------------------------

  hold(model: CatalogModel): () => void {
    const release = this.#tabs.use(this.#keyOf(model));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      release();
      this.touch(model).catch(() => {});
    };
  }

  async touch(model: CatalogModel): Promise<void> {
    const lastUsed = this.#now();
    // A browser that is full can't even note that: it is no reason to refuse the model.
    await this.#records.change(this.#keyOf(model), (record) => ({ ...record, lastUsed })).catch(() => {});
  }

  async pin(model: CatalogModel, pinned = true): Promise<void> {
    await this.#records.change(this.#keyOf(model), (record) => ({ ...record, pinned }));
    await this.#changed(model);
  }

  async remove(model: CatalogModel): Promise<void> {
    const key = this.#keyOf(model);
    await this.#end(model, `${model.id} was deleted while it was downloaded. Ask for it again to get it.`);
    await this.#deleteFiles(key, this.#planOf(model).parts);
    await this.#records.delete(key);
    if (model.source !== undefined) await this.#forgetOwn(model);
    await this.#changed(model, model.source !== undefined);
  }

  /** Ends a download for all who wait for it. */
  async #end(model: CatalogModel, why: string): Promise<void> {
    const job = this.#jobs.get(this.#keyOf(model));
    if (job === undefined) return;
    job.controller.abort(new LlamatabError('unavailable_error', why));
    // Or a part that is being stored now would come after the deletion.
    await job.files.catch(() => undefined);
  }

  /** Deletes a model's bytes, those of earlier versions too; its record says so. */
  async #deleteFiles(key: string, parts: readonly PartKey[]): Promise<void> {
    const record = await this.#records.get(key);
    const old = record === undefined ? [] : partsOf(record);
    await this.#deleteParts(key, [...new Map([...old, ...parts].map((part) => [part.key, part])).values()]);
    if (record === undefined) return;
    const forget = (name: string) => RunningHash.forget({ key: name }, this.#database);
    await Promise.all([...record.hashes.map(forget), ...record.pieces.map((name) => this.#validators.delete(name))]);
    await this.#records.change(key, ({ complete: _, error: __, ...rest }) => ({ ...rest, parts: [], fingerprint: '' }));
  }

  /** @returns bytes that this freed: parts that another model has too are kept. */
  async #deleteParts(key: string, parts: readonly PartKey[]): Promise<number> {
    const others = await this.#hashesOfOthers(key);
    const hashes = await this.#parts.hashes(parts);
    const own = parts.filter((part) => !others.has(hashes.get(part.key) ?? ''));
    await this.#parts.delete(
      own.flatMap((part) => hashes.get(part.key) ?? []),
      parts,
    );
    return sizeOf(own.filter((part) => hashes.has(part.key)));
  }

  async #hashesOfOthers(key: string): Promise<Set<string>> {
    const records = [...(await this.#records.all())].filter(([other]) => other !== key);
    const hashes = await this.#parts.hashes(records.flatMap(([, record]) => partsOf(record)));
    return new Set(hashes.values());
  }

  async evict(bytes: number): Promise<CatalogModel[]> {
    const { evicted } = await this.#evict(bytes, null);
    return evicted;
  }

  async #evict(bytes: number, except: string | null): Promise<{ freed: number; evicted: CatalogModel[] }> {
    const evicted: CatalogModel[] = [];
    let freed = 0;
    for (const [key, record] of await this.#evictable(except)) {
      if (freed >= bytes) break;
      await this.#tabs.unlessUsed(key, async () => {
        freed += await this.#deleteParts(key, partsOf(record));
        await this.#records.change(key, ({ complete: _, ...rest }) => ({ ...rest, parts: [], fingerprint: '' }));
        const model = await this.#modelOf(key);
        if (model === undefined) return;
        evicted.push(model);
        console.info(`llamatab: ${model.id} was deleted to make space: it was not used for longest`);
        await this.#changed(model);
      });
    }
    return { freed, evicted };
  }

  /** Records of models that may be evicted if nobody uses them, the least recently used first. */
  async #evictable(except: string | null): Promise<[string, ModelRecord][]> {
    return [...(await this.#records.all())]
      .filter(([key, { pinned, parts, own }]) => {
        // What came from the user's own disk can't be had again from anywhere.
        const irreplaceable = own?.source?.kind === 'file';
        return key !== except && !pinned && !irreplaceable && parts.length > 0 && !this.#jobs.has(key);
      })
      .sort(([, a], [, b]) => (a.lastUsed ?? 0) - (b.lastUsed ?? 0));
  }

  async #modelOf(key: string): Promise<CatalogModel | undefined> {
    // Another site's of this origin, or the catalog can't be had now.
    const models = await this.catalog().then(
      (catalog) => catalog.models,
      () => [],
    );
    return models.find((model) => this.#keyOf(model) === key);
  }

  /** Stores a part; where the browser has no more space, evicts for it, or says with numbers why not. */
  async #put(key: string, part: Part, hash: string, blob: Blob): Promise<void> {
    for (;;) {
      try {
        return await this.#parts.put(part, hash, blob);
      } catch (error) {
        if (!isQuotaExceeded(error)) throw error;
        const { freed } = this.#options.evict ? await this.#evict(blob.size, key) : { freed: 0 };
        if (freed === 0) throw await this.#noSpace(`the next ${showSize(blob.size)} of the model`, error);
      }
    }
  }

  /** Before the first byte: gigabytes must not come in vain. */
  async #makeRoom(missing: number, key: string): Promise<void> {
    const { free } = await this.#estimate();
    if (missing === 0 || free === null || missing <= free) return;
    const freed = this.#options.evict ? (await this.#evict(missing - free, key)).freed : 0;
    if (free + freed < missing) throw await this.#noSpace(`the ${showSize(missing)} that are missing of the model`);
  }

  async #change(key: string, change: (record: ModelRecord) => ModelRecord): Promise<void> {
    try {
      await this.#records.change(key, change);
    } catch (error) {
      throw isQuotaExceeded(error) ? await this.#noSpace("the model's record", error) : error;
    }
  }

  async #noSpace(what: string, cause?: unknown): Promise<LlamatabError> {
    const { usage, quota } = await this.#estimate();
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

  async #estimate(): Promise<{ usage: number | null; quota: number | null; free: number | null }> {
    const storage = 'storage' in this.#options ? this.#options.storage : globalThis.navigator?.storage;
    try {
      const { usage, quota } = (await storage?.estimate()) ?? {};
      if (usage === undefined || quota === undefined) return { usage: null, quota: null, free: null };
      return { usage, quota, free: Math.max(0, quota - usage) };
    } catch {
      return { usage: null, quota: null, free: null };
    }
  }

  // --- Checking ----------------------------------------------------------------------------------------------------

  async verify(model: CatalogModel, { signal, onProgress = () => {} }: WorkOptions = {}): Promise<VerifyReport> {
    const plan = this.#planOf(model);
    const meter = new DownloadMeter(plan.total);
    meter.enter('verifying');
    const bad: VerifyReport['bad'] = [];
    let checked = 0;
    const stored = await this.#parts.stored(plan.parts);
    const seen = new Set<string>();
    for (const file of plan.files) {
      for (const [i, part] of file.parts.entries()) {
        signal?.throwIfAborted();
        if (seen.has(part.key)) continue;
        seen.add(part.key);
        onProgress(meter.progress());
        const reason = await this.#checkPart(stored.get(part.key));
        if (reason !== undefined) bad.push({ file: file.name, part: i + 1, of: file.parts.length, reason });
        else checked += part.size;
        meter.stored(part.key, part.size);
      }
    }
    onProgress(meter.progress());
    return { ok: bad.length === 0, checked, bad };
  }

  /** What is wrong with a part; undefined if nothing is. */
  async #checkPart(stored: StoredPart | undefined): Promise<string | undefined> {
    if (stored === undefined) return 'it is not stored';
    try {
      const blob = await this.#parts.get(stored);
      if (blob === undefined) return 'its bytes are gone from the disk';
      const actual = await sha256(await within(READ_TIMEOUT, blob.arrayBuffer()));
      return actual === stored.sha256 ? undefined : `its SHA-256 is ${actual}, not ${stored.sha256}`;
    } catch (error) {
      return `it can't be read: ${messageOf(error)}`;
    }
  }

  async repair(model: CatalogModel, options: WorkOptions = {}): Promise<VerifyReport> {
    const report = await this.verify(model, options);
    if (!report.ok) {
      const plan = this.#planOf(model);
      const hashes = await this.#parts.hashes(plan.parts);
      const names = new Set(report.bad.map(({ file, part }) => `${part} ${file}`));
      const bad = plan.files.flatMap((file) => file.parts.filter((_, i) => names.has(`${i + 1} ${file.name}`)));
      // The acknowledgements stay: what is fetched again has to be the same.
      await this.#parts.delete(
        bad.flatMap((part) => hashes.get(part.key) ?? []),
        [],
      );
      const wholes = plan.hashes.filter((whole) => whole.parts.some((part) => bad.includes(part)));
      await Promise.all(wholes.map((whole) => RunningHash.forget(whole, this.#database)));
    }
    await this.download(model, options);
    return report;
  }

  // --- Space -------------------------------------------------------------------------------------------------------

  async space(
    model: CatalogModel,
    { contextLength, signal }: { contextLength?: number; signal?: AbortSignal } = {},
  ): Promise<SpaceReport> {
    const key = this.#keyOf(model);
    const plan = this.#planOf(model);
    const storage = 'storage' in this.#options ? this.#options.storage : globalThis.navigator?.storage;
    const [header, stored, estimate, persisted, evictable] = await Promise.all([
      this.#headerOf(model, plan, signal),
      this.#parts.stored(plan.parts),
      this.#estimate(),
      storage?.persisted?.().catch(() => false) ?? false,
      this.#evictable(key),
    ]);
    const missing = plan.total - sizeOf([...stored.values()]);
    const reclaimable = sizeOf(evictable.flatMap(([, record]) => partsOf(record)));
    const { free } = estimate;
    const { deviceMemory } = globalThis.navigator as { deviceMemory?: number };
    return {
      disk: {
        needed: plan.total,
        missing,
        ...estimate,
        evictable: reclaimable,
        persisted,
        enough: free === null || missing <= free + (this.#options.evict ? reclaimable : 0),
      },
      memory: memoryNeeded(
        header,
        model.files.reduce((sum, file) => sum + file.size, 0),
        Math.min(contextLength ?? model.contextLength, model.contextLength),
        deviceMemory,
      ),
    };
  }

  /** The header of the model's first file, stored or not. */
  async #headerOf(model: CatalogModel, plan: Plan, signal?: AbortSignal): Promise<GgufHeader> {
    const file = plan.files[0];
    if (file === undefined) throw new LlamatabError('server_error', `The model ${model.id} has no files.`);
    const name = `${model.id}: ${file.name}`;
    const blobs = await this.#assemble(
      { ...plan, files: [file], parts: file.parts },
      await this.#parts.stored(file.parts),
    );
    if (blobs?.[0] !== undefined) return readGgufHeader(blobs[0], name);
    const pieces = await Promise.all(
      file.pieces.map(({ url, size }) =>
        openRemoteFile(url, { fetch: this.#fetch, headers: this.#headersFor(url), size, signal }),
      ),
    );
    return readGgufHeader(joinSources(pieces), name);
  }

  // --- Models that the user adds -----------------------------------------------------------------------------------

  async addFromUrl(url: string, options: AddOptions = {}): Promise<CatalogModel> {
    const address = downloadAddress(url);
    const known = await this.#findOwn((source) => source.kind === 'url' && source.url === address);
    if (known !== undefined) return known;
    this.#keepToken(address, options.token);
    const urls = allShards(new URL(address).pathname).map((path) => withPath(address, path));
    const files = urls.map((shard): HubFile => ({ path: fileNameOf(shard), url: shard, size: 0 }));
    const name = fileNameOf(address);
    return this.#add(files, undefined, options, idFrom(name), name, { kind: 'url', url: address });
  }

  async addFromHub(name: string, options: AddOptions = {}): Promise<CatalogModel> {
    const endpoint = options.endpoint ?? DEFAULT_ENDPOINT;
    if (!URL.canParse(endpoint)) {
      throw new LlamatabError('invalid_request_error', `'${endpoint}' is no address of a hub.`, { param: 'endpoint' });
    }
    this.#keepToken(endpoint, options.token);
    const found = await findOnHub(name, { fetch: this.#fetch, endpoint, headers: this.#headersFor(endpoint) });
    const { repo, tag } = found;
    const isIt = (source: ModelSource) =>
      source.kind === 'hub' && source.repo === repo && source.tag === tag && source.endpoint === endpoint;
    const known = await this.#findOwn(isIt);
    if (known !== undefined) return known;
    const source: ModelSource = { kind: 'hub', endpoint, repo, tag };
    return this.#add(found.shards, found.projector, options, `${repo}:${tag}`, `${repo}:${tag}`, source);
  }

  /** Reads the header of files on a server, and takes them up into the catalog. */
  async #add(
    shards: readonly HubFile[],
    projector: HubFile | undefined,
    options: AddOptions,
    defaultId: string,
    name: string,
    source: ModelSource,
  ): Promise<CatalogModel> {
    const open = async (file: HubFile) => {
      const remote = await openRemoteFile(file.url, {
        fetch: this.#fetch,
        headers: this.#headersFor(file.url),
        size: file.size || undefined,
      });
      return { ...file, size: remote.size, remote };
    };
    const [opened, openedProjector] = await Promise.all([Promise.all(shards.map(open)), projector && open(projector)]);
    const headerOf = async (file: { remote: ByteSource; url: string } | undefined) =>
      file && (await readHeaderOf(file.remote, withoutQuery(file.url)));
    const [header, projectorHeader] = await Promise.all([headerOf(opened[0]), headerOf(openedProjector)]);
    if (header === undefined) throw new LlamatabError('invalid_request_error', `${name} has no files.`);
    const model: CatalogModel = {
      id: await this.#chooseId(options.id, defaultId),
      files: [...opened, ...(openedProjector ? [openedProjector] : [])].map(({ path, url, size, sha256 }) => ({
        name: fileNameOf(path),
        size,
        ...(sha256 === undefined ? {} : { sha256 }),
        pieces: [{ url, size, ...(sha256 === undefined ? {} : { sha256 }) }],
      })),
      ...describeModel(header, name, projectorHeader),
      source,
    };
    await this.#takeUp(model);
    return model;
  }

  async addFromFiles(files: readonly File[], options: AddOptions & WorkOptions = {}): Promise<CatalogModel> {
    const { signal, onProgress = () => {} } = options;
    const { model, blobs } = await this.#readFiles(files, options);
    const key = this.#keyOf(model);
    const plan = this.#planOf(model);
    const meter = new DownloadMeter(plan.total);
    await this.#makeRoom(plan.total - (await this.stored(model)), key);
    await this.#records.change(key, (record) => ({
      ...record,
      ...ofPlan(plan),
      ...(model.source ? { own: model } : {}),
    }));
    try {
      const parts = await this.#copyIn(plan, blobs, meter, key, () => {
        signal?.throwIfAborted();
        onProgress(meter.progress());
      });
      await this.#finish(key, model, plan, parts);
    } catch (error) {
      await this.#deleteFiles(key, plan.parts);
      if (model.source) await this.#records.delete(key);
      throw error;
    }
    if (model.source) await this.#takeUp(model);
    else await this.#changed(model);
    onProgress(meter.progress());
    return model;
  }

  /** Copies files into the store, part by part: the browser copies from disk to disk, only hashing reads them. */
  async #copyIn(
    plan: Plan,
    blobs: readonly Blob[],
    meter: DownloadMeter,
    key: string,
    onPart: () => void,
  ): Promise<Map<string, StoredPart>> {
    const parts = new Map<string, StoredPart>();
    for (const [i, file] of plan.files.entries()) {
      let at = 0;
      for (const part of file.parts) {
        onPart();
        const bytes = blobs[i]?.slice(at, at + part.size) ?? new Blob();
        const hash = await sha256(await bytes.arrayBuffer());
        if (part.sha256 !== undefined && hash !== part.sha256) {
          throw new LlamatabError(
            'invalid_request_error',
            `${part.label}: its SHA-256 is ${hash}, the export says ${part.sha256}. The file was damaged on the way: copy it again.`,
            { param: 'files' },
          );
        }
        await this.#put(key, part, hash, bytes);
        if (!parts.has(part.key)) meter.received(part.key, part.size);
        if (!parts.has(part.key)) meter.stored(part.key, part.size);
        parts.set(part.key, { sha256: hash, size: part.size });
        at += part.size;
      }
    }
    return parts;
  }

  /** What the user's files are together. @throws LlamatabError `invalid_request_error` if that is no model */
  async #readFiles(files: readonly File[], options: AddOptions): Promise<{ model: CatalogModel; blobs: Blob[] }> {
    const refuse = (what: string) => new LlamatabError('invalid_request_error', what, { param: 'files' });
    const archive = files.length === 1 && files[0] ? await readArchive(files[0]) : null;
    if (archive !== null) return { model: await this.#modelOfArchive(archive.model, options), blobs: archive.files };

    const ggufs = files.filter(({ name }) => /\.gguf$/i.test(name));
    const projectors = ggufs.filter(({ name }) => /mmproj/i.test(name));
    const weights = ggufs.filter((file) => !projectors.includes(file));
    const first = weights.find(({ name }) => (shardOf(name)?.index ?? 1) === 1) ?? weights[0];
    if (first === undefined) {
      const names = files.map(({ name }) => name).join(', ');
      throw refuse(
        `There is no model among the files (${names || 'none'}): add a .gguf, all its shards, or an export of llamatab.`,
      );
    }
    const names = allShards(first.name);
    const shards = names.map((name) => weights.find((file) => file.name === name));
    const lacking = names.filter((_, i) => shards[i] === undefined);
    if (lacking.length > 0) throw refuse(`The model has ${names.length} files; add these too: ${lacking.join(', ')}.`);
    const others = weights.filter(({ name }) => !names.includes(name));
    if (others.length > 0 || projectors.length > 1) {
      const extra = [...others, ...projectors.slice(1)].map(({ name }) => name).join(', ');
      throw refuse(`These files are more than one model: add ${extra} on their own.`);
    }
    const blobs = [...(shards as File[]), ...projectors];
    const headers = await Promise.all(blobs.map((blob) => readHeaderOf(blob, blob.name)));
    const [header] = headers;
    if (header === undefined) throw refuse('There is no model among the files.');
    const unique = crypto.randomUUID();
    const model: CatalogModel = {
      id: await this.#chooseId(options.id, idFrom(first.name)),
      files: blobs.map((blob) => localFile(blob.name, blob.size, unique)),
      ...describeModel(header, idFrom(first.name), projectors.length > 0 ? headers.at(-1) : undefined),
      source: { kind: 'file', name: first.name },
    };
    return { model, blobs };
  }

  /** The site's own model if it has the same bytes, else a new one. */
  async #modelOfArchive(described: CatalogModel, options: AddOptions): Promise<CatalogModel> {
    let model: CatalogModel | undefined;
    try {
      const text = JSON.stringify({ version: 1, default: described.id, models: [described] });
      model = parseCatalog(text, 'https://export.invalid/').models[0];
    } catch (error) {
      throw new LlamatabError('invalid_request_error', `The export is damaged: ${messageOf(error)}`, {
        param: 'files',
      });
    }
    if (model === undefined)
      throw new LlamatabError('invalid_request_error', 'The export is empty.', { param: 'files' });
    const { models } = await this.catalog();
    const site = models.find(({ id, source }) => id === model.id && source === undefined);
    if (site && this.#planOf(site).fingerprint === this.#planOf(model).fingerprint) return site;
    const { aliases: _, ...rest } = model;
    return {
      ...rest,
      id: await this.#chooseId(options.id, idFrom(model.id)),
      source: { kind: 'file', name: model.files[0]?.name ?? model.id },
    };
  }

  async exportFiles(model: CatalogModel): Promise<File[]> {
    const { files } = await this.#complete(model);
    return files;
  }

  async exportArchive(model: CatalogModel): Promise<File> {
    const { files, parts } = await this.#complete(model);
    const plan = this.#planOf(model);
    const described = model.files.map((file, i): CatalogFile => {
      const pieces = (plan.files[i]?.pieces ?? []).map((piece) => {
        const hashes = piece.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
        const url = encodeURIComponent(file.name);
        return { url, size: piece.size, ...(hashes.length === 1 ? { sha256: hashes[0] ?? '' } : { parts: hashes }) };
      });
      return { name: file.name, size: file.size, ...(file.sha256 ? { sha256: file.sha256 } : {}), pieces };
    });
    return writeArchive({ ...model, files: described }, files);
  }

  async #complete(model: CatalogModel): Promise<{ files: File[]; parts: Map<string, StoredPart> }> {
    const plan = this.#planOf(model);
    const record = await this.#records.get(this.#keyOf(model));
    const parts = await this.#parts.stored(plan.parts);
    const files = isComplete(record, plan) ? await this.#assemble(plan, parts) : undefined;
    if (files === undefined) {
      throw new LlamatabError(
        'invalid_request_error',
        `${model.id} is not complete on this device: download it first.`,
        {
          param: 'model',
        },
      );
    }
    return { files: files as File[], parts };
  }

  #ownModels(): Promise<CatalogModel[]> {
    this.#own ??= this.#records
      .all()
      .then((records) => [...records.values()].flatMap(({ own }) => (own === undefined ? [] : [own])));
    return this.#own;
  }

  async #findOwn(isIt: (source: ModelSource) => boolean): Promise<CatalogModel | undefined> {
    return (await this.#ownModels()).find(({ source }) => source && isIt(source));
  }

  async #takeUp(model: CatalogModel): Promise<void> {
    const own = await this.#ownModels();
    await this.#records.change(this.#keyOf(model), (record) => ({ ...record, own: model }));
    own.push(model);
    await this.#changed(model);
  }

  async #forgetOwn(model: CatalogModel): Promise<void> {
    const own = await this.#ownModels();
    const at = own.findIndex(({ id }) => id === model.id);
    if (at >= 0) own.splice(at, 1);
  }

  /** @throws LlamatabError `invalid_request_error` for an id that is no name or is taken */
  async #chooseId(wanted: string | undefined, byDefault: string): Promise<string> {
    const { models } = await this.catalog();
    const taken = new Set(models.flatMap((model) => [model.id, ...(model.aliases ?? [])]));
    const refuse = (what: string) => new LlamatabError('invalid_request_error', what, { param: 'id' });
    if (wanted !== undefined) {
      if (!NAME.test(wanted) || wanted === 'local') {
        throw refuse(`'${wanted}' can't be a model's id: at most 128 letters, digits and . _ - : / @ +, not "local".`);
      }
      if (taken.has(wanted)) throw refuse(`There is a model '${wanted}' already: give another id.`);
      return wanted;
    }
    let id = byDefault;
    for (let i = 2; taken.has(id); i++) id = `${byDefault}-${i}`;
    return id;
  }

  #keepToken(url: string, token: string | undefined): void {
    if (token !== undefined) this.#tokens.set(new URL(url).origin, token);
  }

  // --- Small things ------------------------------------------------------------------------------------------------

  async #changed(model: CatalogModel, removed = false): Promise<void> {
    this.#tabs.tell({ type: 'changed', key: this.#keyOf(model) });
    if (this.#listeners.size === 0) return;
    const status = removed ? 'removed' : await this.status(model).catch(() => undefined);
    if (status !== undefined) for (const listener of this.#listeners) listener(model, status);
  }

  /** Of its record. Sites of one origin may give different models one name. */
  #keyOf(model: CatalogModel): string {
    return `${model.source === undefined ? this.#options.catalogUrl : OWN} ${model.id}`;
  }

  #planOf(model: CatalogModel): Plan {
    return planModel(model, this.#options.catalogUrl, this.#options.partSize ?? PART_SIZE);
  }
}

function isComplete(record: ModelRecord | undefined, plan: Plan): record is ModelRecord & { complete: string[] } {
  return record?.complete?.length === plan.parts.length && record.fingerprint === plan.fingerprint;
}

function progressOf(job: Job): DownloadProgress {
  const own = job.meter.progress();
  return own.state === 'waiting' && job.elsewhere !== undefined ? job.elsewhere : own;
}

function sizeOf(parts: readonly { size: number }[]): number {
  return parts.reduce((sum, { size }) => sum + size, 0);
}

/** Keeps garbage and truncated files from the engine, which takes some of them for models. */
async function checkFiles(model: CatalogModel, plan: Plan, files: readonly Blob[]): Promise<void> {
  const published = plan.parts.every((part) => part.sha256 !== undefined) || plan.hashes.length > 0;
  const remedy = published
    ? 'Its bytes are those that the catalog names, so it was published like that: replace it and update the catalog.'
    : 'It came like that from its server: delete the model, check the address, and add it again.';
  await Promise.all(
    files.map(async (blob, i) => {
      try {
        await readGgufHeader(blob, `${model.id}: ${model.files[i]?.name}`);
      } catch (error) {
        if (!(error instanceof LlamatabError)) throw LlamatabError.from(error);
        throw new LlamatabError(error.type, `${error.message} ${remedy}`, { cause: error });
      }
    }),
  );
}

/** The header of what a user adds: what is wrong with it is wrong with the request. */
async function readHeaderOf(source: ByteSource, name: string): Promise<GgufHeader> {
  try {
    return await readGgufHeader(source, name);
  } catch (error) {
    const known = LlamatabError.from(error);
    if (known.type !== 'server_error') throw known;
    throw new LlamatabError('invalid_request_error', known.message, { cause: error });
  }
}

/** A file of the user's disk; its URL leads nowhere, and makes its parts' keys its own. */
function localFile(name: string, size: number, unique: string): CatalogFile {
  return { name, size, pieces: [{ url: `local:${unique}/${encodeURIComponent(name)}`, size }] };
}

/** @throws LlamatabError `invalid_request_error` for anything but http(s) */
function downloadAddress(url: string): string {
  const address = URL.canParse(url) ? new URL(url) : null;
  if (address?.protocol !== 'https:' && address?.protocol !== 'http:') {
    throw new LlamatabError('invalid_request_error', `'${url}' is no http(s) address.`, { param: 'url' });
  }
  // The hub's page about a file, which is what people copy.
  if (address.origin === DEFAULT_ENDPOINT) address.pathname = address.pathname.replace('/blob/', '/resolve/');
  address.hash = '';
  return address.href;
}

function withPath(url: string, path: string): string {
  const other = new URL(url);
  other.pathname = path;
  return other.href;
}

function fileNameOf(url: string): string {
  const path = URL.canParse(url) ? new URL(url).pathname : url;
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(name) || 'model.gguf';
  } catch {
    return name;
  }
}

/** Sources one after another. */
function joinSources(sources: readonly ByteSource[]): ByteSource {
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    const bytes = new Uint8Array(Math.max(0, end - start));
    let at = 0;
    for (const source of sources) {
      const from = Math.max(start, at);
      const to = Math.min(end, at + source.size);
      if (from < to) bytes.set(new Uint8Array(await source.slice(from - at, to - at).arrayBuffer()), from - start);
      at += source.size;
    }
    return bytes.buffer;
  };
  return {
    size: sizeOf(sources),
    slice: (start, end) => ({ arrayBuffer: () => read(start, end) }),
  };
}

/** `promise`, or a rejection with the signal's reason if that comes first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
