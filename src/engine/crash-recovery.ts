/**
 * What follows from an engine that was lost on the CPU, or could not be loaded there: the same model with less memory, where that
 * is what it lacked. (Of a GPU: `gpu-trouble.ts`.)
 */
import { type DevicePlan, EngineLost } from './engine.ts';
import { isOutOfMemory } from './gpu-trouble.ts';

/** Tokens of context that a model is not cut below: less holds no conversation. */
const LEAST_CONTEXT = 1024;

/** Crashes without a reason that says more, after which less memory is tried: one is an accident, or one request's doing. */
const CRASHES = 3;

/** What happened to one model while this page lives. */
export class CrashRecovery {
  /** How many times the plan was made smaller. */
  #steps = 0;
  #crashes = 0;
  /** Why. */
  #reason: string | null = null;

  /** The plan as far as what happened allows it. */
  plan(planned: DevicePlan): DevicePlan {
    let plan = planned;
    for (let step = 0; step < this.#steps; step++) plan = smallerPlan(plan) ?? plan;
    if (plan === planned || this.#reason === null) return planned;
    const requests = plan.slots === 1 ? 'one request' : `${plan.slots} requests`;
    const note = `The engine runs ${requests} at a time with ${plan.contextSize} tokens of context, since it failed with more: ${this.#reason}`;
    return { ...plan, contextNote: note };
  }

  /**
   * The engine was lost, or could not be loaded, with this plan.
   * @returns whether the next one is a smaller one.
   */
  failed(plan: DevicePlan, error: unknown): boolean {
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof EngineLost) this.#crashes++;
    if (!isOutOfMemory(reason) && this.#crashes < CRASHES) return false;
    this.#crashes = 0;
    if (smallerPlan(plan) === null) return false;
    this.#steps++;
    this.#reason = reason;
    return true;
  }
}

/** Fewer requests at once, then a shorter context: half of either, until there is no less. Null where there is none. */
export function smallerPlan(plan: DevicePlan): DevicePlan | null {
  if (plan.slots > 1) return { ...plan, slots: plan.slots >> 1 };
  const contextSize = plan.contextSize >> 1;
  if (contextSize < LEAST_CONTEXT) return null;
  return {
    ...plan,
    contextSize,
    batchSize: Math.min(plan.batchSize, contextSize),
    microBatchSize: Math.min(plan.microBatchSize, contextSize),
  };
}
