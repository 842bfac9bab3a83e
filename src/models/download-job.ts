/** One download, and the callers that wait for it: joined, paused, resumed, ended. Knows nothing of what is downloaded. */
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
  /** The work ended by itself, with an error that is nobody's abort. */
  onFailure: (error: LlamatabError) => Promise<void>;
  /** Nobody waits any more, or it is over: whoever comes next needs another job. Called once. */
  onOver: () => void;
}

export class DownloadJob<T> {
  /** Settles with the work, over all its pauses. */
  readonly done: Promise<T>;
  readonly #options: JobOptions<T>;
  readonly #meter: DownloadMeter;
  readonly #callers = new Set<{ onProgress: OnProgress }>();
  readonly #controller = new AbortController();
  /** Ends what is under way, and not the job. */
  #transfer = new AbortController();
  /** While it is paused. */
  #gate: { promise: Promise<void>; open: () => void } | undefined;
  #elsewhere: DownloadProgress | undefined;
  #over = false;

  constructor(options: JobOptions<T>) {
    this.#options = options;
    this.#meter = new DownloadMeter(options.total);
    // By the clock and not by the chunk: a stall shows as a falling speed.
    const timer = setInterval(() => this.#report(), PROGRESS_INTERVAL);
    this.done = this.#run().finally(() => {
      clearInterval(timer);
      this.#report();
      this.#leave();
    });
    // Whoever waits hears of it; a failure that nobody waits for is in the model's record.
    this.done.catch(() => {});
  }

  /** The store's own, or that of the tab that this one waits for. */
  get progress(): DownloadProgress {
    const own = this.#meter.progress();
    return own.state === 'waiting' && this.#elsewhere !== undefined ? this.#elsewhere : own;
  }

  /** Another tab downloads the same, and tells how it goes. */
  set elsewhere(progress: DownloadProgress) {
    this.#elsewhere = { ...progress, source: 'another tab' };
  }

  /** Waits for the work. Aborting ends the wait; when nobody waits any more, the work too, unless it is paused. */
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
        // At once, so that whoever asks next does not join a download that is being stopped.
        this.#leave();
        this.#controller.abort(new DOMException('Nobody waits for it.', 'AbortError'));
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

  /** Ends it for all who wait. Resolves when nothing of it is under way any more. */
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
        // Paused, and perhaps resumed already.
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
