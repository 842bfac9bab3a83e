/** Notices an engine that does not come back from a call: an endless loop, or a worker that the browser ended without a word. */

/** Milliseconds between two looks. */
const TICK = 1000;

/** Milliseconds that a look counts for, at most. If more went by, this worker was frozen or asleep, and the engine with it. */
const MAX_TICK = 2 * TICK;

interface Call {
  /** Milliseconds. */
  limit: number;
}

/** Calls are run one at a time, in their order: each has its limit from the end of the one before. */
export class Watchdog {
  readonly #onHang: (seconds: number) => void;
  readonly #clock: () => number;
  readonly #calls: Call[] = [];
  /** Milliseconds that the oldest call has had. */
  #elapsed = 0;
  #looked = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param onHang Called once for each call that hangs, with the seconds that it has had. */
  constructor(onHang: (seconds: number) => void, clock = () => performance.now()) {
    this.#onHang = onHang;
    this.#clock = clock;
  }

  /**
   * A call begins.
   * @param limit seconds.
   * @returns to be called when it has ended, in whatever way.
   */
  watch(limit: number): () => void {
    const call: Call = { limit: limit * 1000 };
    this.#calls.push(call);
    if (this.#calls.length === 1) {
      this.#restart();
      this.#timer = setInterval(() => this.#look(), TICK);
    }
    return () => this.#end(call);
  }

  #restart(): void {
    this.#elapsed = 0;
    this.#looked = this.#clock();
  }

  #look(): void {
    const now = this.#clock();
    this.#elapsed += Math.min(now - this.#looked, MAX_TICK);
    this.#looked = now;
    const [call] = this.#calls;
    if (call === undefined || this.#elapsed < call.limit) return;
    this.#end(call);
    this.#onHang(Math.round(call.limit / 1000));
  }

  #end(call: Call): void {
    const index = this.#calls.indexOf(call);
    if (index === -1) return;
    this.#calls.splice(index, 1);
    this.#restart();
    if (this.#calls.length === 0) clearInterval(this.#timer);
  }
}
