/** Downloads and checks that requests start in the background; requests for the same work share it. */
import type { CatalogModel, DownloadProgress, ModelStore, VerifyReport, WorkOptions } from '../../models/models.ts';

interface Check {
  progress: DownloadProgress;
  done: Promise<VerifyReport>;
}

export class ModelWork {
  readonly #models: ModelStore;
  /** By model id. */
  readonly #downloads = new Map<string, { abort: AbortController; done: Promise<void> }>();
  readonly #checks = new Map<string, Check>();
  readonly #listeners = new Set<(model: CatalogModel) => void>();

  constructor(models: ModelStore) {
    this.#models = models;
  }

  /** Calls `listener` when a check begins, advances or ends. Returns a function that ends it. */
  subscribe(listener: (model: CatalogModel) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Progress of a check of the model's files; undefined while there is none. */
  progress(id: string): (DownloadProgress & { [key: string]: unknown }) | undefined {
    const progress = this.#checks.get(id)?.progress;
    return progress && { ...progress };
  }

  /**
   * Downloads the model, or joins the download under way; resumes a paused one. A failure also shows in the model's
   * status.
   */
  download(model: CatalogModel): Promise<void> {
    const known = this.#downloads.get(model.id);
    if (known !== undefined) {
      this.#models.resume(model);
      return known.done;
    }
    const abort = new AbortController();
    const done = this.#models.download(model, { signal: abort.signal }).finally(() => {
      if (this.#downloads.get(model.id)?.abort === abort) this.#downloads.delete(model.id);
    });
    done.catch(() => {});
    this.#downloads.set(model.id, { abort, done });
    return done;
  }

  /** Stops a download begun by `download`; what has arrived is kept. */
  stop(model: CatalogModel): void {
    const known = this.#downloads.get(model.id);
    if (known === undefined) return;
    this.#downloads.delete(model.id);
    // A paused download would outlive those who wait for it.
    this.#models.resume(model);
    known.abort.abort();
  }

  /** Checks the model's stored files; with `repair`, fetches what is bad or missing. */
  check(model: CatalogModel, repair: boolean): Promise<VerifyReport> {
    const key = model.id;
    const known = this.#checks.get(key);
    // A repair does more than a check: let that end first.
    if (known !== undefined) return repair ? known.done.then(() => this.check(model, repair)) : known.done;
    const total = model.files.reduce((sum, file) => sum + file.size, 0);
    const check: Check = {
      progress: { loaded: 0, total, speed: 0, eta: null, state: 'verifying' },
      done: new Promise(() => {}),
    };
    this.#checks.set(key, check);
    this.#tell(model);
    const options: WorkOptions = {
      onProgress: (progress) => {
        check.progress = progress;
        this.#tell(model);
      },
    };
    check.done = (repair ? this.#models.repair(model, options) : this.#models.verify(model, options)).finally(() => {
      this.#checks.delete(key);
      this.#tell(model);
    });
    check.done.catch(() => {});
    return check.done;
  }

  #tell(model: CatalogModel): void {
    for (const listener of this.#listeners) listener(model);
  }
}
