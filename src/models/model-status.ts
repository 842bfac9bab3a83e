/** The status of each model on this device, and the listeners that are told when it changes. */
import { LlamatabError } from '../errors.ts';
import type { CatalogModel, DownloadProgress, ModelStatus, ModelStore } from './models.ts';
import { isComplete, type ModelRecord } from './records.ts';
import type { StoreContext } from './store-context.ts';

type Listener = Parameters<ModelStore['subscribe']>[0];

/** What this worker knows about a model besides what is stored. */
export interface DownloadActivity {
  /** Of the download under way, if there is one. */
  progress: DownloadProgress | undefined;
  /** Why the last download of this worker ended, if it failed. */
  failure: LlamatabError | undefined;
}

export class ModelStatusBoard {
  readonly #context: StoreContext;
  readonly #activityOf: (key: string) => DownloadActivity;
  readonly #listeners = new Set<Listener>();

  /** @param activityOf By the key of the model's record. */
  constructor(context: StoreContext, activityOf: (key: string) => DownloadActivity) {
    this.#context = context;
    this.#activityOf = activityOf;
  }

  async of(model: CatalogModel): Promise<ModelStatus> {
    const { records, parts, keyOf, layoutOf } = this.#context;
    const key = keyOf(model);
    const layout = layoutOf(model);
    const [record, loaded] = await Promise.all([records.get(key), parts.storedSize(layout.parts)]);
    const { progress, failure } = this.#activityOf(key);
    const complete = isComplete(record, layout) && loaded === layout.total;
    const error = progress || complete ? undefined : (failure ?? recordedError(record));
    return {
      model,
      state: complete ? 'complete' : error ? 'failed' : loaded > 0 || progress ? 'partial' : 'absent',
      loaded,
      total: layout.total,
      ...(error ? { error } : {}),
      ...(progress ? { download: progress } : {}),
      pinned: record?.pinned ?? false,
      lastUsed: record?.lastUsed ?? null,
      kept: parts.kept,
    };
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells the other tabs and the listeners that a model was changed, or removed from the list. */
  async changed(model: CatalogModel, removed = false): Promise<void> {
    this.#context.tabs.tell({ type: 'changed', key: this.#context.keyOf(model) });
    if (this.#listeners.size === 0) return;
    try {
      this.tell(model, removed ? 'removed' : await this.of(model));
    } catch {
      // The next call that asks for the status meets the same error.
    }
  }

  tell(model: CatalogModel, status: ModelStatus | 'removed'): void {
    for (const listener of this.#listeners) listener(model, status);
  }
}

/** The error of an earlier visit. */
function recordedError(record: ModelRecord | undefined): LlamatabError | undefined {
  return record?.error && new LlamatabError(record.error.type, record.error.message);
}
