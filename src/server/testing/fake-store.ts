/** A model store for tests. */
import type {
  AddOptions,
  Catalog,
  CatalogModel,
  DownloadProgress,
  ModelSource,
  ModelStatus,
  ModelStore,
  SpaceReport,
  VerifyReport,
  WorkOptions,
} from '../../models/models.ts';
import { CHAT_MODEL } from './catalog.ts';

/** Has no files: reports what the test sets, and records what it is asked to do. */
export class FakeStore implements ModelStore {
  opens = 0;
  onOpen: (report: (progress: DownloadProgress) => void, signal?: AbortSignal) => Promise<void> = async () => {};
  /** What it was asked to do, in order: `['pin', id, true]`. */
  readonly calls: unknown[][] = [];
  /** The outcome of work that takes time. */
  onWork: (verb: 'download' | 'verify' | 'repair', model: CatalogModel, options: WorkOptions) => Promise<VerifyReport> =
    async () => ({ ok: true, checked: 100, bad: [] });
  onAdd: (options: AddOptions & WorkOptions) => Promise<void> = async () => {};
  exported: File[] = [];
  readonly #catalog: Catalog;
  readonly #statuses = new Map<string, Partial<ModelStatus>>();
  readonly #listeners = new Set<Parameters<ModelStore['subscribe']>[0]>();

  constructor(catalog: Catalog) {
    this.#catalog = { ...catalog, models: [...catalog.models] };
  }

  /** Changes the reported status of a model's files, and notifies listeners. */
  async set(model: CatalogModel, status: Partial<ModelStatus>): Promise<void> {
    this.#statuses.set(model.id, { ...this.#statuses.get(model.id), ...status });
    this.#tell(model, await this.status(model));
  }

  catalog = async () => this.#catalog;
  stored = async (model: CatalogModel) => (await this.status(model)).loaded;
  list = async () => Promise.all(this.#catalog.models.map((model) => this.status(model)));
  status = async (model: CatalogModel): Promise<ModelStatus> => ({
    model,
    state: 'absent',
    loaded: 0,
    total: model.files.reduce((sum, file) => sum + file.size, 0),
    pinned: false,
    lastUsed: null,
    kept: 'disk',
    ...this.#statuses.get(model.id),
  });
  subscribe = (listener: Parameters<ModelStore['subscribe']>[0]) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  download = async (model: CatalogModel, options: WorkOptions = {}) => {
    this.calls.push(['download', model.id]);
    await this.onWork('download', model, options);
  };
  verify = (model: CatalogModel, options: WorkOptions = {}) => this.#work('verify', model, options);
  repair = (model: CatalogModel, options: WorkOptions = {}) => this.#work('repair', model, options);
  pause = ({ id }: CatalogModel) => void this.calls.push(['pause', id]);
  resume = ({ id }: CatalogModel) => void this.calls.push(['resume', id]);
  cancel = async ({ id }: CatalogModel) => void this.calls.push(['cancel', id]);
  hold = () => () => {};
  touch = async () => {};
  pin = async (model: CatalogModel, pinned = true) => {
    this.calls.push(['pin', model.id, pinned]);
    await this.set(model, { pinned });
  };
  remove = async (model: CatalogModel) => {
    this.calls.push(['remove', model.id]);
    const { models } = this.#catalog;
    if (model.source !== undefined) models.splice(models.indexOf(model), 1);
    this.#statuses.delete(model.id);
    this.#tell(model, model.source === undefined ? await this.status(model) : 'removed');
  };
  evict = async () => [];
  space = async (model: CatalogModel, { contextLength = model.contextLength } = {}): Promise<SpaceReport> => ({
    disk: {
      needed: 100,
      missing: 100,
      usage: 0,
      quota: 1000,
      free: 1000,
      evictable: 0,
      persisted: false,
      enough: true,
    },
    memory: { weights: 100, kvCache: 10, total: 110, contextLength, available: null, enough: true },
  });
  addFromUrl = (url: string, options: AddOptions = {}) => this.#add({ kind: 'url', url }, options);
  addFromHub = (repo: string, options: AddOptions = {}) =>
    this.#add({ kind: 'hub', endpoint: options.endpoint ?? 'https://hub', repo, tag: 'Q4_K_M' }, options);
  addFromFiles = ([file]: readonly File[], options: AddOptions & WorkOptions = {}) =>
    this.#add({ kind: 'file', name: file?.name ?? '' }, options);
  exportFiles = async () => this.exported;
  exportArchive = async ({ id }: CatalogModel) => new File(this.exported, `${id.replaceAll('/', '-')}.tar`);

  async open(
    _model: CatalogModel,
    onProgress: (progress: DownloadProgress) => void,
    signal?: AbortSignal,
  ): Promise<Blob[]> {
    this.opens++;
    await this.onOpen(onProgress, signal);
    return [new Blob()];
  }

  #work(verb: 'verify' | 'repair', model: CatalogModel, options: WorkOptions): Promise<VerifyReport> {
    this.calls.push([verb, model.id]);
    return this.onWork(verb, model, options);
  }

  async #add(source: ModelSource, options: AddOptions & WorkOptions): Promise<CatalogModel> {
    const { onProgress: _, signal: __, ...given } = options;
    this.calls.push(['add', source, given]);
    await this.onAdd(options);
    const model = { ...CHAT_MODEL, id: options.id ?? 'added', aliases: [], source };
    this.#catalog.models.push(model);
    this.#tell(model, await this.status(model));
    return model;
  }

  #tell(model: CatalogModel, status: ModelStatus | 'removed'): void {
    for (const listener of this.#listeners) listener(model, status);
  }
}
