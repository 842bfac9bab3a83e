/** What is remembered of a model on a device: which plan it runs with, what was measured, what went wrong. */
import { get, set, type UseStore } from 'idb-keyval';
import { openDatabase, retrying } from '../database.ts';
import type { GpuTrouble } from './device-plan.ts';
import {
  DRAFTINGS,
  type Drafting,
  KV_CACHE_TYPES,
  type KvCacheType,
  type PlanChoice,
  type Rates,
  VARIANTS,
  type Variant,
} from './engine.ts';

export interface TuningRecord {
  /** What the next load uses; null for the default. */
  chosen: PlanChoice | null;
  measured: Measurement[];
  /** Why the GPU is left alone, or gets fewer layers. */
  gpuTrouble: GpuTrouble | null;
}

export interface Measurement {
  choice: PlanChoice;
  rates: Rates;
  /** Measured a second time, and the better rates kept. */
  confirmed: boolean;
}

/** Values are JSON. Either may reject: a private window has no database. */
export interface TuningStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

/** Whatever was stored, by whichever version: what does not look right was never measured. */
export function readRecord(stored: unknown): TuningRecord {
  const { chosen, measured, gpuTrouble } = (stored ?? {}) as {
    chosen?: unknown;
    measured?: unknown;
    gpuTrouble?: unknown;
  };
  return {
    chosen: isChoice(chosen) ? chosen : null,
    measured: Array.isArray(measured) ? measured.filter(isMeasurement) : [],
    gpuTrouble: isTrouble(gpuTrouble) ? gpuTrouble : null,
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
    typeof choice.flashAttention === 'boolean' &&
    DRAFTINGS.includes(choice.drafting as Drafting)
  );
}

function isTrouble(value: unknown): value is GpuTrouble {
  const { layersAtMost, reason } = (value ?? {}) as Partial<GpuTrouble>;
  return isCount(layersAtMost) && typeof reason === 'string';
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isRate = (value: unknown): value is number => Number.isFinite(value) && (value as number) > 0;

/** A database of its own: an idb-keyval database holds one store. Opened when first used, which may fail in private windows. */
export function browserStore(): TuningStore {
  let opened: UseStore | undefined;
  const database = () => {
    opened ??= retrying(openDatabase('llamatab-plans', 'plans'));
    return opened;
  };
  return {
    get: async (key) => get(key, database()),
    set: async (key, record) => set(key, record, database()),
  };
}

/** The store, and what was set while the page lives, even where nothing can be stored. */
export function withMemory(store: TuningStore): TuningStore {
  const values = new Map<string, unknown>();
  return {
    get: async (key) => values.get(key) ?? store.get(key),
    set(key, value) {
      values.set(key, structuredClone(value));
      return store.set(key, value);
    },
  };
}
