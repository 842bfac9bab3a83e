import type { DownloadProgress } from './models.ts';

/** Milliseconds that the speed is taken over: long enough to be calm, short enough to show a stall. */
const SPEED_WINDOW = 4000;

/** Counts a model's bytes: those that are stored, those under way, and how fast they come. */
export class DownloadMeter {
  readonly #total: number;
  #stored = 0;
  /** Bytes received so far of each piece under way. */
  readonly #underway = new Map<string, number>();
  /** What came from the network and when, over the last `SPEED_WINDOW`. */
  #arrivals: { at: number; bytes: number }[] = [];
  readonly #now: () => number;

  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
  }

  /** `received` bytes of a piece have come; fewer than before when it starts again. */
  received(piece: string, received: number): void {
    const bytes = received - (this.#underway.get(piece) ?? 0);
    this.#underway.set(piece, received);
    if (bytes > 0) this.#arrivals.push({ at: this.#now(), bytes });
  }

  /** A piece is stored, downloaded just now or on an earlier visit. */
  stored(piece: string, size: number): void {
    this.#underway.delete(piece);
    this.#stored += size;
  }

  progress(): DownloadProgress {
    const now = this.#now();
    this.#arrivals = this.#arrivals.filter(({ at }) => now - at < SPEED_WINDOW);
    const bytes = sum(this.#arrivals.map((arrival) => arrival.bytes));
    // A download that has just begun is measured over the time it has had, but not over so little that the number jumps.
    const since = Math.max(now - (this.#arrivals[0]?.at ?? now), SPEED_WINDOW / 4);
    return {
      loaded: this.#stored + sum([...this.#underway.values()]),
      total: this.#total,
      speed: Math.round((bytes / since) * 1000),
    };
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
