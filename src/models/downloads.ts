/** The downloads of this worker. A model is downloaded once for all callers, and by one tab at a time. */
import { LlamatabError } from '../errors.ts';
import { DownloadJob } from './download-job.ts';
import { BytesGone, downloadParts } from './download-parts.ts';
import { requireSha256, size as showSize } from './http.ts';
import type { DownloadActivity, ModelStatusBoard } from './model-status.ts';
import type { CatalogModel, DownloadProgress, ModelStatus } from './models.ts';
import type { PartsLayout } from './parts-layout.ts';
import type { DownloadMeter } from './progress.ts';
import { type ModelRecord, ofLayout, partsOf } from './records.ts';
import type { StoreContext } from './store-context.ts';
import { checkFiles, complete, openComplete } from './stored-files.ts';

type Job = DownloadJob<File[]>;

/** Times that a download starts again because the browser deleted what had come: clearing site data does that once. */
const REFILLS = 2;

export class Downloads {
  readonly #context: StoreContext;
  readonly #statuses: ModelStatusBoard;
  /** By the record's key. */
  readonly #jobs = new Map<string, Job>();
  /** Why the last attempts of this worker ended: a browser that is full can't even store that. By the record's key. */
  readonly #failures = new Map<string, LlamatabError>();

  constructor(context: StoreContext, statuses: ModelStatusBoard) {
    this.#context = context;
    this.#statuses = statuses;
  }

  isUnderway(key: string): boolean {
    return this.#jobs.has(key);
  }

  activityOf(key: string): DownloadActivity {
    return { progress: this.#jobs.get(key)?.progress, failure: this.#failures.get(key) };
  }

  /** Another tab is downloading the model, and reports how far it is. */
  elsewhere(key: string, progress: DownloadProgress): void {
    const job = this.#jobs.get(key);
    if (job !== undefined) job.elsewhere = progress;
  }

  /** The model's files: downloaded now, together with a download that is under way, or as they are stored. */
  join(model: CatalogModel, onProgress: (progress: DownloadProgress) => void, signal?: AbortSignal): Promise<File[]> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return (this.#jobOf(model) ?? this.#begin(model)).join(onProgress, signal);
  }

  pause(model: CatalogModel): void {
    this.#jobOf(model)?.pause();
  }

  resume(model: CatalogModel): void {
    this.#jobOf(model)?.resume();
  }

  /** Ends a download for every caller that waits for it. @returns whether there was one */
  async end(model: CatalogModel, why: string): Promise<boolean> {
    const job = this.#jobOf(model);
    await job?.end(new LlamatabError('unavailable_error', why));
    return job !== undefined;
  }

  forgetFailure(model: CatalogModel): void {
    this.#failures.delete(this.#context.keyOf(model));
  }

  #jobOf(model: CatalogModel): Job | undefined {
    return this.#jobs.get(this.#context.keyOf(model));
  }

  #begin(model: CatalogModel): Job {
    const { keyOf, layoutOf, tabs, records } = this.#context;
    const key = keyOf(model);
    const layout = layoutOf(model);
    let before: ModelStatus | undefined;
    const job: Job = new DownloadJob({
      total: layout.total,
      work: async (meter, signal) => {
        before ??= await this.#statuses.of(model);
        return this.#bring(model, layout, meter, signal);
      },
      onProgress: (progress) => {
        if (progress.source === 'this tab') tabs.tell({ type: 'progress', key, progress });
        if (before === undefined || this.#jobs.get(key) !== job) return;
        const { error: _, ...status } = before;
        this.#statuses.tell(model, { ...status, state: 'partial', loaded: progress.loaded, download: progress });
      },
      onFailure: async (failure) => {
        this.#failures.set(key, failure);
        const error = { type: failure.type, message: failure.message };
        await records.change(key, (record) => ({ ...record, error })).catch(() => {});
      },
      onOver: () => {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
      },
    });
    this.#jobs.set(key, job);
    this.#failures.delete(key);
    const onEnd = () => this.#statuses.changed(model);
    job.done.then(onEnd, onEnd);
    return job;
  }

  async #bring(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter, signal: AbortSignal): Promise<File[]> {
    const files = await this.#openComplete(model, layout, meter);
    if (files !== undefined) return files;
    signal.throwIfAborted();
    const { tabs, keyOf } = this.#context;
    const key = keyOf(model);
    const release = tabs.use(key);
    // Another tab may have completed it while this one waited.
    const work = async () =>
      (await this.#openComplete(model, layout, meter)) ?? (await this.#refill(model, layout, meter, signal));
    try {
      return await tabs.alone(key, work, () => meter.enter('waiting'), signal);
    } finally {
      release();
    }
  }

  async #openComplete(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter): Promise<File[] | undefined> {
    const stored = await openComplete(this.#context, model);
    if (stored === undefined) return undefined;
    await checkFiles(model, layout, stored.files);
    meter.restart();
    for (const part of layout.parts) meter.stored(part.key, part.size);
    return stored.files;
  }

  /** `#fill`, again if site data was cleared meanwhile: what is missing then is fetched like what was missing before. */
  async #refill(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter, signal: AbortSignal): Promise<File[]> {
    for (let left = REFILLS; ; left--) {
      try {
        return await this.#fill(model, layout, meter, signal);
      } catch (error) {
        if (!(error instanceof BytesGone) || left === 0) throw error;
        signal.throwIfAborted();
      }
    }
  }

  /** Downloads what is missing, and records the model as complete. */
  async #fill(model: CatalogModel, layout: PartsLayout, meter: DownloadMeter, signal: AbortSignal): Promise<File[]> {
    requireSha256();
    const { records, housekeeping, parts, keyOf } = this.#context;
    const key = keyOf(model);
    meter.restart();
    const [old, stored] = await Promise.all([records.get(key), parts.storedSize(layout.parts)]);
    if (old && old.fingerprint !== layout.fingerprint) await this.#dropOldVersion(key, old, layout);
    const missing = layout.total - stored;
    if (missing > 0 && model.source?.kind === 'file') {
      throw new LlamatabError(
        'unavailable_error',
        `${model.id}: ${showSize(missing)} of it is gone from this browser, and can't be downloaded, since you added it from a file. Delete it and add the file again.`,
      );
    }
    await housekeeping.makeRoom(missing, key);
    await housekeeping.change(key, ({ error: _, complete: __, ...record }) => ({ ...record, ...ofLayout(layout) }));
    const downloaded = await downloadParts(this.#context, {
      layout,
      meter,
      signal,
      put: (part, hash, blob) => housekeeping.put(key, part, hash, blob),
    });
    return complete(this.#context, model, downloaded);
  }

  /** The catalog now names other bytes. Those that it no longer names only take up space. */
  async #dropOldVersion(key: string, old: ModelRecord, layout: PartsLayout): Promise<void> {
    const current = new Set(layout.parts.map((part) => part.key));
    await this.#context.housekeeping.deleteParts(
      key,
      partsOf(old).filter((part) => !current.has(part.key)),
    );
  }
}
