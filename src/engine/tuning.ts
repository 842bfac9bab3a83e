/** What is known of one model on this device, from its load on: its plan, what the others are worth, and what comes next. */
import { type GpuTrouble, planKey } from './device-plan.ts';
import type { DevicePlan, Json, PlanChoice, Rates, TuningReport } from './engine.ts';
import { turnSeconds } from './speed-model.ts';
import type { Measurement, TuningRecord } from './tuning-record.ts';

/**
 * How many times the speed of the present choice another plan must have to be preferred. Measurements of a few tokens differ
 * by ±10 % from one to the next: below that the choice would flip.
 */
export const MARGIN = 1.15;

/**
 * The same for a plan that was not measured but estimated, which is right within a factor of two: the model is too large to be
 * loaded a second time.
 */
export const ESTIMATE_MARGIN = 2;

/** Tokens of a prompt that a request must have computed to tell the rate of prompts. */
const OBSERVED_PROMPT = 16;

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

/** Tokens that were drafted, before it is judged whether they pay. */
const DRAFTED_TOKENS = 128;
/**
 * What verifying one of them costs, in tokens of a prompt: its logits are computed too, and it is sampled. Of the embedded model it is
 * 1.5 to 2.4, by the gains and shares in `bench/engine/drafting.md`.
 */
const VERIFYING = 2;

/** A model on this device, as the tuner sees it. */
export interface Tunable {
  /** What the speeds depend on: model, engine's build, device. Measurements are remembered under it. */
  key: string;
  /** Whether another instance of the model fits beside the one that runs. */
  measurable: boolean;
  /** Whether the site's owner fixed any part of what is measured. */
  fixed: boolean;
  /** The plan with this choice, as far as the site's owner and the device allow it; the default one without. */
  plan(choice: Partial<PlanChoice>, trouble: GpuTrouble | null): DevicePlan;
  /** `candidatesFor`. */
  candidates(current: Partial<PlanChoice>, trouble: GpuTrouble | null): [DevicePlan, ...DevicePlan[]];
  /** How fast a plan is expected to be. */
  estimate(plan: DevicePlan): Rates;
  /** What drafting one token costs, as a share of computing one. */
  draftShare(plan: DevicePlan): number;
  /** Told what a plan was measured with, so that estimates of other models get better. */
  learn(plan: DevicePlan, measured: Rates): void;
  /** Loads the model with this plan, beside what runs, and times it; ends at once when aborted. */
  measure(plan: DevicePlan, signal: AbortSignal): Promise<Rates>;
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
  /** Tokens that were drafted since the model was loaded, and those of them that were right. */
  #drafted = 0;
  #accepted = 0;

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
    return planKey(this.plan) !== planKey(this.#plan({}));
  }

  get report(): TuningReport {
    const chosen = planKey(this.#chosen());
    const plans = new Map([...this.#candidates(), this.plan].map((plan) => [planKey(plan), plan]));
    return {
      source: this.#source,
      measured: this.#rates(this.plan),
      candidates: Array.from(plans, ([key, plan]) => ({
        ...choiceOf(plan),
        estimated: this.#tunable.estimate(plan),
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
      const rates = await this.#tunable.measure(plan, signal);
      this.#tunable.learn(plan, rates);
      this.#add(plan, rates);
    } catch {
      if (signal.aborted) return;
      this.#failed.add(planKey(plan));
    }
    this.#choose();
    await this.#persist();
  }

  /**
   * Looks at the timings of a request that ran alone. If they are far from what was measured, the next load takes fewer
   * threads. Of a model that can't be loaded twice, they are the measurement.
   */
  observe(timings: Json): void {
    this.#observeDrafts(timings as { draft_n?: number; draft_n_accepted?: number });
    const {
      predicted_per_second: rate,
      prompt_per_second: promptRate,
      predicted_n = 0,
      prompt_n = 0,
      cache_n = 0,
    } = timings as Record<string, number>;
    if (rate === undefined || predicted_n < COLLAPSE_TOKENS) return;
    if (predicted_n + prompt_n + cache_n > COLLAPSE_CONTEXT) return;
    const expected = this.#rates(this.plan)?.predicted_per_second;
    if (!expected) {
      const tells = !this.#tunable.measurable && promptRate !== undefined && prompt_n >= OBSERVED_PROMPT;
      if (tells) this.#keepObserved({ prompt_per_second: promptRate, predicted_per_second: rate });
      return;
    }
    this.#collapsed = rate < expected * COLLAPSE ? this.#collapsed + 1 : 0;
    if (this.#collapsed === COLLAPSED_REQUESTS) this.#stepDown();
  }

  /**
   * A token that was drafted and is right saves a step; one that is wrong was verified for nothing. They pay if more of them are
   * right than verifying one costs of a step.
   */
  #observeDrafts({ draft_n = 0, draft_n_accepted = 0 }: { draft_n?: number; draft_n_accepted?: number }): void {
    this.#drafted += draft_n;
    this.#accepted += draft_n_accepted;
    if (this.#drafted < DRAFTED_TOKENS) return;
    const { prompt_per_second, predicted_per_second } = this.#rates(this.plan) ?? this.#tunable.estimate(this.plan);
    const verifying = (VERIFYING * (predicted_per_second ?? 0)) / prompt_per_second;
    const costs = verifying + this.#tunable.draftShare(this.plan);
    const pays = this.#accepted / this.#drafted > costs;
    this.#drafted = 0;
    this.#accepted = 0;
    if (!pays) void this.stopDrafting();
  }

  /** From the next load on. */
  async stopDrafting(): Promise<Tuning> {
    this.#record.chosen = choiceOf(this.#plan({ ...choiceOf(this.#chosen()), drafting: 'none' }));
    await this.#persist();
    return new Tuning(this.#tunable, this.#record, this.#save);
  }

  /** The other processor gets its turn at the next load if it is expected to be far ahead; once both are known, the faster one. */
  #keepObserved(rates: Rates): void {
    this.#tunable.learn(this.plan, rates);
    this.#add(this.plan, rates);
    const usesGpu = ({ gpuLayers }: PlanChoice) => gpuLayers > 0;
    const other = this.#candidates().find((plan) => usesGpu(plan) !== usesGpu(this.plan));
    if (other !== undefined) {
      const known = this.#rates(other);
      const gain = speed(known ?? this.#tunable.estimate(other)) / speed(rates);
      if (gain > (known ? MARGIN : ESTIMATE_MARGIN)) this.#record.chosen = choiceOf(other);
    }
    void this.#persist();
  }

  #stepDown(): void {
    const fewer = this.#plan({ ...choiceOf(this.plan), threads: Math.max(1, this.plan.threads >> 1) });
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

  /** Keeps the model, or some of its layers, off the GPU from now on. */
  async avoidGpu(trouble: GpuTrouble): Promise<Tuning> {
    this.#forget(({ gpuLayers }) => gpuLayers > 0);
    this.#record.gpuTrouble = trouble;
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
    return this.#plan(this.#record.chosen ?? {});
  }

  /** The chosen one first. */
  #candidates(): [DevicePlan, ...DevicePlan[]] {
    return this.#tunable.candidates(this.#record.chosen ?? {}, this.#record.gpuTrouble);
  }

  #plan(choice: Partial<PlanChoice>): DevicePlan {
    return this.#tunable.plan(choice, this.#record.gpuTrouble);
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

/** Turns a second; what could not be measured is slower than anything. */
function speed(rates: Rates | null): number {
  return rates === null ? 0 : 1 / turnSeconds(rates);
}

function choiceOf({ variant, threads, kvCacheType, flashAttention, gpuLayers, drafting }: PlanChoice): PlanChoice {
  return { variant, threads, kvCacheType, flashAttention, gpuLayers, drafting };
}
