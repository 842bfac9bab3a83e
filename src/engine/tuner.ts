/**
 * Finds the plan with which a model runs fastest on this device, by measuring the candidates of `device-plan.ts` while nobody
 * asks anything of the engine, and remembers what it found for the next load.
 *
 * A plan is never changed under a model that is loaded, not even an idle one: a reload would cost its prompt cache and take
 * the memory of two for a while, and the next turn of a chat might read differently. The next load comes soon enough.
 *
 * Everything is lazy and may be cut off at any point: what was measured is stored, the rest comes the next time.
 */
import type { DevicePlan } from './engine.ts';
import { type Tunable, Tuning } from './tuning.ts';
import { browserStore, readRecord, type TuningStore } from './tuning-record.ts';

/** Milliseconds without any request before something is measured: longer than the pauses of a program that asks in turns. */
export const IDLE_BEFORE_MEASURING = 10_000;

/** Called at once by whoever begins to use the engine; ends what is being measured. */
export interface Use {
  /** Whether nothing else used the engine meanwhile. */
  readonly alone: boolean;
  /** To be called once, at the end. */
  end(): void;
}

export interface TunerOptions {
  /** False: every model runs with its default plan, and nothing is remembered. */
  measure?: boolean | undefined;
  /** Milliseconds; see `IDLE_BEFORE_MEASURING`. */
  idle?: number | undefined;
}

export class Tuner {
  readonly #enabled: boolean;
  readonly #idle: number;
  readonly #store: TuningStore;
  /** Models that are loaded. */
  readonly #tunings = new Set<Tuning>();
  /** Uses under way, and how many there ever were. */
  #using = 0;
  #uses = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #measuring: AbortController | null = null;

  constructor({ measure = true, idle = IDLE_BEFORE_MEASURING }: TunerOptions = {}, store = browserStore()) {
    this.#enabled = measure;
    this.#idle = idle;
    this.#store = store;
  }

  /** The plan that a model is to be loaded with, and from then on what is learnt of it. */
  async open(tunable: Tunable): Promise<Tuning> {
    const record = readRecord(await this.#store.get(tunable.key).catch(() => undefined));
    if (this.#enabled) return new Tuning(tunable, record, (changed) => this.#store.set(tunable.key, changed));
    // That a GPU failed is no measurement, and what was measured is kept for another time.
    const { gpuTrouble } = record;
    return new Tuning(
      // Requests are the measurement only of what can't be measured.
      { ...tunable, measurable: true },
      { chosen: null, measured: [], gpuTrouble },
      (changed) => this.#store.set(tunable.key, { ...record, gpuTrouble: changed.gpuTrouble }),
    );
  }

  /** The model is loaded: it may be measured until the returned function is called. */
  add(tuning: Tuning): () => void {
    if (!this.#enabled) return () => {};
    this.#tunings.add(tuning);
    this.#wait();
    return () => {
      this.#tunings.delete(tuning);
      // If that measures another model, it goes on after the next pause.
      this.#measuring?.abort();
    };
  }

  use(): Use {
    const number = ++this.#uses;
    const first = this.#using++ === 0;
    clearTimeout(this.#timer);
    this.#measuring?.abort();
    const uses = () => this.#uses;
    return {
      get alone() {
        return first && uses() === number;
      },
      end: () => {
        this.#using--;
        this.#wait();
      },
    };
  }

  /** Measures after a while, if it stays quiet. */
  #wait(): void {
    if (this.#using > 0 || this.#measuring !== null) return;
    clearTimeout(this.#timer);
    if (this.#next() !== null) this.#timer = setTimeout(() => this.#measure(), this.#idle);
  }

  #next(): { tuning: Tuning; plan: DevicePlan } | null {
    for (const tuning of this.#tunings) {
      const plan = tuning.next();
      if (plan !== null) return { tuning, plan };
    }
    return null;
  }

  async #measure(): Promise<void> {
    const abort = new AbortController();
    this.#measuring = abort;
    for (let next = this.#next(); next !== null && !abort.signal.aborted; next = this.#next()) {
      await next.tuning.measure(next.plan, abort.signal);
    }
    this.#measuring = null;
    this.#wait();
  }
}
