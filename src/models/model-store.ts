/**
 * The model store: which models there are, and their files as Blobs, downloaded part by part where they are not stored yet.
 *
 * What happens in the order of a download: `parts-layout.ts` cuts the model into parts, `download.ts` brings them (`transfer.ts` each
 * from the network, `part-storage.ts` into IndexedDB), the whole is checked to be a GGUF, and the record (`records.ts`) says
 * that it is complete, last of all.
 */
import { createStore, type UseStore } from 'idb-keyval';
import { LlamatabError } from '../errors.ts';
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import type { ByteSource } from '../gguf/reader.ts';
import { writeArchive } from './archive.ts';
import { loadCatalog, NAME } from './catalog.ts';
import { downloadParts, gone } from './download.ts';
import { DownloadJob } from './download-job.ts';
import { downloadAddress, type FoundModel, findByHubName, findByUrl, findInFiles } from './find-models.ts';
import { Housekeeping, type StorageReport, sizeOf } from './housekeeping.ts';
import {
  browserNetwork,
  type FetchLike,
  messageOf,
  type Network,
  requireSha256,
  sha256,
  size as showSize,
} from './http.ts';
import { DEFAULT_ENDPOINT, parseHubName } from './hub.ts';
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
import { PartStorage, type StoredPart, within } from './part-storage.ts';
import { layOutParts, PART_SIZE, type PartsLayout } from './parts-layout.ts';
import { DownloadMeter } from './progress.ts';
import { type ModelRecord, OWN, ofLayout, partsOf, Records, ValidatorStorage } from './records.ts';
import { openRemoteFile } from './remote-file.ts';
import { RunningHash } from './running-hash.ts';
import { memoryNeeded } from './space.ts';
import { createTabs, type Tabs } from './tabs.ts';
import { RETRY_DELAYS, STALL_TIMEOUT } from './transfer.ts';

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
  storage?: StorageReport | undefined;
  tabs?: Tabs;
  /** See `transfer.ts`. */
  retryDelays?: readonly number[];
  stallTimeout?: number;
  /** Bytes; see `parts-layout.ts`. */
  partSize?: number;
  now?: () => number;
}

type OnProgress = (progress: DownloadProgress) => void;
type Listener = Parameters<ModelStore['subscribe']>[0];
type Job = DownloadJob<File[]>;

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
  readonly #housekeeping: Housekeeping;
  readonly #now: () => number;
  /** By origin. In memory only: whoever reads the disk or the database must not find them. */
  readonly #tokens = new Map<string, string>();
  readonly #listeners = new Set<Listener>();
  /** By the record's key. */
  readonly #jobs = new Map<string, Job>();
  /** Why the last attempts of this worker ended: a browser that is full can't even store that. By the record's key. */
  readonly #failures = new Map<string, LlamatabError>();
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
    this.#housekeeping = new Housekeeping({
      parts: this.#parts,
      records: this.#records,
      validators: this.#validators,
      database: this.#database,
      tabs: this.#tabs,
      storage: 'storage' in options ? options.storage : globalThis.navigator?.storage,
      evict: options.evict ?? false,
      isBusy: (key) => this.#jobs.has(key),
      onEvicted: (key) => this.#onEvicted(key),
    });
    this.#tabs.listen((message) => {
      const job = this.#jobs.get(message.key);
      if (message.type === 'progress' && job) job.elsewhere = message.progress;
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
    const layout = this.#layoutOf(model);
    const [record, stored] = await Promise.all([this.#records.get(key), this.#parts.stored(layout.parts)]);
    const loaded = sizeOf([...stored.values()]);
    const job = this.#jobs.get(key);
    const complete = isComplete(record, layout) && loaded === layout.total;
    const error = job || complete ? undefined : (this.#failures.get(key) ?? errorOf(record));
    return {
      model,
      state: complete ? 'complete' : error ? 'failed' : loaded > 0 || job ? 'partial' : 'absent',
      loaded,
      total: layout.total,
      ...(error ? { error } : {}),
      ...(job ? { download: job.progress } : {}),
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
    return sizeOf([...(await this.#parts.stored(this.#layoutOf(model).parts)).values()]);
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
    this.#jobs.get(this.#keyOf(model))?.pause();
  }

  resume(model: CatalogModel): void {
    this.#jobs.get(this.#keyOf(model))?.resume();
  }

  async cancel(model: CatalogModel): Promise<void> {
    const key = this.#keyOf(model);
    if (!this.#jobs.has(key)) return;
    await this.#end(model, `The download of ${model.id} was cancelled. Ask for it again to get it.`);
    await this.#housekeeping.deleteFiles(key, this.#layoutOf(model).parts);
    await this.#changed(model);
  }

  #join(model: CatalogModel, onProgress: OnProgress, signal?: AbortSignal): Promise<File[]> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return (this.#jobs.get(this.#keyOf(model)) ?? this.#begin(model)).join(onProgress, signal);
  }

  #begin(model: CatalogModel): Job {
    const key = this.#keyOf(model);
    const layout = this.#layoutOf(model);
    let before: ModelStatus | undefined;
    const job: Job = new DownloadJob({
      total: layout.total,
      work: async (meter, signal) => {
        before ??= await this.status(model);
        return this.#bring(model, layout, meter, signal);
      },
      onProgress: (progress) => {
        if (progress.source === 'this tab') this.#tabs.tell({ type: 'progress', key, progress });
        if (before === undefined || this.#jobs.get(key) !== job) return;
        const { error: _, ...status } = before;
        this.#tell(model, { ...status, state: 'partial', loaded: progress.loaded, download: progress });
      },
      onFailure: async (failure) => {
        this.#failures.set(key, failure);
        const error = { type: failure.type, message: failure.message };
        await this.#records.change(key, (record) => ({ ...record, error })).catch(() => {});
      },
      onOver: () => {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
      },
    });
    this.#jobs.set(key, job);
    this.#failures.delete(key);
    const onEnd = () => this.#changed(model);
    job.done.then(onEnd, onEnd);
    return job;
  }

  /** Ends a download for all who wait for it. */
  async #end(model: CatalogModel, why: string): Promise<void> {
    await this.#jobs.get(this.#keyOf(model))?.end(new LlamatabError('unavailable_error', why));
  }

  async #bring(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter, signal: AbortSignal): Promise<File[]> {
    const complete = await this.#openComplete(model, layout, meter);
    if (complete !== undefined) return complete;
    signal.throwIfAborted();
    const key = this.#keyOf(model);
    const release = this.#tabs.use(key);
    // Another tab may bring it while this one waits.
    const work = async () =>
      (await this.#openComplete(model, layout, meter)) ?? (await this.#fill(model, layout, meter, signal));
    try {
      return await this.#tabs.alone(key, work, () => meter.enter('waiting'), signal);
    } finally {
      release();
    }
  }

  /** The files of a model that is complete; undefined if it is not, or its bytes are gone. */
  async #openComplete(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter): Promise<File[] | undefined> {
    const record = await this.#records.get(this.#keyOf(model));
    if (!isComplete(record, layout)) return undefined;
    const hashes = record.complete;
    const files = await this.#assemble(
      layout,
      new Map(layout.parts.map(({ key, size }, i) => [key, { sha256: hashes[i] ?? '', size }])),
    );
    if (files === undefined) return undefined;
    await checkFiles(model, layout, files);
    meter.restart();
    for (const part of layout.parts) meter.stored(part.key, part.size);
    return files;
  }

  async #fill(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter, signal: AbortSignal): Promise<File[]> {
    requireSha256();
    const key = this.#keyOf(model);
    meter.restart();
    const [old, stored] = await Promise.all([this.#records.get(key), this.#parts.stored(layout.parts)]);
    if (old && old.fingerprint !== layout.fingerprint) await this.#dropOldVersion(key, old, layout);
    const missing = layout.total - sizeOf([...stored.values()]);
    if (missing > 0 && model.source?.kind === 'file') {
      throw new LlamatabError(
        'unavailable_error',
        `${model.id}: ${showSize(missing)} of it are gone from this browser, and it came from a file of yours. Delete it and add the file again.`,
      );
    }
    await this.#housekeeping.makeRoom(missing, key);
    await this.#housekeeping.change(key, ({ error: _, complete: __, ...record }) => ({
      ...record,
      ...ofLayout(layout),
    }));
    const parts = await downloadParts({
      layout,
      storage: this.#parts,
      validators: this.#validators,
      database: this.#database,
      meter,
      signal,
      fetch: this.#fetch,
      network: this.#options.network ?? browserNetwork,
      headers: this.#headersFor,
      put: (part, hash, blob) => this.#housekeeping.put(key, part, hash, blob),
      retryDelays: this.#options.retryDelays ?? RETRY_DELAYS,
      stallTimeout: this.#options.stallTimeout ?? STALL_TIMEOUT,
      random: Math.random,
    });
    return this.#finish(model, layout, parts);
  }

  /** What all parts together must be; then the manifest. */
  async #finish(model: CatalogModel, layout: PartsLayout, parts: Map<string, StoredPart>): Promise<File[]> {
    const files = await this.#assemble(layout, parts);
    if (files === undefined) throw new LlamatabError('unavailable_error', gone({ label: model.id }));
    await checkFiles(model, layout, files);
    const complete = layout.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
    const lastUsed = this.#now();
    await this.#housekeeping.change(this.#keyOf(model), ({ error: _, ...record }) => ({
      ...record,
      ...ofLayout(layout),
      complete,
      lastUsed,
    }));
    return files;
  }

  /** A file of stored parts is lazy: it refers to them and reads them when it is read. */
  async #assemble(
    layout: Pick<PartsLayout, 'files' | 'parts'>,
    stored: Map<string, StoredPart>,
  ): Promise<File[] | undefined> {
    const blobs = new Map<string, Blob>();
    await Promise.all(
      layout.parts.map(async ({ key }) => {
        const part = stored.get(key);
        const blob = part && (await this.#parts.get(part));
        if (blob !== undefined) blobs.set(key, blob);
      }),
    );
    if (blobs.size < layout.parts.length) return undefined;
    return layout.files.map(({ name, parts }) =>
      LazyFile.join(
        parts.map(({ key }) => blobs.get(key) as Blob),
        name,
      ),
    );
  }

  /** The catalog names other bytes than before: what is not in them any more only takes space. */
  async #dropOldVersion(key: string, old: ModelRecord, layout: PartsLayout): Promise<void> {
    const now = new Set(layout.parts.map((part) => part.key));
    await this.#housekeeping.deleteParts(
      key,
      partsOf(old).filter((part) => !now.has(part.key)),
    );
  }

  readonly #headersFor = (url: string): Record<string, string> => {
    const token = URL.canParse(url) ? this.#tokens.get(new URL(url).origin) : undefined;
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  };

  // --- Keeping and deleting ----------------------------------------------------------------------------------------

  hold(model: CatalogModel): () => void {
    const release = this.#tabs.use(this.#keyOf(model));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      release();
      void this.touch(model);
    };
  }

  async touch(model: CatalogModel): Promise<void> {
    const lastUsed = this.#now();
    // A browser that is full can't even note that: it is no reason to refuse the model.
    await this.#records.change(this.#keyOf(model), (record) => ({ ...record, lastUsed })).catch(() => {});
  }

  async pin(model: CatalogModel, pinned = true): Promise<void> {
    await this.#housekeeping.change(this.#keyOf(model), (record) => ({ ...record, pinned }));
    await this.#changed(model);
  }

  async remove(model: CatalogModel): Promise<void> {
    const key = this.#keyOf(model);
    // A part that is being stored now must not come after the deletion.
    await this.#end(model, `${model.id} was deleted while it was downloaded. Ask for it again to get it.`);
    await this.#housekeeping.deleteFiles(key, this.#layoutOf(model).parts);
    await this.#records.delete(key);
    this.#failures.delete(key);
    if (model.source !== undefined) await this.#forgetOwn(model);
    await this.#changed(model, model.source !== undefined);
  }

  async evict(bytes: number): Promise<CatalogModel[]> {
    const { keys } = await this.#housekeeping.evict(bytes, null);
    const models = await Promise.all(keys.map((key) => this.#modelOf(key)));
    return models.filter((model) => model !== undefined);
  }

  async #onEvicted(key: string): Promise<void> {
    const model = await this.#modelOf(key);
    console.info(`llamatab: ${model?.id ?? 'a model'} was deleted to make space, as the one not used for longest`);
    if (model !== undefined) await this.#changed(model);
  }

  /** Undefined for another site's of this origin, or while the catalog can't be had. */
  async #modelOf(key: string): Promise<CatalogModel | undefined> {
    try {
      const { models } = await this.catalog();
      return models.find((model) => this.#keyOf(model) === key);
    } catch {
      return undefined;
    }
  }

  // --- Checking ----------------------------------------------------------------------------------------------------

  async verify(model: CatalogModel, { signal, onProgress = () => {} }: WorkOptions = {}): Promise<VerifyReport> {
    requireSha256();
    const layout = this.#layoutOf(model);
    const meter = new DownloadMeter(layout.total);
    meter.enter('verifying');
    const stored = await this.#parts.stored(layout.parts);
    const reasons = new Map<string, string>();
    for (const part of layout.parts) {
      signal?.throwIfAborted();
      onProgress(meter.progress());
      const reason = await this.#checkPart(stored.get(part.key));
      if (reason !== undefined) reasons.set(part.key, reason);
      meter.stored(part.key, part.size);
    }
    onProgress(meter.progress());
    const bad = layout.files.flatMap(({ name, parts }) =>
      parts.flatMap(({ key }, i) => {
        const reason = reasons.get(key);
        return reason === undefined ? [] : [{ file: name, part: i + 1, of: parts.length, reason }];
      }),
    );
    const checked = sizeOf(layout.parts.filter(({ key }) => !reasons.has(key)));
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
      const layout = this.#layoutOf(model);
      const hashes = await this.#parts.hashes(layout.parts);
      const names = new Set(report.bad.map(({ file, part }) => `${part} ${file}`));
      const bad = layout.files.flatMap((file) => file.parts.filter((_, i) => names.has(`${i + 1} ${file.name}`)));
      // The acknowledgements stay: what is fetched again has to be the same.
      await this.#parts.delete(
        bad.flatMap((part) => hashes.get(part.key) ?? []),
        [],
      );
      const wholes = layout.hashes.filter((whole) => whole.parts.some((part) => bad.includes(part)));
      await Promise.all(wholes.map((whole) => RunningHash.forget(whole, this.#database)));
    }
    await this.download(model, options);
    return report;
  }

  // --- Space -------------------------------------------------------------------------------------------------------

  async space(
    model: CatalogModel,
    { contextLength = model.contextLength, signal }: { contextLength?: number; signal?: AbortSignal } = {},
  ): Promise<SpaceReport> {
    const layout = this.#layoutOf(model);
    const [header, stored, estimate, persisted, evictable] = await Promise.all([
      this.#headerOf(model, layout, signal),
      this.#parts.stored(layout.parts),
      this.#housekeeping.estimate(),
      this.#housekeeping.persisted(),
      this.#housekeeping.evictable(this.#keyOf(model)),
    ]);
    const missing = layout.total - sizeOf([...stored.values()]);
    const room = estimate.free === null ? null : estimate.free + (this.#options.evict ? evictable : 0);
    const { deviceMemory } = (globalThis.navigator ?? {}) as { deviceMemory?: number };
    return {
      disk: {
        needed: layout.total,
        missing,
        ...estimate,
        evictable,
        persisted,
        enough: room === null || missing <= room,
      },
      memory: memoryNeeded(header, sizeOf(model.files), Math.min(contextLength, model.contextLength), deviceMemory),
    };
  }

  /** The header of the model's first file, stored or not. */
  async #headerOf(model: CatalogModel, { files: [file] }: PartsLayout, signal?: AbortSignal): Promise<GgufHeader> {
    if (file === undefined) throw new LlamatabError('server_error', `The model ${model.id} has no files.`);
    const name = `${model.id}: ${file.name}`;
    const stored = await this.#parts.stored(file.parts);
    const [blob] = (await this.#assemble({ files: [file], parts: file.parts }, stored)) ?? [];
    if (blob !== undefined) return readGgufHeader(blob, name);
    const pieces = file.pieces.map(({ url, size }) =>
      openRemoteFile(url, { fetch: this.#fetch, headers: this.#headersFor(url), size, signal }),
    );
    return readGgufHeader(joinSources(await Promise.all(pieces)), name);
  }

  // --- Models that the user adds -----------------------------------------------------------------------------------

  async addFromUrl(url: string, { id, token }: AddOptions = {}): Promise<CatalogModel> {
    const address = downloadAddress(url);
    this.#keepToken(address, token);
    const known = await this.#findOwn((source) => source.kind === 'url' && source.url === address);
    if (known !== undefined) return known;
    if (id !== undefined) await this.#chooseId(id);
    return this.#takeUp(await findByUrl(address, this.#findOptions), id);
  }

  async addFromHub(name: string, { id, token, endpoint = DEFAULT_ENDPOINT }: AddOptions = {}): Promise<CatalogModel> {
    parseHubName(name);
    if (!/^https?:/.test(endpoint) || !URL.canParse(endpoint)) {
      throw new LlamatabError('invalid_request_error', `'${endpoint}' is no address of a hub.`, { param: 'endpoint' });
    }
    if (id !== undefined) await this.#chooseId(id);
    this.#keepToken(endpoint, token);
    const found = await findByHubName(name, endpoint, this.#findOptions);
    const known = await this.#findOwn((source) => JSON.stringify(source) === JSON.stringify(found.source));
    return known ?? this.#takeUp(found, id);
  }

  async addFromFiles(files: readonly File[], options: AddOptions & WorkOptions = {}): Promise<CatalogModel> {
    requireSha256();
    const { id, signal, onProgress = () => {} } = options;
    const { model: found, blobs, isArchive } = await findInFiles(files);
    const site = isArchive ? await this.#siteModelLike(found) : undefined;
    const model: CatalogModel = site ?? { ...found, id: await this.#chooseId(id, found.id) };
    const key = this.#keyOf(model);
    const layout = this.#layoutOf(model);
    const meter = new DownloadMeter(layout.total);
    await this.#housekeeping.makeRoom(layout.total - (await this.stored(model)), key);
    await this.#housekeeping.change(key, (record) => ({ ...record, ...ofLayout(layout) }));
    const release = this.#tabs.use(key);
    try {
      const parts = await this.#copyIn(layout, blobs, meter, key, () => {
        signal?.throwIfAborted();
        onProgress(meter.progress());
      });
      signal?.throwIfAborted();
      await this.#finish(model, layout, parts);
    } catch (error) {
      await this.#housekeeping.deleteFiles(key, layout.parts);
      if (site === undefined) await this.#records.delete(key);
      throw error;
    } finally {
      release();
    }
    if (site === undefined) await this.#keepOwn(model);
    await this.#changed(model);
    onProgress(meter.progress());
    return model;
  }

  /** Copies files into the store, part by part: the browser copies from disk to disk, only hashing reads them. */
  async #copyIn(
    layout: PartsLayout,
    blobs: readonly Blob[],
    meter: DownloadMeter,
    key: string,
    onPart: () => void,
  ): Promise<Map<string, StoredPart>> {
    const parts = new Map<string, StoredPart>();
    for (const [i, file] of layout.files.entries()) {
      let at = 0;
      for (const part of file.parts) {
        onPart();
        const blob = (blobs[i] ?? new Blob()).slice(at, at + part.size);
        const hash = await sha256(await blob.arrayBuffer());
        if (part.sha256 !== undefined && hash !== part.sha256) {
          throw new LlamatabError(
            'invalid_request_error',
            `${part.label}: its SHA-256 is ${hash}, the export says ${part.sha256}. The file was damaged on the way: copy it again.`,
            { param: 'files' },
          );
        }
        await this.#housekeeping.put(key, part, hash, blob);
        if (!parts.has(part.key)) meter.received(part.key, part.size);
        if (!parts.has(part.key)) meter.stored(part.key, part.size);
        parts.set(part.key, { sha256: hash, size: part.size });
        at += part.size;
      }
    }
    return parts;
  }

  /** The site's own model of the same name and bytes. */
  async #siteModelLike(found: CatalogModel): Promise<CatalogModel | undefined> {
    const { models } = await this.catalog();
    const { fingerprint } = this.#layoutOf(found);
    return models.find((model) => model.source === undefined && this.#layoutOf(model).fingerprint === fingerprint);
  }

  async exportFiles(model: CatalogModel): Promise<File[]> {
    return (await this.#complete(model)).files;
  }

  async exportArchive(model: CatalogModel): Promise<File> {
    const { files, parts } = await this.#complete(model);
    const layout = this.#layoutOf(model);
    const described = model.files.map(({ name, size, sha256 }, i): CatalogFile => {
      const pieces = (layout.files[i]?.pieces ?? []).map((piece) => {
        const hashes = piece.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
        const url = encodeURIComponent(name);
        return { url, size: piece.size, ...(hashes.length === 1 ? { sha256: hashes[0] ?? '' } : { parts: hashes }) };
      });
      return { name, size, ...(sha256 ? { sha256 } : {}), pieces };
    });
    return writeArchive({ ...model, files: described }, files);
  }

  async #complete(model: CatalogModel): Promise<{ files: File[]; parts: Map<string, StoredPart> }> {
    const layout = this.#layoutOf(model);
    const record = await this.#records.get(this.#keyOf(model));
    const parts = await this.#parts.stored(layout.parts);
    const files = isComplete(record, layout) ? await this.#assemble(layout, parts) : undefined;
    if (files !== undefined) return { files, parts };
    throw new LlamatabError('invalid_request_error', `${model.id} is not complete on this device: download it first.`, {
      param: 'model',
    });
  }

  get #findOptions() {
    return { fetch: this.#fetch, headersFor: this.#headersFor };
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

  async #takeUp(found: FoundModel, id: string | undefined): Promise<CatalogModel> {
    const model = { ...found, id: await this.#chooseId(id, found.id) };
    await this.#keepOwn(model);
    await this.#changed(model);
    return model;
  }

  async #keepOwn(model: CatalogModel): Promise<void> {
    const own = await this.#ownModels();
    await this.#housekeeping.change(this.#keyOf(model), (record) => ({ ...record, own: model }));
    own.push(model);
  }

  async #forgetOwn(model: CatalogModel): Promise<void> {
    const own = await this.#ownModels();
    const at = own.findIndex(({ id }) => id === model.id);
    if (at >= 0) own.splice(at, 1);
  }

  /** @throws LlamatabError `invalid_request_error` for an id that is no name or is taken */
  async #chooseId(wanted: string | undefined, byDefault = 'model'): Promise<string> {
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
    try {
      this.#tell(model, removed ? 'removed' : await this.status(model));
    } catch {
      // Whoever asks for the status meets the same error.
    }
  }

  #tell(model: CatalogModel, status: ModelStatus | 'removed'): void {
    for (const listener of this.#listeners) listener(model, status);
  }

  /** Of its record. Sites of one origin may give different models one name. */
  #keyOf(model: CatalogModel): string {
    return `${model.source === undefined ? this.#options.catalogUrl : OWN} ${model.id}`;
  }

  #layoutOf(model: CatalogModel): PartsLayout {
    return layOutParts(model, this.#options.catalogUrl, this.#options.partSize ?? PART_SIZE);
  }
}

function isComplete(
  record: ModelRecord | undefined,
  layout: PartsLayout,
): record is ModelRecord & { complete: string[] } {
  return record?.complete?.length === layout.parts.length && record.fingerprint === layout.fingerprint;
}

/** An earlier visit's. */
function errorOf(record: ModelRecord | undefined): LlamatabError | undefined {
  return record?.error && new LlamatabError(record.error.type, record.error.message);
}

/** Keeps garbage and truncated files from the engine, which takes some of them for models. */
async function checkFiles(model: CatalogModel, layout: PartsLayout, files: readonly File[]): Promise<void> {
  const published = layout.parts.every((part) => part.sha256 !== undefined) || layout.hashes.length > 0;
  const remedy = published
    ? 'Its bytes are those that the catalog names, so it was published like that: replace it and update the catalog.'
    : 'It came like that from its server: delete the model, check the address, and add it again.';
  await Promise.all(
    files.map(async (file) => {
      try {
        await readGgufHeader(file, `${model.id}: ${file.name}`);
      } catch (error) {
        if (!(error instanceof LlamatabError)) throw LlamatabError.from(error);
        throw new LlamatabError(error.type, `${error.message} ${remedy}`, { cause: error });
      }
    }),
  );
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
  return { size: sizeOf(sources), slice: (start, end) => ({ arrayBuffer: () => read(start, end) }) };
}
