import type { DownloadProgress, DownloadState } from './models.ts';

/** Milliseconds over which the speed is measured: long enough for a steady number, short enough to show a stall. */
const SPEED_WINDOW = 4000;

/** Counts a model's bytes: those that are stored and those under way, and how fast they come. */
export class DownloadMeter {
  readonly #total: number;
  #stored = 0;
  /** Bytes received so far of each part under way. */
  readonly #underway = new Map<string, number>();
  /** What came from the network and when, over the last `SPEED_WINDOW`. */
  #arrivals: { at: number; bytes: number }[] = [];
  readonly #now: () => number;
  #state: DownloadState = 'checking';
  #reason: string | undefined;
  /** When the next attempt is due. */
  #retryAt: number | undefined;

  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
  }

  /** `received` bytes of a part have come; fewer than before when it starts again. */
  received(part: string, received: number): void {
    const bytes = received - (this.#underway.get(part) ?? 0);
    this.#underway.set(part, received);
    if (bytes <= 0) return;
    this.#arrivals.push({ at: this.#now(), bytes });
    this.enter('downloading');
  }

  /** A part is stored, downloaded just now or on an earlier visit. */
  stored(part: string, size: number): void {
    this.#underway.delete(part);
    this.#stored += size;
  }

  /** The parts under way were given up. */
  dropUnderway(): void {
    this.#underway.clear();
  }

  /** Starts over: what is stored will be counted again. */
  restart(): void {
    this.#stored = 0;
    this.dropUnderway();
    this.enter('checking');
  }

  /**
   * Notes what the download is doing now.
   * @param reason For people: what stopped it.
   * @param delay Milliseconds to the next attempt.
   */
  enter(state: DownloadState, reason?: string, delay?: number): void {
    this.#state = state;
    this.#reason = reason;
    this.#retryAt = delay === undefined ? undefined : this.#now() + delay;
  }

  progress(): DownloadProgress {
    const now = this.#now();
    this.#arrivals = this.#arrivals.filter(({ at }) => now - at < SPEED_WINDOW);
    const bytes = sum(this.#arrivals.map((arrival) => arrival.bytes));
    // A download that has just begun is measured over its time so far, but not over so short a time that the number jumps.
    const since = Math.max(now - (this.#arrivals[0]?.at ?? now), SPEED_WINDOW / 4);
    const speed = Math.round((bytes / since) * 1000);
    const loaded = this.#stored + sum([...this.#underway.values()]);
    return {
      loaded,
      total: this.#total,
      speed,
      eta: speed > 0 ? Math.ceil((this.#total - loaded) / speed) : null,
      state: this.#state,
      source: 'this tab',
      ...(this.#retryAt === undefined ? {} : { retryIn: Math.max(0, Math.ceil((this.#retryAt - now) / 1000)) }),
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
    };
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
