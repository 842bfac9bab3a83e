/**
 * The model store: which models there are, and their files as Blobs, downloaded part by part where they are not stored yet.
 *
 * It is put together here; each file beside it does one job. A download goes through them in this order: `parts-layout.ts` cuts
 * the model into parts, `downloads.ts` runs one download for all callers, `download-parts.ts` brings the parts (`transfer.ts` each from
 * the network, `part-storage.ts` into IndexedDB), `stored-files.ts` checks that the whole is a GGUF, and the record
 * (`records.ts`) says last of all that it is complete.
 */
import type { UseStore } from 'idb-keyval';
import { openDatabase, retrying } from '../database.ts';
import { AccessTokens } from './access-tokens.ts';
import { ModelAdder } from './add-models.ts';
import { Downloads } from './downloads.ts';
import { exportArchive, exportFiles } from './export-model.ts';
import { Housekeeping, type StorageReport } from './housekeeping.ts';
import { browserNetwork, type FetchLike, type Network } from './http.ts';
import { ModelList } from './model-list.ts';
import { ModelStatusBoard } from './model-status.ts';
import type {
  AddOptions,
  Catalog,
  CatalogModel,
  DownloadProgress,
  ModelStatus,
  ModelStore,
  SpaceReport,
  VerifyReport,
  WorkOptions,
} from './models.ts';
import { OwnModels } from './own-models.ts';
import { PartStorage } from './part-storage.ts';
import { layOutParts, PART_SIZE } from './parts-layout.ts';
import { OWN, Records, ValidatorStorage } from './records.ts';
import { reportSpace, type SpaceOptions } from './space-report.ts';
import type { StoreContext } from './store-context.ts';
import { createTabs, type Tabs } from './tabs.ts';
import { RETRY_DELAYS, STALL_TIMEOUT } from './transfer.ts';
import { dropBad, verify } from './verify.ts';

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

/**
 * Makes a store. Nothing is fetched before it is asked for.
 *
 * @param options All but `catalogUrl` default to the platform's own.
 */
export function createModelStore(options: ModelStoreOptions): ModelStore {
  return new IndexedDbModelStore(options);
}

class IndexedDbModelStore implements ModelStore {
  readonly #context: StoreContext;
  readonly #evict: boolean;
  readonly #own: OwnModels;
  readonly #list: ModelList;
  readonly #statuses: ModelStatusBoard;
  readonly #downloads: Downloads;
  readonly #adder: ModelAdder;

  constructor(options: ModelStoreOptions) {
    const { catalogUrl, partSize = PART_SIZE } = options;
    const database = retrying(options.database ?? openDatabase('llamatab', 'models', () => void this.#onLost()));
    const parts = new PartStorage(database);
    const records = new Records(database);
    const validators = new ValidatorStorage(database);
    const tabs = options.tabs ?? createTabs();
    this.#evict = options.evict ?? false;
    const housekeeping = new Housekeeping({
      parts,
      records,
      validators,
      database,
      tabs,
      storage: 'storage' in options ? options.storage : globalThis.navigator?.storage,
      evict: this.#evict,
      isBusy: (key) => this.#downloads.isUnderway(key),
      onEvicted: (key) => this.#onEvicted(key),
    });
    this.#context = {
      database,
      parts,
      records,
      validators,
      housekeeping,
      tabs,
      fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
      network: options.network ?? browserNetwork,
      tokens: new AccessTokens(),
      retryDelays: options.retryDelays ?? RETRY_DELAYS,
      stallTimeout: options.stallTimeout ?? STALL_TIMEOUT,
      now: options.now ?? Date.now,
      // Sites of one origin may give different models one name.
      keyOf: ({ source, id }) => `${source === undefined ? catalogUrl : OWN} ${id}`,
      layoutOf: (model) => layOutParts(model, catalogUrl, partSize),
    };
    this.#own = new OwnModels(this.#context);
    this.#list = new ModelList(this.#context, catalogUrl, this.#own);
    this.#statuses = new ModelStatusBoard(this.#context, (key) => this.#downloads.activityOf(key));
    this.#downloads = new Downloads(this.#context, this.#statuses);
    this.#adder = new ModelAdder(this.#context, this.#list, this.#own, this.#statuses);
    tabs.listen((message) => {
      if (message.type === 'progress') this.#downloads.elsewhere(message.key, message.progress);
      if (message.type === 'changed' && message.key.startsWith(`${OWN} `)) this.#own.refresh();
    });
  }

  // --- What there is -----------------------------------------------------------------------------------------------

  catalog(): Promise<Catalog> {
    return this.#list.catalog();
  }

  async list(): Promise<ModelStatus[]> {
    const { models } = await this.catalog();
    return Promise.all(models.map((model) => this.status(model)));
  }

  status(model: CatalogModel): Promise<ModelStatus> {
    return this.#statuses.of(model);
  }

  subscribe(listener: Parameters<ModelStore['subscribe']>[0]): () => void {
    return this.#statuses.subscribe(listener);
  }

  async stored(model: CatalogModel): Promise<number> {
    return this.#context.parts.storedSize(this.#context.layoutOf(model).parts);
  }

  space(model: CatalogModel, options: SpaceOptions = {}): Promise<SpaceReport> {
    return reportSpace(this.#context, model, this.#evict, options);
  }

  // --- Downloads ---------------------------------------------------------------------------------------------------

  async download(model: CatalogModel, { signal, onProgress = () => {} }: WorkOptions = {}): Promise<void> {
    this.resume(model);
    await this.#downloads.join(model, onProgress, signal);
  }

  async open(
    model: CatalogModel,
    onProgress: (progress: DownloadProgress) => void,
    signal?: AbortSignal,
  ): Promise<Blob[]> {
    const files = await this.#downloads.join(model, onProgress, signal);
    await this.touch(model);
    return files;
  }

  pause(model: CatalogModel): void {
    this.#downloads.pause(model);
  }

  resume(model: CatalogModel): void {
    this.#downloads.resume(model);
  }

  async cancel(model: CatalogModel): Promise<void> {
    const why = `The download of ${model.id} was cancelled. Ask for it again to get it.`;
    if (!(await this.#downloads.end(model, why))) return;
    await this.#deleteFiles(model);
    await this.#statuses.changed(model);
  }

  async verify(model: CatalogModel, options: WorkOptions = {}): Promise<VerifyReport> {
    return (await verify(this.#context, model, options)).report;
  }

  async repair(model: CatalogModel, options: WorkOptions = {}): Promise<VerifyReport> {
    const { report, bad } = await verify(this.#context, model, options);
    if (bad.length > 0) await dropBad(this.#context, model, bad);
    await this.download(model, options);
    return report;
  }

  // --- Keeping and deleting ----------------------------------------------------------------------------------------

  hold(model: CatalogModel): () => void {
    const release = this.#context.tabs.use(this.#context.keyOf(model));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      release();
      void this.touch(model);
    };
  }

  async touch(model: CatalogModel): Promise<void> {
    const { records, keyOf, now } = this.#context;
    const lastUsed = now();
    // A browser that is full can't even note that: it is no reason to refuse the model.
    await records.change(keyOf(model), (record) => ({ ...record, lastUsed })).catch(() => {});
  }

  async pin(model: CatalogModel, pinned = true): Promise<void> {
    await this.#context.housekeeping.change(this.#context.keyOf(model), (record) => ({ ...record, pinned }));
    await this.#statuses.changed(model);
  }

  async remove(model: CatalogModel): Promise<void> {
    const isOwn = model.source !== undefined;
    // A part that is being stored now must not come after the deletion.
    await this.#downloads.end(model, `${model.id} was deleted while it was downloaded. Ask for it again to get it.`);
    await this.#deleteFiles(model);
    await this.#context.records.delete(this.#context.keyOf(model));
    this.#downloads.forgetFailure(model);
    if (isOwn) await this.#own.forget(model);
    await this.#statuses.changed(model, isOwn);
  }

  async evict(bytes: number): Promise<CatalogModel[]> {
    const { keys } = await this.#context.housekeeping.evict(bytes, null);
    const models = await Promise.all(keys.map((key) => this.#list.byKey(key)));
    return models.filter((model) => model !== undefined);
  }

  async #onEvicted(key: string): Promise<void> {
    const model = await this.#list.byKey(key);
    console.info(`llamatab: ${model?.id ?? 'a model'} was deleted to make space, as the one not used for longest`);
    if (model !== undefined) await this.#statuses.changed(model);
  }

  /** Site data was cleared, or the browser closed its database: what is stored now is what a look at it tells. */
  async #onLost(): Promise<void> {
    console.warn(
      'llamatab: the browser closed its database, perhaps because site data was cleared. Loaded models go on; what is gone is ' +
        'downloaded again when it is next loaded.',
    );
    this.#own.refresh();
    const { models } = await this.catalog();
    for (const model of models) await this.#statuses.changed(model);
  }

  async #deleteFiles(model: CatalogModel): Promise<void> {
    const { housekeeping, keyOf, layoutOf } = this.#context;
    await housekeeping.deleteFiles(keyOf(model), layoutOf(model).parts);
  }

  // --- Into the browser and out of it ------------------------------------------------------------------------------

  addFromUrl(url: string, options?: AddOptions): Promise<CatalogModel> {
    return this.#adder.fromUrl(url, options);
  }

  addFromHub(name: string, options?: AddOptions): Promise<CatalogModel> {
    return this.#adder.fromHub(name, options);
  }

  addFromFiles(files: readonly File[], options?: AddOptions & WorkOptions): Promise<CatalogModel> {
    return this.#adder.fromFiles(files, options);
  }

  exportFiles(model: CatalogModel): Promise<File[]> {
    return exportFiles(this.#context, model);
  }

  exportArchive(model: CatalogModel): Promise<File> {
    return exportArchive(this.#context, model);
  }
}
