/**
 * The models that are loaded or on their way. A model is downloaded and loaded when it is first asked for, once for all
 * requests that want it; if its load fails, or its engine is lost later, the next request loads it again.
 *
 * Loaded models share a memory budget. If another one does not fit beside them, unused models are unloaded, the least
 * recently used first. A model in use is waited for; a pinned one stays.
 */
import { abortable } from '../../abortable.ts';
import { type Engine, EngineLost, type EngineModel, type Json, type LoadedModel } from '../../engine/engine.ts';
import { invalid, LlamatabError } from '../../errors.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from '../../models/models.ts';
import type { MemoryOptions } from '../../protocol.ts';
import { defaultBudget } from './memory-budget.ts';

/** A model's state, by llama-server's names. A failed model is `unloaded`, with the reason. */
export type ModelState =
  | { value: 'unloaded'; error?: LlamatabError }
  | { value: 'downloading'; progress: DownloadProgress }
  | { value: 'loading' }
  /** `memory`: in bytes. `restart`: the last loss of its engine, if there was one. */
  | { value: 'loaded'; model: LoadedModel; memory: number; restart: Restart | null }
  /** Unloaded for lack of use; the next request loads it again. `known`: what `Recall` said; null where it failed. */
  | { value: 'sleeping'; known: Json | null };

/** What is to be known of a model while it sleeps. */
export type Recall = (model: CatalogModel, loaded: LoadedModel) => Promise<Json>;

export type StateListener = (model: CatalogModel, state: ModelState) => void;

/** The request that borrows a model. */
export interface Borrower {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Whether the model may be loaded for it. */
  readonly autoload: boolean;
  /** Who asks: one that fills the queue does not keep the others out. Default: all are one. */
  readonly caller?: string;
  /** It was let in before, by another host or by an engine that was lost: it counts, but is not refused. Default: false. */
  readonly admitted?: boolean;
}

/** An engine that was lost under a model. */
export interface Restart {
  model: string;
  /** Milliseconds since 1970. */
  time: number;
  /** For people. */
  reason: string;
}

/** Requests that may wait for one model, its slots apart: each holds its whole body, and whoever is behind so many has given up. */
export const MAX_WAITING = 200;

/** Requests that each caller may have when the queue is full. */
export const ALWAYS_ADMITTED = 4;

/** Restarts that are remembered. */
const MAX_RESTARTS = 20;

interface Entry {
  model: CatalogModel;
  /** Ends its download and its load. */
  abort: AbortController;
  loaded: Promise<LoadedModel>;
  /** Requests, and parts of them, that use it or wait for it. */
  users: number;
  /** A counter's value at its last use: the lowest was used longest ago. */
  lastUse: number;
  /** Bytes that it takes, or is about to take; null until it has its place in the budget. */
  memory: number | null;
  /** The timer until it sleeps. */
  idle?: ReturnType<typeof setTimeout> | undefined;
  /** Allows the store to evict it again. */
  release: () => void;
}

const UNLOADED: ModelState = { value: 'unloaded' };

export class ModelPool {
  readonly #models: ModelStore;
  readonly #engine: Engine;
  readonly #limit: number | null;
  readonly #budget: number;
  readonly #sleepIdleSeconds: number;
  readonly #recall: Recall;
  readonly #clock: () => number;
  /** Loaded models and those on their way, by id. */
  readonly #entries = new Map<string, Entry>();
  readonly #states = new Map<string, ModelState>();
  readonly #listeners = new Set<StateListener>();
  #uses = 0;
  /** Models get room in the order of asking. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Called when there may be room: a model was loaded, unloaded or unpinned, or is no longer in use. */
  readonly #waiting = new Set<() => void>();
  /** Callers of `lendEach`, once for each request that is not over, by the model's id. */
  readonly #requests = new Map<string, string[]>();
  readonly #restarts: Restart[] = [];
  /** How often that was. */
  #changes = 0;

  constructor(
    models: ModelStore,
    engine: Engine,
    { memory, sleepIdleSeconds = -1 }: MemoryOptions = {},
    recall: Recall = async () => ({}),
    clock = Date.now,
  ) {
    this.#recall = recall;
    this.#clock = clock;
    this.#models = models;
    this.#engine = engine;
    this.#limit = memory ?? null;
    this.#budget = memory ?? defaultBudget();
    this.#sleepIdleSeconds = sleepIdleSeconds;
    // A model may have been unpinned.
    models.subscribe(() => this.#wake());
  }

  state(id: string): ModelState {
    return this.#states.get(id) ?? UNLOADED;
  }

  /** Whether no model is in use, or on its way. */
  get idle(): boolean {
    return [...this.#entries.values()].every(
      ({ users, model }) => users === 0 && this.state(model.id).value === 'loaded',
    );
  }

  /** The last ones, the oldest first. */
  get restarts(): readonly Restart[] {
    return this.#restarts;
  }

  /** Calls `listener` after each change of any model. Returns a function that ends it. */
  subscribe(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Does `work` with the model, once it is loaded: waits for its download, for room and for its load. Until the work
   * ends, the model is not unloaded to make room. Aborting the borrower's signal ends the wait but not the load: other
   * requests may wait for it, and the next one is answered at once.
   * @throws LlamatabError with the reason why the model can't be loaded; what `work` throws; `AbortError` when aborted.
   */
  async lend<T>(model: CatalogModel, borrower: Borrower, work: (loaded: LoadedModel) => Promise<T> | T): Promise<T> {
    const entry = this.#use(model, borrower);
    try {
      return await work(await abortable(entry.loaded, borrower.signal));
    } finally {
      this.#endUse(entry);
    }
  }

  /** The same for work with several results; it ends with the last, or when the loop over them is left. */
  async *lendAll<T>(
    model: CatalogModel,
    borrower: Borrower,
    work: (loaded: LoadedModel) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const entry = this.#use(model, borrower);
    try {
      yield* work(await abortable(entry.loaded, borrower.signal));
    } catch (error) {
      // Whoever asks again must not get this one.
      if (error instanceof EngineLost) this.#drop(entry, unloadedBy(error));
      throw error;
    } finally {
      this.#endUse(entry);
    }
  }

  /**
   * The same for a request: refused where too many wait, and done once more if its engine is lost before its first result.
   * @throws LlamatabError `unavailable_error` beyond `MAX_WAITING`, and `ALWAYS_ADMITTED` of the same caller, unless it was admitted
   *   before.
   */
  async *lendEach<T>(
    model: CatalogModel,
    borrower: Borrower,
    work: (loaded: LoadedModel) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const leave = this.#enter(model, borrower);
    try {
      for (let again = false; ; again = true) {
        let given = false;
        try {
          // The engine that was lost is the pool's to replace, whether or not the request would have had it loaded.
          const lent = { signal: borrower.signal, autoload: borrower.autoload || again };
          for await (const result of this.lendAll(model, lent, work)) {
            given = true;
            yield result;
          }
          return;
        } catch (error) {
          // Once: it may be this request's doing.
          if (given || again || !(error instanceof EngineLost) || borrower.signal.aborted) throw error;
        }
      }
    } finally {
      leave();
    }
  }

  /** Counts a request, from now until the returned function is called. */
  #enter({ id }: CatalogModel, { caller = '', admitted = false }: Borrower): () => void {
    const callers = this.#requests.get(id) ?? [];
    this.#requests.set(id, callers);
    const state = this.state(id);
    const slots = state.value === 'loaded' ? state.model.info.plan.slots : 0;
    const isFull = callers.length >= MAX_WAITING + slots;
    if (isFull && !admitted && callers.filter((other) => other === caller).length >= ALWAYS_ADMITTED) {
      throw new LlamatabError(
        'unavailable_error',
        `The queue is full: ${callers.length - slots} requests wait for the model '${id}' already. Wait for some of them, or send the request later.`,
      );
    }
    callers.push(caller);
    return () => void callers.splice(callers.indexOf(caller), 1);
  }

  /** Starts to download and load the model, unless that has been done. */
  load(model: CatalogModel): Entry {
    const known = this.#entries.get(model.id);
    if (known !== undefined) return known;
    this.#setState(model, { value: 'loading' });
    const abort = new AbortController();
    const entry: Entry = {
      model,
      abort,
      loaded: new Promise(() => {}),
      users: 0,
      lastUse: this.#uses++,
      memory: null,
      release: this.#models.hold(model),
    };
    this.#entries.set(model.id, entry);
    entry.loaded = this.#open(entry);
    entry.loaded.then(
      (loaded) => this.#onLoaded(entry, loaded),
      (error: unknown) => this.#drop(entry, unloadedBy(LlamatabError.from(error))),
    );
    return entry;
  }

  /** Frees the model's memory, or ends its download and load. Rejects the requests that use it or wait for it. */
  unload(model: CatalogModel): void {
    const entry = this.#entries.get(model.id);
    if (entry !== undefined) this.#end(entry, UNLOADED);
  }

  #use(model: CatalogModel, { signal, autoload }: Borrower): Entry {
    signal.throwIfAborted();
    if (!this.#entries.has(model.id) && !autoload) {
      throw invalid('model', 'model is not loaded');
    }
    const entry = this.load(model);
    entry.users++;
    entry.lastUse = this.#uses++;
    clearTimeout(entry.idle);
    return entry;
  }

  #endUse(entry: Entry): void {
    entry.users--;
    entry.lastUse = this.#uses++;
    this.#sleepLater(entry);
    this.#wake();
  }

  async #open(entry: Entry): Promise<LoadedModel> {
    const { model } = entry;
    const { signal } = entry.abort;
    const opened = await abortable(
      this.#models.open(model, (progress) => this.#onProgress(model, progress, signal), signal),
      signal,
    );
    if (this.state(model.id).value === 'downloading') this.#setState(model, { value: 'loading' });
    // A model loaded for embeddings can also complete, but not the other way round.
    const reranks = model.capabilities.includes('rerank');
    const kind = reranks || model.capabilities.includes('embedding') ? 'embedding' : 'completion';
    const pooling = reranks ? 'rank' : undefined;
    const place = model.files.findIndex(({ name }) => name === model.draft);
    const files = opened.filter((_, index) => index !== place);
    const loadable: EngineModel = {
      id: model.id,
      files,
      draft: opened[place],
      kind,
      pooling,
      contextLength: model.contextLength,
    };
    await this.#makeRoom(entry, await abortable(this.#engine.memory(loadable), signal));
    const loading = this.#engine.load(loadable, signal);
    // If the engine notices the abort too late, the model must not keep its memory.
    loading.then((loaded) => signal.aborted && loaded.unload()).catch(() => {});
    return abortable(loading, signal);
  }

  /** Opening a stored model is not a download. */
  #onProgress(model: CatalogModel, progress: DownloadProgress, signal: AbortSignal): void {
    const state = this.state(model.id).value;
    if (signal.aborted || (state === 'loading' && progress.loaded >= progress.total)) return;
    this.#setState(model, { value: 'downloading', progress });
  }

  #onLoaded(entry: Entry, loaded: LoadedModel): void {
    const { model } = entry;
    if (this.#entries.get(model.id) !== entry) return;
    const restart = this.#restarts.findLast((known) => known.model === model.id) ?? null;
    this.#setState(model, { value: 'loaded', model: loaded, memory: entry.memory ?? 0, restart });
    this.#sleepLater(entry);
    this.#wake();
    loaded.lost.then((reason) => {
      if (reason instanceof EngineLost)
        this.#onRestart({ model: model.id, time: this.#clock(), reason: reason.message });
      this.#drop(entry, unloadedBy(reason));
    });
  }

  #onRestart(restart: Restart): void {
    this.#restarts.push(restart);
    if (this.#restarts.length > MAX_RESTARTS) this.#restarts.shift();
  }

  // --- Room ----------------------------------------------------------------------------------------------------------

  #makeRoom(entry: Entry, memory: number): Promise<void> {
    const turn = this.#queue.then(() => this.#takePlace(entry, memory));
    this.#queue = turn.catch(() => {});
    return abortable(turn, entry.abort.signal);
  }

  /** Gives the entry its place in the budget, once there is room beside the others that have one. */
  async #takePlace(entry: Entry, memory: number): Promise<void> {
    const { signal } = entry.abort;
    if (this.#limit !== null && memory > this.#limit) throw tooLarge(entry.model, memory, this.#limit);
    for (;;) {
      signal.throwIfAborted();
      const others = [...this.#entries.values()].filter((other) => other !== entry && other.memory !== null);
      const taken = others.reduce((sum, other) => sum + (other.memory ?? 0), 0);
      if (others.length === 0 || taken + memory <= this.#budget) break;
      const changes = this.#changes;
      const movable = await this.#notPinned(others);
      if (movable.length === 0) throw onlyPinned(entry.model, memory, others, taken, this.#budget);
      const [idle] = movable
        .filter((other) => other.users === 0 && this.state(other.model.id).value === 'loaded')
        .sort((a, b) => a.lastUse - b.lastUse);
      if (idle !== undefined) this.#end(idle, UNLOADED);
      // Don't wait for a change that came while the store was asked.
      else if (changes === this.#changes) await this.#nextChange(signal);
    }
    entry.memory = memory;
  }

  async #notPinned(entries: Entry[]): Promise<Entry[]> {
    const pinned = await Promise.all(entries.map(({ model }) => this.#isPinned(model)));
    return entries.filter((_, i) => !pinned[i]);
  }

  async #isPinned(model: CatalogModel): Promise<boolean> {
    return (await this.#models.status(model)).pinned;
  }

  /** Resolves when there may be more room, or the signal is aborted. */
  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#waiting.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      this.#waiting.add(end);
      signal.addEventListener('abort', end);
    });
  }

  #wake(): void {
    this.#changes++;
    for (const end of [...this.#waiting]) end();
  }

  #sleepLater(entry: Entry): void {
    clearTimeout(entry.idle);
    // Of an engine that was lost meanwhile, another may be there by now.
    if (this.#entries.get(entry.model.id) !== entry) return;
    if (this.#sleepIdleSeconds <= 0 || entry.users > 0 || this.state(entry.model.id).value !== 'loaded') return;
    entry.idle = setTimeout(async () => {
      const { lastUse } = entry;
      const state = this.state(entry.model.id);
      if (state.value !== 'loaded' || (await this.#isPinned(entry.model).catch(() => false))) return;
      const known = await this.#recall(entry.model, state.model).catch(() => null);
      const unused = entry.users === 0 && entry.lastUse === lastUse && this.state(entry.model.id) === state;
      if (unused) this.#end(entry, { value: 'sleeping', known });
    }, this.#sleepIdleSeconds * 1000);
  }

  // --- The end of a model --------------------------------------------------------------------------------------------

  #end(entry: Entry, after: ModelState): void {
    const { model } = entry;
    const state = this.state(model.id);
    this.#drop(entry, after);
    if (state.value === 'loaded') state.model.unload();
    else {
      entry.abort.abort(
        new LlamatabError('unavailable_error', `The model '${model.id}' was unloaded while it was loading.`),
      );
    }
  }

  #drop(entry: Entry, after: ModelState): void {
    if (this.#entries.get(entry.model.id) !== entry) return;
    this.#entries.delete(entry.model.id);
    clearTimeout(entry.idle);
    entry.release();
    this.#setState(entry.model, after);
    this.#wake();
  }

  #setState(model: CatalogModel, state: ModelState): void {
    this.#states.set(model.id, state);
    for (const listener of this.#listeners) listener(model, state);
  }
}

const unloadedBy = (error: LlamatabError): ModelState => ({ value: 'unloaded', error });

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function tooLarge({ id }: CatalogModel, memory: number, limit: number): LlamatabError {
  return new LlamatabError(
    'unavailable_error',
    `The model '${id}' takes ${mebibytes(memory)} of memory, and this site allows ${mebibytes(limit)} (serve({ memory })). ` +
      'Use a smaller model or quantization, or a shorter context.',
    { param: 'model' },
  );
}

function onlyPinned(model: CatalogModel, memory: number, others: Entry[], taken: number, budget: number) {
  const names = others.map((other) => `'${other.model.id}'`).join(', ');
  return new LlamatabError(
    'unavailable_error',
    `The model '${model.id}' takes ${mebibytes(memory)} of memory. Of the ${mebibytes(budget)} that there are for models, ` +
      `${mebibytes(taken)} are taken by ${names}, pinned: unpin or unload one, or allow more with serve({ memory }).`,
    { param: 'model' },
  );
}
