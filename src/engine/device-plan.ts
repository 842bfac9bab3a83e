/**
 * How a model is run on this device: threads, context, slots, KV cache, batches, GPU, and which build of the wasm.
 * Pure: what the device has and what the model needs come in as facts.
 */
import type { DevicePlan, DevicePlanOverrides, EngineModel, KvCacheType } from './engine.ts';

export interface Device {
  /** `navigator.hardwareConcurrency`. */
  cores: number;
  /** Whether wasm memory can be shared between threads: SharedArrayBuffer, which needs cross-origin isolation. */
  sharedMemory: boolean;
  /** Whether WebAssembly has what wllama's default build needs: JSPI and memory64. */
  modernWasm: boolean;
  /** A WebGPU adapter that ggml can use: a real one, with `shader-f16`. */
  webgpu: boolean;
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
}

export interface WasmUrls {
  wasm: string;
  compatWasm: string;
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

export function planFor(
  model: ModelFacts,
  device: Device,
  urls: WasmUrls,
  overrides: DevicePlanOverrides = {},
): DevicePlan {
  const gpuLayers = overrides.gpuLayers ?? (device.webgpu ? ALL_LAYERS : 0);
  // wasm has no f16 arithmetic: an f16 cache halves the speed within 500 tokens, q8_0 goes through the fast dot products,
  // and a seeded request's text then depends on nothing that runs beside it. A head must be whole blocks of 32.
  const kvCacheType = overrides.kvCacheType ?? (gpuLayers === 0 && model.headSize % 32 === 0 ? 'q8_0' : 'f16');
  const contextSize = Math.min(overrides.contextSize ?? CONTEXT_SIZE, model.contextLength);
  // An encoder must see a whole input at once.
  const batchSize = model.kind === 'embedding' ? contextSize : gpuLayers > 0 ? GPU_BATCH : CPU_BATCH;

  return {
    wasm: device.modernWasm ? urls.wasm : urls.compatWasm,
    compat: !device.modernWasm,
    threads: device.sharedMemory ? Math.min(overrides.threads ?? defaultThreads(model, device), device.cores) : 1,
    contextSize,
    slots: overrides.slots ?? slotsWithin(model.kvElementsPerToken * contextSize * KV_BYTES[kvCacheType]),
    batchSize: overrides.batchSize ?? batchSize,
    microBatchSize: overrides.microBatchSize ?? overrides.batchSize ?? batchSize,
    kvCacheType,
    // A quantized cache needs it.
    flashAttention: overrides.flashAttention ?? true,
    gpuLayers,
  };
}

/** llama.cpp clamps it to what the model has. */
const ALL_LAYERS = 99_999;

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
