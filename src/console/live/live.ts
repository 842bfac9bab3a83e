/** What the live view shows: read from `/v1/metrics`, `/v1/slots` and `/v1/props`, and from the status of before and after. */
import type { ModelStatus, ServerStatus } from '../../index.ts';
import { formatRate } from '../parts/format.ts';
import { shortName } from '../status.ts';

/** One look at the server. */
export interface Sample {
  /** Milliseconds since the page was opened. */
  at: number;
  /** Tokens generated, and tokens of prompts computed, since the server started. */
  generated: number;
  prompted: number;
  processing: number;
  deferred: number;
  /** Bytes of all loaded models, as estimated. */
  memory: number;
}

export interface Slot {
  id: number;
  busy: boolean;
  /** Tokens of the answer so far, and how many it may have; null for no limit. */
  decoded: number;
  limit: number | null;
}

/** A plan that was, or could be, measured on this device. */
export interface PlanRate {
  label: string;
  /** Tokens a second. */
  rate: number;
  /** Whether that was measured here; else it is expected. */
  measured: boolean;
  chosen: boolean;
}

export interface LiveModel {
  model: ModelStatus;
  slots: Slot[];
  plans: PlanRate[];
  /** Layers on a GPU and its name; null on the CPU. */
  gpu: { layers: number; device: string } | null;
}

/** The `llamacpp:` values of a Prometheus text, by name. */
export function readMetrics(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const [, name = '', value] of text.matchAll(/^llamacpp:(\w+) (\S+)$/gm)) values.set(name, Number(value));
  return values;
}

interface SlotEntry {
  id: number;
  is_processing: boolean;
  next_token?: { n_decoded: number; n_remain: number }[];
}

export function readSlots(entries: readonly SlotEntry[]): Slot[] {
  return entries.map(({ id, is_processing: busy, next_token: next }) => {
    const decoded = next?.[0]?.n_decoded ?? 0;
    const remain = next?.[0]?.n_remain ?? -1;
    return { id, busy, decoded, limit: remain < 0 ? null : decoded + remain };
  });
}

export function toSample(at: number, metrics: Map<string, number>, models: readonly LiveModel[]): Sample {
  const of = (name: string) => metrics.get(name) ?? 0;
  // The counters have a request's tokens when it ends; until then its slot has them.
  const underWay = models.flatMap(({ slots }) => slots).reduce((sum, { decoded }) => sum + decoded, 0);
  return {
    at,
    generated: of('tokens_predicted_total') + underWay,
    prompted: of('prompt_tokens_total'),
    processing: of('requests_processing'),
    deferred: of('requests_deferred'),
    memory: models.reduce((sum, { model }) => sum + (model.runtime?.memory ?? 0), 0),
  };
}

/** Tokens a second between each sample and the one before it. A server that was started anew counts from 0. */
export function ratesOf(samples: readonly Sample[], field: 'generated' | 'prompted'): number[] {
  return samples.map((sample, index) => {
    const before = samples[index - 1];
    if (before === undefined || sample.at <= before.at) return 0;
    return Math.max(0, ((sample[field] - before[field]) / (sample.at - before.at)) * 1000);
  });
}

/** What of `engine` in `GET /v1/props` is read here. */
export interface EngineProps {
  gpu?: LiveModel['gpu'];
  candidates?: Candidate[];
}

interface Candidate {
  variant: string;
  threads: number;
  gpuLayers: number;
  kvCacheType: string;
  flashAttention: boolean;
  estimated: Rates;
  measured: Rates | null;
  chosen: boolean;
}

interface Rates {
  prompt_per_second: number;
  predicted_per_second: number | null;
}

/** The fastest first. What differs between them is in their labels. */
export function readPlans({ candidates = [] }: EngineProps): PlanRate[] {
  const mixed = (field: keyof Candidate) => new Set(candidates.map((candidate) => candidate[field])).size > 1;
  const labelOf = (plan: Candidate) => {
    const parts = [
      plan.gpuLayers > 0 ? 'GPU' : 'CPU',
      plan.gpuLayers > 0 && !mixed('threads') ? [] : plan.threads === 1 ? '1 thread' : `${plan.threads} threads`,
      mixed('variant') ? (VARIANTS[plan.variant] ?? plan.variant) : [],
      mixed('kvCacheType') ? `${plan.kvCacheType} cache` : [],
      mixed('flashAttention') && !plan.flashAttention ? 'no flash attention' : [],
    ];
    return parts.flat().join(', ');
  };
  return candidates
    .map((candidate) => {
      const { prompt_per_second: prompt, predicted_per_second: predicted } = candidate.measured ?? candidate.estimated;
      return {
        label: labelOf(candidate),
        rate: predicted ?? prompt,
        measured: candidate.measured !== null,
        chosen: candidate.chosen,
      };
    })
    .sort((a, b) => b.rate - a.rate);
}

const VARIANTS: Record<string, string> = { relaxed: 'relaxed SIMD', simd128: 'plain SIMD', stock: 'no kernels' };

export interface LiveEvent {
  /** Milliseconds since 1970. */
  at: number;
  text: string;
  bad: boolean;
}

/** What has happened between two statuses, in words. */
export function eventsBetween(before: ServerStatus, after: ServerStatus, at: number): LiveEvent[] {
  const events: LiveEvent[] = [];
  const say = (text: string, bad = false) => events.push({ at, text, bad });
  if (before.role !== after.role && after.state === 'ready') {
    if (after.role === 'host') {
      say(before.role === 'guest' ? 'This tab took the engine over from another one.' : 'This tab runs the engine.');
    } else if (after.role === 'guest') say("Another tab's engine answers.");
  }
  if (after.state === 'stopped' && before.state !== 'stopped') say('The server was stopped.', true);
  if (after.reload !== null && after.reload !== before.reload) say(after.reload, true);
  if (after.modelsError !== null && after.modelsError !== before.modelsError) say(after.modelsError, true);

  const { upstream } = after;
  if (upstream && upstream.answered > (before.upstream?.answered ?? 0)) {
    say(`${new URL(upstream.baseURL).host} answered in place of this device: ${upstream.lastReason}.`);
  }

  for (const model of after.models) {
    const { state = 'available', runtime } = before.models.find(({ id }) => id === model.id) ?? {};
    const name = shortName(model);
    if (model.state !== state) {
      if (model.state === 'loaded') say(`${name} is loaded: ${placeOf(model.runtime)}.`);
      else if (model.state === 'failed') say(`${name} failed: ${model.error ?? 'no reason was given'}`, true);
      else if (model.state === 'downloading') say(`${name} is being fetched.`);
      else if (model.state === 'loading') say(`${name} is being loaded into memory.`);
      else if (state === 'loaded') say(`${name} left the memory.`);
    }
    const now = model.runtime;
    if (!now || !runtime) continue;
    if (now.gpu !== runtime.gpu) say(`${name} moved: ${placeOf(now)}. ${now.gpuNote ?? ''}`.trim(), now.gpu === null);
    if (now.measured && !runtime.measured) {
      const { predicted_per_second: predicted, prompt_per_second: prompt } = now.measured;
      say(`${name} was measured while idle: ${formatRate(predicted ?? prompt)}.`);
    }
  }
  return events;
}

/** `GET /v1/health`, once an engine was lost and started again. */
export interface Health {
  restarts?: readonly { model: string; time: number; reason: string }[];
}

/** What happened here and to the engines, the latest first. */
export function withRestarts(events: readonly LiveEvent[], { restarts = [] }: Health): LiveEvent[] {
  const lost = restarts.map(({ model, time, reason }) => ({
    at: time,
    text: `The engine of ${model} was lost, and started again: ${reason}`,
    bad: true,
  }));
  return [...events, ...lost].sort((a, b) => b.at - a.at);
}

function placeOf(runtime: ModelStatus['runtime']): string {
  if (!runtime) return 'not loaded';
  if (runtime.gpu !== null) return `on the GPU, ${runtime.gpu}`;
  return `on the CPU, ${runtime.threads === 1 ? '1 thread' : `${runtime.threads} threads`}`;
}

/** A round number at or above this one: the top of a chart. */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}
