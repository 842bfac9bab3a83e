/** One download and the callers that wait for it: they can join, pause, resume and end it. It doesn't know what is downloaded. */
import { abortable, anySignal } from '../abortable.ts';
import { isAbort, LlamatabError } from '../errors.ts';
import type { DownloadProgress } from './models.ts';
import { DownloadMeter } from './progress.ts';

/** Milliseconds between progress reports. */
const PROGRESS_INTERVAL = 200;

const PAUSED = new DOMException('The download is paused.', 'AbortError');

type OnProgress = (progress: DownloadProgress) => void;

export interface JobOptions<T> {
  /** Bytes. */
  total: number;
  /** Does the work; called again after a pause. Throws the signal's reason when aborted. */
  work: (meter: DownloadMeter, signal: AbortSignal) => Promise<T>;
  onProgress: OnProgress;
  /** The work failed by itself: no caller aborted it. */
  onFailure: (error: LlamatabError) => Promise<void>;
  /** The last caller has left, or the job is over: the next caller needs another job. Called once. */
  onOver: () => void;
}

export class DownloadJob<T> {
  /** Settles when the work does, however often it was paused. */
  readonly done: Promise<T>;
  readonly #options: JobOptions<T>;
  readonly #meter: DownloadMeter;
  readonly #callers = new Set<{ onProgress: OnProgress }>();
  readonly #controller = new AbortController();
  /** Ends the transfer that is under way, but not the job. */
  #transfer = new AbortController();
  /** Only while it is paused. */
  #gate: { promise: Promise<void>; open: () => void } | undefined;
  #elsewhere: DownloadProgress | undefined;
  #over = false;

  constructor(options: JobOptions<T>) {
    this.#options = options;
    this.#meter = new DownloadMeter(options.total);
    // By the clock and not for each chunk, so that a stall shows as a falling speed.
    const timer = setInterval(() => this.#report(), PROGRESS_INTERVAL);
    this.done = this.#run().finally(() => {
      clearInterval(timer);
      this.#report();
      this.#leave();
    });
    // The callers that wait are told of a failure. If none does, it is still in the model's record.
    this.done.catch(() => {});
  }

  /** This tab's progress, or that of the tab that it waits for. */
  get progress(): DownloadProgress {
    const own = this.#meter.progress();
    return own.state === 'waiting' && this.#elsewhere !== undefined ? this.#elsewhere : own;
  }

  /** Another tab is downloading the same model, and reports its progress. */
  set elsewhere(progress: DownloadProgress) {
    this.#elsewhere = { ...progress, source: 'another tab' };
  }

  /** Waits for the work. Aborting ends this wait; once no caller is left, it also ends the work, unless that is paused. */
  join(onProgress: OnProgress, signal?: AbortSignal): Promise<T> {
    const caller = { onProgress };
    this.#callers.add(caller);
    onProgress(this.progress);
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener('abort', abort);
        this.#callers.delete(caller);
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
        if (this.#callers.size > 0 || this.#gate !== undefined) return;
        // At once, so that the next caller does not join a download that is being stopped.
        this.#leave();
        this.#controller.abort(new DOMException('No caller waits for the download any more.', 'AbortError'));
      };
      signal?.addEventListener('abort', abort);
      this.done.then(resolve, reject).finally(leave);
    });
  }

  pause(): void {
    if (this.#gate !== undefined) return;
    let open = () => {};
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gate = { promise, open };
    this.#transfer.abort(PAUSED);
    this.#meter.enter('paused');
    this.#report();
  }

  resume(): void {
    const gate = this.#gate;
    this.#gate = undefined;
    gate?.open();
  }

  /** Ends it for every caller. Resolves when nothing of it is under way any more. */
  async end(reason: LlamatabError): Promise<void> {
    this.#controller.abort(reason);
    await this.done.catch(() => {});
  }

  async #run(): Promise<T> {
    const { signal } = this.#controller;
    for (;;) {
      if (this.#gate) await abortable(this.#gate.promise, signal);
      this.#transfer = new AbortController();
      const transfer = this.#transfer.signal;
      try {
        this.#meter.restart();
        return await this.#options.work(this.#meter, anySignal(signal, transfer));
      } catch (error) {
        signal.throwIfAborted();
        // It was paused, and may have been resumed since.
        if (transfer.reason === PAUSED) {
          this.#meter.enter('paused');
          continue;
        }
        if (!isAbort(error)) await this.#options.onFailure(LlamatabError.from(error));
        throw error;
      }
    }
  }

  #report(): void {
    const { progress } = this;
    for (const { onProgress } of this.#callers) onProgress(progress);
    this.#options.onProgress(progress);
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.onOver();
  }
}
