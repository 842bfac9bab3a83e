/**
 * How a model is run on this device: threads, context, slots, KV cache, batches, GPU, and which build of the wasm.
 * Pure: what the device has and what the model needs come in as facts. `planFor` is right at once; `candidatesFor` says what
 * `tuner.ts` may measure to do better.
 */
import { LlamatabError } from '../errors.ts';
import {
  type DevicePlan,
  type DevicePlanOverrides,
  type Drafting,
  type EngineModel,
  type KvCacheType,
  type PlanChoice,
  type Rates,
  VARIANTS,
  type Variant,
} from './engine.ts';
import type { GpuSupport } from './gpu-adapter.ts';
import { gpuLayersFor, type LayerSizes } from './gpu-layers.ts';
import { type Corrections, estimateRates, type ModelWork, turnSeconds } from './speed-model.ts';

export interface Device {
  /** `navigator.hardwareConcurrency`. */
  cores: number;
  /** Whether wasm memory can be shared between threads: SharedArrayBuffer, which needs cross-origin isolation. */
  sharedMemory: boolean;
  /** Whether WebAssembly has what wllama's default build needs: JSPI and memory64. */
  modernWasm: boolean;
  /** The vector instructions that WebAssembly has. */
  simd: 'relaxed' | 'simd128' | 'none';
  gpu: GpuSupport;
  /** What measurements on this device have taught of the estimates. */
  corrections: Corrections;
  /** Bytes of RAM, roughly; null where the browser does not say. */
  memory: number | null;
  /** Its name and major version. */
  browser: string;
}

/** What the plan needs to know of a model, from its GGUF header. */
export interface ModelFacts {
  kind: EngineModel['kind'];
  /** Bytes of its files. */
  size: number;
  /** Tokens that it was trained for. */
  contextLength: number;
  /** Elements of keys and values that one token adds to the KV cache, over all layers. 0 if it has none. */
  kvElementsPerToken: number;
  /** Elements of one head's key. */
  headSize: number;
  /** Elements of the keys, or the values, whichever are more, that one token adds to one layer. */
  kvElementsPerLayer: number;
  layers: LayerSizes;
  work: ModelWork;
  /** Whether drafted tokens that turn out wrong can be taken back: its only memory is a KV cache, of text alone. */
  takesBack: boolean;
  /** The model that may draft for it. */
  draft: DraftFacts | null;
  /** What went wrong on this device's GPU before. */
  gpuTrouble?: GpuTrouble | null | undefined;
}

export interface DraftFacts {
  /** Bytes of its file. */
  size: number;
  kvElementsPerToken: number;
}

/** Why a model is not put on the GPU as a whole again. */
export interface GpuTrouble {
  /** Layers that may be tried still; 0 leaves the GPU alone. */
  layersAtMost: number;
  /** For people. */
  reason: string;
}

export interface WasmUrls {
  /** wllama's wasm without our kernels, and the Asyncify build for browsers without JSPI or memory64. What a site left out is not there. */
  wasm?: string;
  compatWasm?: string;
  /** The same with our kernels in them. */
  kernels?: { [V in Exclude<Variant, 'stock'>]?: { wasm?: string; compatWasm?: string } };
}

/** As llama-server: four requests at once decode 1.8 to 3.6 times the tokens of one. */
const SLOTS = 4;

/** Tokens of context for each slot. More costs memory that most chats never use; `contextSize` raises it. */
const CONTEXT_SIZE = 4096;

/** Bytes for the KV cache, of the 4 GiB that the wasm's memory can grow to at most. */
const KV_CACHE_BUDGET = 512 * 1024 * 1024;

/**
 * Tokens of a prompt that are computed in one step. A step can't be interrupted, so this bounds how long an abort takes, and
 * how long other streams pause; a larger one gains nothing on the CPU.
 */
const CPU_BATCH = 256;
const GPU_BATCH = 512;

/** Below so many bytes, threads cost more in synchronisation than they bring. */
const ONE_THREAD_SIZE = 8 * 1024 * 1024;

/** Beyond so many, the memory's bandwidth is the limit. */
const MAX_THREADS = 8;

/** Bytes of one element, scales included. */
const KV_BYTES: Record<KvCacheType, number> = {
  f32: 4,
  f16: 2,
  q8_0: 34 / 32,
  q5_1: 24 / 32,
  q5_0: 22 / 32,
  q4_1: 20 / 32,
  q4_0: 18 / 32,
};

/** Elements of a block of a quantized KV cache: a head must be whole blocks. */
const KV_BLOCK = 32;

export function planFor(
  model: ModelFacts,
  device: Device,
  urls: WasmUrls,
  overrides: DevicePlanOverrides = {},
): DevicePlan {
  const { contextSize: asked = CONTEXT_SIZE, contextShift = false } = overrides;
  const contextSize = Math.min(asked, model.contextLength);
  const [{ variant, wasm }] = builds(device, urls, overrides.variant);
  const threads = device.sharedMemory ? Math.min(overrides.threads ?? defaultThreads(model, device), device.cores) : 1;
  const { gpuLayers, gpuNote } = layersOnGpu(model, device, { variant, threads, contextSize }, overrides);
  // wasm has no f16 arithmetic: an f16 cache halves the speed within 500 tokens, q8_0 goes through the fast dot products,
  // and a seeded request's text then depends on nothing that runs beside it.
  const kvCacheType = overrides.kvCacheType ?? (gpuLayers === 0 && hasWholeBlocks(model) ? 'q8_0' : 'f16');
  // An encoder must see a whole input at once.
  const batchSize = model.kind === 'embedding' ? contextSize : gpuLayers > 0 ? GPU_BATCH : CPU_BATCH;

  return {
    wasm,
    compat: !device.modernWasm,
    variant,
    threads,
    contextSize,
    contextNote: contextSize < (overrides.contextSize ?? 0) ? cutTo(model.contextLength, asked) : null,
    contextShift,
    slots: overrides.slots ?? slotsWithin(model.kvElementsPerToken * contextSize * KV_BYTES[kvCacheType]),
    batchSize: overrides.batchSize ?? batchSize,
    microBatchSize: overrides.microBatchSize ?? overrides.batchSize ?? batchSize,
    kvCacheType,
    // A quantized cache needs it.
    flashAttention: overrides.flashAttention ?? true,
    gpuLayers,
    gpuNote,
    drafting: draftingOf(model, device, variant, overrides.drafting),
  };
}

function cutTo(length: number, asked: number): string {
  return `The site asks for ${asked} tokens of context, and the model has ${length}: what it was trained for, or the catalog's \`contextLength\` if that is less.`;
}

/** Bytes of memory that a model takes when it is run so: weights and KV cache. What llama.cpp computes with is little beside it. */
export function memoryOf(model: ModelFacts, { contextSize, slots, kvCacheType, drafting }: DevicePlan): number {
  const cache = (elements: number, type: KvCacheType) => Math.ceil(elements * contextSize * slots * KV_BYTES[type]);
  const draft = drafting === 'model' ? model.draft : null;
  return (
    model.size +
    cache(model.kvElementsPerToken, kvCacheType) +
    (draft === null ? 0 : draft.size + cache(draft.kvElementsPerToken, DRAFT_CACHE))
  );
}

// --- GPU or CPU ----------------------------------------------------------------------------------------------------

type OnGpu = Pick<DevicePlan, 'gpuLayers' | 'gpuNote'>;

/** As many layers as fit, if that is expected to be faster than none; or what was chosen, as far as it fits. */
function layersOnGpu(
  model: ModelFacts,
  { gpu, corrections }: Device,
  cpu: Pick<DevicePlan, 'variant' | 'threads' | 'contextSize'>,
  overrides: DevicePlanOverrides,
): OnGpu {
  if (overrides.gpuLayers === 0) return { gpuLayers: 0, gpuNote: null };
  // Slow, but the site's owner may want it: for a test, say.
  if (overrides.gpuLayers !== undefined && gpu.state === 'software-adapter') {
    const { layersAtMost = overrides.gpuLayers, reason = gpu.message } = model.gpuTrouble ?? {};
    return { gpuLayers: Math.min(overrides.gpuLayers, layersAtMost), gpuNote: reason };
  }
  if (gpu.state !== 'usable') return { gpuLayers: 0, gpuNote: gpu.message };

  const slots = overrides.slots ?? slotsWithin(model.kvElementsPerToken * cpu.contextSize * KV_BYTES.f16);
  const cache = model.kvElementsPerLayer * cpu.contextSize * slots * KV_BYTES[overrides.kvCacheType ?? 'f16'];
  const fit = gpuLayersFor(model.layers, cache, gpu);
  const layers = Math.min(fit.layers, model.gpuTrouble?.layersAtMost ?? fit.layers);
  const gpuNote = layers < fit.layers ? (model.gpuTrouble?.reason ?? null) : fit.limit;
  if (overrides.gpuLayers !== undefined) return { gpuLayers: Math.min(overrides.gpuLayers, layers), gpuNote };
  if (layers === 0) return { gpuLayers: 0, gpuNote };

  const on = estimateRates(model.work, { ...cpu, gpuLayers: layers }, gpu.speed, corrections);
  const off = estimateRates(model.work, { ...cpu, gpuLayers: 0 }, null, corrections);
  if (turnSeconds(on) < turnSeconds(off)) return { gpuLayers: layers, gpuNote };
  return {
    gpuLayers: 0,
    gpuNote: `The CPU is expected to be faster: ${rateText(off)} against ${rateText(on)} on the GPU.`,
  };
}

function rateText({ prompt_per_second, predicted_per_second }: Rates): string {
  const rate = predicted_per_second ?? prompt_per_second;
  return `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens a second`;
}

function defaultThreads(model: ModelFacts, device: Device): number {
  if (model.size < ONE_THREAD_SIZE) return 1;
  // Embeddings run beside a chat: threads that wait for each other on busy cores stall both.
  if (model.kind === 'embedding') return Math.max(1, Math.min(device.cores >> 1, MAX_THREADS));
  // Two of two cores measure best; of more, browsers count hyperthreads, and the page needs some.
  return device.cores <= 2 ? device.cores : Math.max(2, Math.min(device.cores >> 1, MAX_THREADS));
}

/** @param slotBytes what the KV cache of one slot takes. */
function slotsWithin(slotBytes: number): number {
  if (slotBytes === 0) return SLOTS;
  return Math.max(1, Math.min(SLOTS, Math.floor(KV_CACHE_BUDGET / slotBytes)));
}

function hasWholeBlocks({ headSize }: ModelFacts): boolean {
  return headSize % KV_BLOCK === 0;
}

/** llama.cpp's own, which wllama has no parameter for. */
const DRAFT_CACHE: KvCacheType = 'f16';

/** What was asked for, as far as the build and the model can; else by the model that is there for it, if there is one. */
function draftingOf(model: ModelFacts, device: Device, variant: Variant, asked: Drafting | undefined): Drafting {
  // The published build drafts nothing, nor does the one for browsers without memory64: see src/kernels/drafting.ts.
  if (variant === 'stock' || !device.modernWasm || !model.takesBack || model.kind === 'embedding') return 'none';
  if (model.draft === null) return asked === 'lookup' ? 'lookup' : 'none';
  return asked ?? 'model';
}

// --- variants ------------------------------------------------------------------------------------------------------

type Build = Pick<DevicePlan, 'variant' | 'wasm'>;

/**
 * The builds that this device can run and this site has, the fastest first, none better than `best`.
 * @throws LlamatabError `not_supported_error` if the site left out all of them
 */
function builds(device: Device, urls: WasmUrls, best: Variant | 'auto' = 'auto'): [Build, ...Build[]] {
  const file = device.modernWasm ? 'wasm' : 'compatWasm';
  const fastest = Math.max(VARIANTS.indexOf(best === 'auto' ? 'relaxed' : best), FASTEST_WITH[device.simd]);
  const [first, ...rest] = VARIANTS.slice(fastest).flatMap((variant): Build[] => {
    const wasm = (variant === 'stock' ? urls : urls.kernels?.[variant])?.[file];
    return wasm === undefined ? [] : [{ variant, wasm }];
  });
  if (first !== undefined) return [first, ...rest];
  const lacks = device.modernWasm ? `SIMD: ${device.simd}` : 'no JSPI, or no memory64';
  throw new LlamatabError(
    'not_supported_error',
    `This site has no build of the engine for this browser (${lacks}): it was left out. Use another browser; the site's owner can ` +
      "take 'compat' and 'stock' out of the `leaveOut` of llamatab's plugin, or of `npx llamatab init`.",
  );
}

/** Places in `VARIANTS`. */
const FASTEST_WITH: Record<Device['simd'], number> = { relaxed: 0, simd128: 1, none: 2 };

// --- candidates ----------------------------------------------------------------------------------------------------

/**
 * The plans worth measuring: `current` first, then those that differ from it in one dimension. Asked again with the best of
 * them as `current`, it climbs: a few plans instead of all combinations.
 *
 * @param overrides fix a dimension, which is then not varied.
 */
export function candidatesFor(
  model: ModelFacts,
  device: Device,
  urls: WasmUrls,
  overrides: DevicePlanOverrides,
  current: Partial<PlanChoice> = {},
): [DevicePlan, ...DevicePlan[]] {
  const fixed = defined(overrides);
  const plan = (choice: Partial<PlanChoice>) => planFor(model, device, urls, withOverrides(choice, fixed));
  const base = plan(current);
  const plans: DevicePlan[] = [];

  // Of a lookup, a short text tells nothing: see `tuning.ts`.
  if (model.draft !== null && fixed.drafting === undefined) {
    plans.push(plan({ ...current, drafting: 'none' }), plan({ ...current, drafting: 'model' }));
  }
  if (base.gpuLayers === 0) {
    for (const variant of variantsWorthTrying(device, urls, fixed.variant)) plans.push(plan({ ...current, variant }));
    for (const threads of threadCounts(model, device)) plans.push(plan({ ...current, threads }));
    for (const cache of cachesWorthTrying(model, fixed)) plans.push(plan({ ...current, ...cache }));
  }
  // Each with its own defaults.
  if (device.gpu.state === 'usable')
    plans.push(plan({ gpuLayers: model.layers.blocks.length + 1 }), plan({ gpuLayers: 0 }));

  // A faster cache that leaves room for fewer requests at once is no gain.
  const others = new Map(plans.filter(({ slots }) => slots >= base.slots).map((plan) => [planKey(plan), plan]));
  others.delete(planKey(base));
  return [base, ...others.values()];
}

/** The choice, with what the site's owner fixed; but that drafting does not pay is nothing that anyone would want. */
export function withOverrides(choice: Partial<PlanChoice>, fixed: DevicePlanOverrides): DevicePlanOverrides {
  return { ...choice, ...fixed, ...(choice.drafting === 'none' ? { drafting: 'none' } : {}) };
}

/** Names what measuring decides of a plan. */
export function planKey({ variant, threads, kvCacheType, flashAttention, gpuLayers, drafting }: PlanChoice): string {
  return JSON.stringify([variant, threads, kvCacheType, flashAttention, gpuLayers, drafting]);
}

/** The overrides that say something: an absent one must not hide a choice. */
export function defined(overrides: DevicePlanOverrides): DevicePlanOverrides {
  return Object.fromEntries(
    Object.entries(overrides).filter(([, value]) => value !== undefined && value !== 'auto'),
  ) as DevicePlanOverrides;
}

/** Which of the two kernels' builds is faster depends on the CPU; that either is slower than none was never seen. */
function variantsWorthTrying(device: Device, urls: WasmUrls, fixed: DevicePlanOverrides['variant']): Variant[] {
  if (fixed !== undefined) return [];
  return builds(device, urls).flatMap(({ variant }) => (variant === 'stock' ? [] : [variant]));
}

function threadCounts({ kind }: ModelFacts, { cores }: Device): number[] {
  const half = Math.max(1, Math.min(cores >> 1, MAX_THREADS));
  // Embeddings run beside a chat, which needs the other cores.
  return kind === 'embedding' ? [1, half] : [1, half, Math.min(cores, MAX_THREADS)];
}

/**
 * Only where a head is no whole blocks. Elsewhere q8_0 is the fastest that was measured from 500 tokens on, which a short
 * measurement does not show, and the only one with which a seeded text does not depend on what runs beside it.
 */
function cachesWorthTrying(model: ModelFacts, fixed: DevicePlanOverrides): Partial<PlanChoice>[] {
  if (hasWholeBlocks(model) || model.kvElementsPerToken === 0) return [];
  if (fixed.kvCacheType !== undefined || fixed.flashAttention !== undefined) return [];
  return [
    { kvCacheType: 'f16', flashAttention: true },
    { kvCacheType: 'f32', flashAttention: false },
  ];
}
