/**
 * The models that are loaded, and those on their way: each is downloaded and loaded when first asked for, once for all who
 * ask. A model whose engine is lost, or whose load failed, is loaded again by the next request.
 */
import type { Engine, LoadedModel } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from '../models/models.ts';

/** llama-server's names of a model's states. What failed is `unloaded`, with the reason. */
export type ModelState =
  | { value: 'unloaded'; error?: LlamatabError }
  | { value: 'downloading'; progress: DownloadProgress }
  | { value: 'loading' }
  | { value: 'loaded'; model: LoadedModel };

export type StateListener = (model: CatalogModel, state: ModelState) => void;

interface Entry {
  /** Ends the download and the load. */
  abort: AbortController;
  loaded: Promise<LoadedModel>;
}

const UNLOADED: ModelState = { value: 'unloaded' };

export class ModelRouter {
  readonly #models: ModelStore;
  readonly #engine: Engine;
  /** Loaded models and those on their way, by id. */
  readonly #entries = new Map<string, Entry>();
  readonly #states = new Map<string, ModelState>();
  readonly #listeners = new Set<StateListener>();

  constructor(models: ModelStore, engine: Engine) {
    this.#models = models;
    this.#engine = engine;
  }

  state(id: string): ModelState {
    return this.#states.get(id) ?? UNLOADED;
  }

  /** Calls `listener` after each change of any model. Returns a function that ends it. */
  subscribe(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The model, loaded; waits for its download and load if need be. Aborting `signal` ends the wait, not the load: others may
   * wait for it too, and what is loaded answers the next request at once.
   * @throws LlamatabError with the reason why it can't be loaded; `AbortError` when aborted.
   */
  async acquire(model: CatalogModel, signal: AbortSignal): Promise<LoadedModel> {
    signal.throwIfAborted();
    return abortable(this.load(model).loaded, signal);
  }

  /** Starts to download and load the model, unless it is loaded or on its way. */
  load(model: CatalogModel): Entry {
    const known = this.#entries.get(model.id);
    if (known !== undefined) return known;
    this.#setState(model, { value: 'loading' });
    const abort = new AbortController();
    const entry: Entry = { abort, loaded: this.#open(model, abort.signal) };
    this.#entries.set(model.id, entry);
    entry.loaded.then(
      (loaded) => this.#onLoaded(model, entry, loaded),
      (error: unknown) => this.#drop(model, entry, LlamatabError.from(error)),
    );
    return entry;
  }

  /** Frees the model's memory, or ends its download and load. Requests that it serves or that wait for it are rejected. */
  unload(model: CatalogModel): void {
    const entry = this.#entries.get(model.id);
    if (entry === undefined) return;
    const state = this.state(model.id);
    this.#drop(model, entry);
    if (state.value === 'loaded') state.model.unload();
    else
      entry.abort.abort(
        new LlamatabError('unavailable_error', `The model '${model.id}' was unloaded while it was loading.`),
      );
  }

  async #open(model: CatalogModel, signal: AbortSignal): Promise<LoadedModel> {
    const files = await abortable(
      this.#models.open(model, (progress) => this.#onProgress(model, progress, signal), signal),
      signal,
    );
    if (this.state(model.id).value === 'downloading') this.#setState(model, { value: 'loading' });
    // llama.cpp completes with a model that is loaded for embeddings, but not the other way round.
    const reranks = model.capabilities.includes('rerank');
    const kind = reranks || model.capabilities.includes('embedding') ? 'embedding' : 'completion';
    const pooling = reranks ? 'rank' : undefined;
    const loading = this.#engine.load(
      { id: model.id, files, kind, pooling, contextLength: model.contextLength },
      signal,
    );
    // An engine that notices the abort too late must not keep the memory of a model that nobody knows.
    loading.then((loaded) => signal.aborted && loaded.unload()).catch(() => {});
    return abortable(loading, signal);
  }

  /** What is stored already is only opened: not a download. */
  #onProgress(model: CatalogModel, progress: DownloadProgress, signal: AbortSignal): void {
    const state = this.state(model.id).value;
    if (signal.aborted || (state === 'loading' && progress.loaded >= progress.total)) return;
    this.#setState(model, { value: 'downloading', progress });
  }

  #onLoaded(model: CatalogModel, entry: Entry, loaded: LoadedModel): void {
    if (this.#entries.get(model.id) !== entry) return;
    this.#setState(model, { value: 'loaded', model: loaded });
    loaded.lost.then(
      (reason) => this.#drop(model, entry, reason),
      (reason: unknown) => this.#drop(model, entry, LlamatabError.from(reason)),
    );
  }

  #drop(model: CatalogModel, entry: Entry, error?: LlamatabError): void {
    if (this.#entries.get(model.id) !== entry) return;
    this.#entries.delete(model.id);
    this.#setState(model, error === undefined ? UNLOADED : { value: 'unloaded', error });
  }

  #setState(model: CatalogModel, state: ModelState): void {
    this.#states.set(model.id, state);
    for (const listener of this.#listeners) listener(model, state);
  }
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
