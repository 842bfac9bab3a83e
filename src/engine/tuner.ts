/**
 * Finds the plan with which a model runs fastest on this device, by measuring the candidates of `device-plan.ts` while nobody
 * asks anything of the engine, and remembers what it found for the next load.
 *
 * A plan is never changed under a model that is loaded, not even an idle one: a reload would cost its prompt cache and take
 * the memory of two for a while, and the next turn of a chat might read differently. The next load comes soon enough.
 *
 * Everything is lazy and may be cut off at any point: what was measured is stored, the rest comes the next time.
 */
import { createStore, get, set, type UseStore } from 'idb-keyval';
import { planKey } from './device-plan.ts';
import {
  type DevicePlan,
  type Json,
  KV_CACHE_TYPES,
  type KvCacheType,
  type PlanChoice,
  type Rates,
  type TuningReport,
  VARIANTS,
  type Variant,
} from './engine.ts';

/** Milliseconds without any request before something is measured: longer than the pauses of a program that asks in turns. */
export const IDLE_BEFORE_MEASURING = 10_000;

/**
 * How many times the speed of the present choice another plan must have to be preferred. Measurements of a few tokens differ
 * by ±10 % from one to the next: below that the choice would flip.
 */
export const MARGIN = 1.15;

/** A turn of a chat, in tokens, by which plans are compared: what was written since the last one, and a short answer. */
const TURN = { prompt: 128, predicted: 128 };

/**
 * A request's rate below this share of what was measured means that other programs want the cores: threads then wait for
 * each other. A longer context explains half of the speed, at most, up to `COLLAPSE_CONTEXT` tokens.
 */
const COLLAPSE = 1 / 3;
const COLLAPSE_CONTEXT = 1024;
/** Tokens that a request must have generated to tell its rate. */
const COLLAPSE_TOKENS = 16;
/** Requests in a row: one may have met a moment. */
const COLLAPSED_REQUESTS = 3;

/** A model on this device, as the tuner sees it. */
export interface Tunable {
  /** What the speeds depend on: model, engine's build, device. Measurements are remembered under it. */
  key: string;
  /** Whether another instance of the model fits beside the one that runs. */
  measurable: boolean;
  /** Whether the site's owner fixed any part of what is measured. */
  fixed: boolean;
  /** The plan with this choice, as far as the site's owner and the device allow it; the default one without. */
  plan(choice?: Partial<PlanChoice>): DevicePlan;
  /** `candidatesFor`. */
  candidates(current: Partial<PlanChoice>): [DevicePlan, ...DevicePlan[]];
  /** Loads the model with this plan, beside what runs, and times it; ends at once when aborted. */
  measure(plan: DevicePlan, signal: AbortSignal): Promise<Rates>;
}

/** What is remembered of a model on a device. */
export interface TuningRecord {
  /** What the next load uses; null for the default. */
  chosen: PlanChoice | null;
  measured: Measurement[];
}

interface Measurement {
  choice: PlanChoice;
  rates: Rates;
  /** Measured a second time, and the better rates kept. */
  confirmed: boolean;
}

export interface TuningStore {
  get(key: string): Promise<unknown>;
  set(key: string, record: TuningRecord): Promise<void>;
}

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
    const stored = this.#enabled ? await this.#store.get(tunable.key).catch(() => undefined) : undefined;
    return new Tuning(tunable, readRecord(stored), (record) => this.#store.set(tunable.key, record));
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

/** What is known of one model, from its load on. */
export class Tuning {
  /** What it runs with. */
  readonly plan: DevicePlan;
  readonly #source: TuningReport['source'];
  readonly #tunable: Tunable;
  readonly #record: TuningRecord;
  readonly #save: (record: TuningRecord) => Promise<void>;
  /** Plans that could not be measured. Not remembered: the reason may be gone the next time. */
  readonly #failed = new Set<string>();
  #collapsed = 0;

  constructor(tunable: Tunable, record: TuningRecord, save: (record: TuningRecord) => Promise<void>) {
    this.#tunable = tunable;
    this.#record = record;
    this.#save = save;
    // The overrides may be others than when it was measured.
    this.#choose();
    this.plan = this.#chosen();
    const only = this.#candidates().length === 1;
    this.#source = only && tunable.fixed ? 'overridden' : record.chosen && !only ? 'measured' : 'default';
  }

  /** Whether it is another plan than the default. */
  get differs(): boolean {
    return planKey(this.plan) !== planKey(this.#tunable.plan());
  }

  get report(): TuningReport {
    const chosen = planKey(this.#chosen());
    const plans = new Map([...this.#candidates(), this.plan].map((plan) => [planKey(plan), plan]));
    return {
      source: this.#source,
      measured: this.#rates(this.plan),
      candidates: Array.from(plans, ([key, plan]) => ({
        ...choiceOf(plan),
        measured: this.#rates(plan),
        chosen: key === chosen,
      })),
    };
  }

  /** The plan to measure next; null if there is nothing more to learn. */
  next(): DevicePlan | null {
    return this.#tunable.measurable ? this.#undecided() : null;
  }

  /** Never rejects: what fails is a plan that is not chosen. */
  async measure(plan: DevicePlan, signal: AbortSignal): Promise<void> {
    try {
      this.#add(plan, await this.#tunable.measure(plan, signal));
    } catch {
      if (signal.aborted) return;
      this.#failed.add(planKey(plan));
    }
    this.#choose();
    await this.#persist();
  }

  /** Looks at the timings of a request that ran alone; if they are far from what was measured, the next load takes fewer threads. */
  observe(timings: Json): void {
    const {
      predicted_per_second: rate,
      predicted_n = 0,
      prompt_n = 0,
      cache_n = 0,
    } = timings as Record<string, number>;
    const expected = this.#rates(this.plan)?.predicted_per_second;
    if (!expected || rate === undefined || predicted_n < COLLAPSE_TOKENS) return;
    if (predicted_n + prompt_n + cache_n > COLLAPSE_CONTEXT) return;
    this.#collapsed = rate < expected * COLLAPSE ? this.#collapsed + 1 : 0;
    if (this.#collapsed === COLLAPSED_REQUESTS) this.#stepDown();
  }

  #stepDown(): void {
    const fewer = this.#tunable.plan({ ...choiceOf(this.plan), threads: Math.max(1, this.plan.threads >> 1) });
    if (planKey(fewer) === planKey(this.plan)) return;
    // Forgotten, and so measured again: if that was a bad hour, the plan wins its place back. With more threads it is no better.
    this.#forget(({ threads }) => threads >= this.plan.threads);
    this.#record.chosen = choiceOf(fewer);
    void this.#persist();
  }

  /** Goes back to the default plan, because the chosen one can't be loaded. */
  async reset(): Promise<Tuning> {
    this.#forget((choice) => planKey(choice) === planKey(this.plan));
    this.#record.chosen = null;
    await this.#persist();
    return new Tuning(this.#tunable, this.#record, this.#save);
  }

  #add(plan: DevicePlan, rates: Rates): void {
    const before = this.#measurement(plan);
    if (before === undefined) {
      this.#record.measured.push({ choice: choiceOf(plan), rates, confirmed: false });
    } else {
      before.confirmed = true;
      if (speed(rates) > speed(before.rates)) before.rates = rates;
    }
  }

  /**
   * What has to be measured before a choice can be made. All candidates, so that their order decides nothing; and the present
   * one again before it gives way: what disturbs a measurement makes it slower, and the first one is disturbed the most.
   */
  #undecided(): DevicePlan | null {
    const hasFailed = (plan: DevicePlan) => this.#failed.has(planKey(plan));
    const unknown = this.#candidates().find((plan) => !this.#measurement(plan) && !hasFailed(plan));
    if (unknown) return unknown;
    const present = this.#chosen();
    if (planKey(this.#fastest()) === planKey(present) || hasFailed(present)) return null;
    return this.#measurement(present)?.confirmed ? null : present;
  }

  /** Climbs to the fastest, and on from there, as far as all is known. */
  #choose(): void {
    while (this.#undecided() === null) {
      const best = this.#fastest();
      const settled = planKey(best) === planKey(this.#chosen());
      this.#record.chosen = choiceOf(best);
      if (settled) return;
    }
  }

  #fastest(): DevicePlan {
    const withRates = (plan: DevicePlan) => ({ plan, rates: this.#rates(plan) });
    const [present, ...others] = this.#candidates();
    return fastest(withRates(present), others.map(withRates));
  }

  #chosen(): DevicePlan {
    return this.#tunable.plan(this.#record.chosen ?? {});
  }

  /** The chosen one first. */
  #candidates(): [DevicePlan, ...DevicePlan[]] {
    return this.#tunable.candidates(this.#record.chosen ?? {});
  }

  #measurement(plan: PlanChoice): Measurement | undefined {
    const key = planKey(plan);
    return this.#record.measured.find(({ choice }) => planKey(choice) === key);
  }

  #rates(plan: PlanChoice): Rates | null {
    return this.#measurement(plan)?.rates ?? null;
  }

  #forget(which: (choice: PlanChoice) => boolean): void {
    this.#record.measured = this.#record.measured.filter(({ choice }) => !which(choice));
  }

  #persist(): Promise<void> {
    // Without a store, it holds as long as this model is loaded.
    return this.#save(this.#record).catch(() => {});
  }
}

/** What a candidate was measured with; null if it could not be, or not in time. */
export interface Candidate<Plan> {
  plan: Plan;
  rates: Rates | null;
}

/** The present plan, unless another is faster by more than `MARGIN`: then the fastest. */
export function fastest<Plan>(present: Candidate<Plan>, others: Candidate<Plan>[]): Plan {
  let best = present;
  for (const other of others) if (speed(other.rates) > speed(best.rates)) best = other;
  return speed(best.rates) > speed(present.rates) * MARGIN ? best.plan : present.plan;
}

/** Turns a second, or tokens for a model that only embeds; what could not be measured is slower than anything. */
function speed(rates: Rates | null): number {
  if (rates === null) return 0;
  const { prompt_per_second, predicted_per_second } = rates;
  if (predicted_per_second === null) return prompt_per_second;
  return 1 / (TURN.prompt / prompt_per_second + TURN.predicted / predicted_per_second);
}

function choiceOf({ variant, threads, kvCacheType, flashAttention, gpuLayers }: PlanChoice): PlanChoice {
  return { variant, threads, kvCacheType, flashAttention, gpuLayers };
}

// --- what is remembered --------------------------------------------------------------------------------------------

/** Whatever was stored, by whichever version: what does not look right was never measured. */
export function readRecord(stored: unknown): TuningRecord {
  const { chosen, measured } = (stored ?? {}) as { chosen?: unknown; measured?: unknown };
  return {
    chosen: isChoice(chosen) ? chosen : null,
    measured: Array.isArray(measured) ? measured.filter(isMeasurement) : [],
  };
}

function isMeasurement(value: unknown): value is Measurement {
  const { choice, rates, confirmed } = (value ?? {}) as {
    choice?: unknown;
    rates?: Partial<Rates>;
    confirmed?: unknown;
  };
  return (
    isChoice(choice) &&
    typeof confirmed === 'boolean' &&
    isRate(rates?.prompt_per_second) &&
    (rates.predicted_per_second === null || isRate(rates.predicted_per_second))
  );
}

function isChoice(value: unknown): value is PlanChoice {
  const choice = (value ?? {}) as Partial<PlanChoice>;
  return (
    VARIANTS.includes(choice.variant as Variant) &&
    KV_CACHE_TYPES.includes(choice.kvCacheType as KvCacheType) &&
    isCount(choice.threads) &&
    choice.threads > 0 &&
    isCount(choice.gpuLayers) &&
    typeof choice.flashAttention === 'boolean'
  );
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isRate = (value: unknown): value is number => Number.isFinite(value) && (value as number) > 0;

/** A database of its own: an idb-keyval database holds one store. Opened when first used, which may fail in private windows. */
function browserStore(): TuningStore {
  let opened: UseStore | undefined;
  const database = () => {
    opened ??= createStore('llamatab-plans', 'plans');
    return opened;
  };
  return {
    get: async (key) => get(key, database()),
    set: async (key, record) => set(key, record, database()),
  };
}
