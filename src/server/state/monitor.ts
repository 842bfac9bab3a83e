/** The engine's work as seen from its requests: the tasks in its slots, and llama-server's counters. */
import type { CompletionRequest, Engine, Json, LoadedModel, Workload } from '../../engine/engine.ts';

/** A completion under way. */
export interface Task {
  /** Counts up over all models. */
  id: number;
  /** The request to llama.cpp. */
  body: Json;
  /** Results so far; for a stream, about its tokens. */
  results: number;
}

/** Of all requests since the server started. */
export interface Totals {
  /** Tokens of prompts, embedded texts and scored documents that were computed, and those taken from the cache. */
  promptTokens: number;
  cachedTokens: number;
  promptSeconds: number;
  predictedTokens: number;
  predictedSeconds: number;
  /** Tokens of the longest prompt with its answer. */
  longestSequence: number;
}

export interface Activity {
  /** By slot id; null for an idle slot. */
  readonly slots: readonly (Task | null)[];
}

export interface Monitor {
  readonly totals: Readonly<Totals>;
  /** Of all models, including the past work of those no longer loaded. */
  readonly workload: Workload;
  /** The same engine, with its models watched. */
  watch(engine: Engine): Engine;
  /** @param model Loaded by the watched engine. */
  activity(model: LoadedModel): Activity;
}

export function createMonitor(): Monitor {
  const totals = NO_TOTALS();
  const models = new Set<LoadedModel>();
  /** Of models no longer loaded. */
  const past = { decodes: 0, busySlots: 0 };
  const activities = new WeakMap<LoadedModel, SlotTable>();
  let tasks = 0;
  /** Embeddings and scores under way, and until when their time is counted; milliseconds. */
  let unmeasured = 0;
  let countedUntil = 0;

  /**
   * llama.cpp tells the tokens of what is embedded or scored, but not the time: it is that in which any was under way, as
   * several are computed in one step.
   */
  async function countTokens<T extends { tokens: number }>(work: () => Promise<T>): Promise<T> {
    if (unmeasured++ === 0) countedUntil = performance.now();
    try {
      const result = await work();
      count(totals, { prompt_n: result.tokens });
      return result;
    } finally {
      const now = performance.now();
      totals.promptSeconds += (now - countedUntil) / 1000;
      countedUntil = now;
      unmeasured--;
    }
  }

  function watchModel(model: LoadedModel): LoadedModel {
    const table = new SlotTable(model.info.plan.slots);
    const watched: LoadedModel = {
      info: model.info,
      lost: model.lost,
      get workload() {
        return model.workload;
      },
      get tuning() {
        return model.tuning;
      },
      tokenizer: () => model.tokenizer(),
      showsTools: (signal) => model.showsTools(signal),
      schemaWay: (signal) => model.schemaWay(signal),
      async *complete(request: CompletionRequest) {
        const task: Task = { id: tasks++, body: request.body, results: 0 };
        const onStarted = () => {
          table.enter(task);
          request.onStarted?.();
        };
        let timings: unknown;
        try {
          for await (const result of model.complete({ ...request, onStarted })) {
            task.results++;
            timings = result.timings ?? timings;
            yield result;
          }
        } finally {
          table.leave(task);
          if (timings) count(totals, timings as Timings);
        }
      },
      embed: (request) => countTokens(() => model.embed(request)),
      rerank: (request) => countTokens(() => model.rerank(request)),
      speak: (request) => model.speak(request),
      converse: (request) => model.converse(request),
      unload() {
        forget();
        model.unload();
      },
    };
    const forget = () => {
      if (!models.delete(watched)) return;
      past.decodes += model.workload.decodes;
      past.busySlots += model.workload.busySlots;
    };
    models.add(watched);
    activities.set(watched, table);
    model.lost.then(forget, forget);
    return watched;
  }

  return {
    totals,
    get workload() {
      const workload = { processing: 0, deferred: 0, ...past };
      for (const model of models) {
        workload.processing += model.workload.processing;
        workload.deferred += model.workload.deferred;
        workload.decodes += model.workload.decodes;
        workload.busySlots += model.workload.busySlots;
      }
      return workload;
    },
    watch: (engine) => ({
      load: async (model, signal) => watchModel(await engine.load(model, signal)),
      memory: (model) => engine.memory(model),
    }),
    activity: (model) => activities.get(model) ?? new SlotTable(model.info.plan.slots),
  };
}

class SlotTable implements Activity {
  readonly slots: (Task | null)[];

  constructor(slots: number) {
    this.slots = Array<Task | null>(slots).fill(null);
  }

  enter(task: Task): void {
    this.#put(null, task);
  }

  leave(task: Task): void {
    this.#put(task, null);
  }

  #put(before: Task | null, after: Task | null): void {
    const slot = this.slots.indexOf(before);
    if (slot !== -1) this.slots[slot] = after;
  }
}

/** llama.cpp's `timings` of a completion, or of its part so far: in tokens and milliseconds. */
export interface Timings {
  cache_n?: number;
  prompt_n?: number;
  prompt_ms?: number;
  predicted_n?: number;
  predicted_ms?: number;
}

const NO_TOTALS = (): Totals => ({
  promptTokens: 0,
  cachedTokens: 0,
  promptSeconds: 0,
  predictedTokens: 0,
  predictedSeconds: 0,
  longestSequence: 0,
});

function count(totals: Totals, timings: Timings): void {
  const { cache_n = 0, prompt_n = 0, prompt_ms = 0, predicted_n = 0, predicted_ms = 0 } = timings;
  totals.promptTokens += prompt_n;
  totals.cachedTokens += cache_n;
  totals.promptSeconds += prompt_ms / 1000;
  totals.predictedTokens += predicted_n;
  totals.predictedSeconds += predicted_ms / 1000;
  totals.longestSequence = Math.max(totals.longestSequence, cache_n + prompt_n + predicted_n);
}
