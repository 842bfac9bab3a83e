/**
 * What the server asks of an inference engine. The only implementation is `wllama-engine.ts`; tests of the server use a
 * fake one. Payloads are llama.cpp's own JSON (the shapes of `llama-server`), so that nothing is translated twice.
 */
import type { LlamatabError } from '../errors.ts';

/** One JSON object in llama.cpp's own shape. */
export type Json = { [key: string]: unknown };

export type KvCacheType = 'f32' | 'f16' | 'q8_0' | 'q5_1' | 'q5_0' | 'q4_1' | 'q4_0';

/** How the engine runs a model on this device. See `device-plan.ts` for the choices. */
export interface DevicePlan {
  /** Absolute URL of the wasm, and whether it is the Asyncify build for browsers without JSPI or memory64. */
  wasm: string;
  compat: boolean;
  /** Threads in use, 1 without SharedArrayBuffer. */
  threads: number;
  /** Tokens of context that each slot holds. */
  contextSize: number;
  /** Requests that are computed at once. */
  slots: number;
  /** Tokens that are put through the model in one step (logical and physical batch). */
  batchSize: number;
  microBatchSize: number;
  kvCacheType: KvCacheType;
  flashAttention: boolean;
  /** Layers to offload to WebGPU; 0 leaves it alone. */
  gpuLayers: number;
}

/** What the site's owner may fix by hand: anything of the plan. */
export type DevicePlanOverrides = Partial<Omit<DevicePlan, 'wasm' | 'compat'>>;

export interface EngineModel {
  /** Name for messages and answers. */
  id: string;
  /** The GGUF file, or its shards in order. Read lazily, never as a whole. */
  files: Blob[];
  /** `embedding` models are loaded with llama.cpp's pooling, others for completion. */
  kind: 'completion' | 'embedding';
  /** The catalog's context length, in tokens: an upper bound of `DevicePlan.contextSize`. */
  contextLength?: number | undefined;
}

export interface Engine {
  /**
   * Loads a model beside those already loaded.
   * @throws LlamatabError `server_error` with llama.cpp's own reason if the file is no model, is truncated or does not fit.
   */
  load(model: EngineModel, signal?: AbortSignal): Promise<LoadedModel>;
}

export interface LoadedModelInfo {
  plan: DevicePlan;
  /** llama.cpp's build, e.g. `b11364-46ca246`. */
  build: string;
  /** Layers on a GPU and its name, read from the engine's log; null on the CPU. */
  gpu: { layers: number; device: string } | null;
  nVocab: number;
  nCtxTrain: number;
  nEmbd: number;
  nLayer: number;
  /** All string, number and boolean pairs of the GGUF header, as text. */
  metadata: Record<string, string>;
  bosToken: number;
  eosToken: number;
}

export interface CompletionRequest {
  /** `chat` takes `messages` and the model's template; `text` takes `prompt`. */
  kind: 'chat' | 'text';
  /** A validated body: nothing in it may make llama.cpp throw. `stream` decides how many results come. */
  body: Json;
  signal?: AbortSignal | undefined;
  /** Called once llama.cpp has taken the request: its parameters and length are sound, and only the engine itself can fail. */
  onAccepted?: (() => void) | undefined;
}

export interface EmbeddingRequest {
  input: string;
  /** llama-server's `embd_normalize`: -1 none, 0 max absolute int16, 1 taxicab, 2 Euclidean, more: p-norm. */
  normalize: number;
  signal?: AbortSignal | undefined;
}

export interface EmbeddingResult {
  embedding: number[];
  /** Tokens in the input. */
  tokens: number;
}

export interface LoadedModel {
  readonly info: LoadedModelInfo;
  /** Settles, with the reason, when the engine under this model is lost (out of memory, a trap): load it again. */
  readonly lost: Promise<LlamatabError>;
  /** Requests that hold a slot, and those that wait for one. */
  readonly load: { processing: number; deferred: number };
  /**
   * Waits for a free slot (first come, first served), then yields llama.cpp's results: with `stream: true` one
   * `chat.completion.chunk` or `text_completion` object after the other, else the whole answer as the only one.
   * Ids, model names and fingerprints are llama.cpp's; the server overwrites them. Leaving the loop or aborting the
   * signal frees the slot within one token.
   * @throws LlamatabError with llama.cpp's type (`exceed_context_size_error`, …); `AbortError` when aborted.
   */
  complete(request: CompletionRequest): AsyncIterable<Json>;
  /** Embeds one text; waits for a slot as `complete` does. */
  embed(request: EmbeddingRequest): Promise<EmbeddingResult>;
  /** Frees the memory. Requests under way are rejected with `unavailable_error`. */
  unload(): void;
}
