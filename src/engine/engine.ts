/**
 * What the server asks of an inference engine. The only implementation is `wllama-engine.ts`; tests of the server use a
 * fake one. Payloads are llama.cpp's own JSON (the shapes of `llama-server`), so that nothing is translated twice.
 */
import { LlamatabError } from '../errors.ts';
import type { EngineOptions } from '../protocol.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { SchemaWay } from './schema-way.ts';

/** One JSON object in llama.cpp's own shape. */
export type Json = { [key: string]: unknown };

export const KV_CACHE_TYPES = ['f32', 'f16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const;
export type KvCacheType = (typeof KV_CACHE_TYPES)[number];

/**
 * Builds of the wasm, the fastest first: our kernels in relaxed SIMD, the same in plain SIMD, wllama without them. A site
 * has at least the last.
 */
export const VARIANTS = ['relaxed', 'simd128', 'stock'] as const;
export type Variant = (typeof VARIANTS)[number];

/**
 * Where drafted tokens come from, which the model only has to verify, several in one step: `lookup`, what followed when the text
 * said the same before; `model`, a smaller model of the same vocabulary.
 */
export const DRAFTINGS = ['none', 'lookup', 'model'] as const;
export type Drafting = (typeof DRAFTINGS)[number];

/** How the engine runs a model on this device. See `device-plan.ts` for the choices. */
export interface DevicePlan {
  /** Absolute URL of the wasm, and whether it is the Asyncify build for browsers without JSPI or memory64. */
  wasm: string;
  compat: boolean;
  variant: Variant;
  /** Threads in use, 1 without SharedArrayBuffer. */
  threads: number;
  /** Tokens of context that each slot holds. */
  contextSize: number;
  /** Why that is less than the site's owner asked for, or the engine would have; null where nothing is to be said. */
  contextNote: string | null;
  /** Whether a text that fills its context goes on without its oldest half. */
  contextShift: boolean;
  /** Requests that are computed at once. */
  slots: number;
  /** Tokens that are put through the model in one step (logical and physical batch). */
  batchSize: number;
  microBatchSize: number;
  kvCacheType: KvCacheType;
  flashAttention: boolean;
  /** Layers to offload to WebGPU, the output counted as one; 0 leaves it alone. */
  gpuLayers: number;
  /** Why the model is not, or not as a whole, on a GPU, and what to do about it; null where nothing is to be said. */
  gpuNote: string | null;
  drafting: Drafting;
}

/** What of a plan is decided by measuring. */
export type PlanChoice = Pick<
  DevicePlan,
  'variant' | 'threads' | 'kvCacheType' | 'flashAttention' | 'gpuLayers' | 'drafting'
>;

export type { EngineOptions };

/**
 * The engine under a model is gone, and nobody asked for that: it crashed, it hangs, its memory or its GPU is lost. Whatever was
 * under way may be asked again of the model that is loaded next.
 */
export class EngineLost extends LlamatabError {
  constructor(reason: string) {
    super('server_error', reason);
  }
}

/** What the site's owner fixed of the plan. Anything left out is chosen. */
export type DevicePlanOverrides = Omit<EngineOptions, 'measure' | 'selfTest' | 'idleBeforeMeasuring' | 'hangAfter'>;

/** Tokens a second, of one request alone with a short context. */
export interface Rates {
  prompt_per_second: number;
  /** Null for a model that only embeds. */
  predicted_per_second: number | null;
}

/** How a model's plan came about, and what is known of the others. */
export interface TuningReport {
  /**
   * Of the plan in use: `default`, until enough was measured; `measured`: the fastest, or as fast as any; `overridden`: the
   * site's owner left nothing to choose.
   */
  source: 'default' | 'measured' | 'overridden';
  /** Of the plan in use; null as long as it was not measured. */
  measured: Rates | null;
  /** The plans worth trying, that in use among them. */
  candidates: CandidateReport[];
}

export interface CandidateReport extends PlanChoice {
  /** What `speed-model.ts` expects, corrected by what was measured on this device. */
  estimated: Rates;
  measured: Rates | null;
  /** Whether it is the plan of the next load. */
  chosen: boolean;
}

export interface EngineModel {
  /** Name for messages and answers. */
  id: string;
  /** The GGUF file, or its shards in order; then the projector (`mmproj`) of a model that sees or hears. Read lazily, never as a whole. */
  files: Blob[];
  /** A smaller model's GGUF, of the same vocabulary, that may draft for it. */
  draft?: Blob | undefined;
  /** `embedding` models are loaded with llama.cpp's pooling, others for completion. */
  kind: 'completion' | 'embedding';
  /** Of an `embedding` model whose header does not say; `rank` scores documents. Default: `mean`. */
  pooling?: 'mean' | 'rank' | undefined;
  /** The catalog's context length, in tokens: an upper bound of `DevicePlan.contextSize`. */
  contextLength?: number | undefined;
}

export interface Engine {
  /**
   * Loads a model beside those already loaded.
   * @throws LlamatabError `server_error` with llama.cpp's own reason if the file is no model, is truncated or does not fit.
   */
  load(model: EngineModel, signal?: AbortSignal): Promise<LoadedModel>;
  /**
   * Bytes of memory that the model will take once it is loaded: its weights, and the KV cache of all its slots.
   * @throws LlamatabError as `load`, if the file is no model.
   */
  memory(model: EngineModel): Promise<number>;
}

export interface LoadedModelInfo {
  plan: DevicePlan;
  /** llama.cpp's build, e.g. `b12211-7d7f028`. */
  build: string;
  /** Layers on a GPU and its name, read from the engine's log; null on the CPU. */
  gpu: { layers: number; device: string } | null;
  nVocab: number;
  nCtxTrain: number;
  nEmbd: number;
  nLayer: number;
  /** Weights, and their bytes: of the model itself, not of a projector. */
  nParams: number;
  tensorBytes: number;
  /** All string, number and boolean pairs of the GGUF header, as text. */
  metadata: Record<string, string>;
  bosToken: number;
  eosToken: number;
  /** Why llama.cpp can't use the model's own chat template, so that chats are written in ChatML; null where it can. */
  templateFault: string | null;
  /** What it takes beside text, and the text that stands for each file. */
  media: { image: boolean; audio: boolean; marker: string };
  /** What it does with sounds beside that. */
  sound: SoundInfo;
}

/** Rates are in samples a second, of one channel. */
export interface SoundInfo {
  /** Of the sounds that it hears; 0 if it is deaf. */
  inputRate: number;
  /** Of the speech that it makes; 0 if it is mute. */
  outputRate: number;
  /** Names of the voices that it knows; none where it speaks with one, or imitates a recording. */
  voices: string[];
  /** Whether it can be talked with while it listens, and whether it can write down what it hears as it hears it. */
  realtime: boolean;
  liveTranscription: boolean;
}

export interface CompletionRequest {
  /**
   * `chat` takes `messages` and the model's template; `text` takes `prompt`; `transcription` takes one sound as its file, and
   * perhaps `prompt` and `language`: the words that ask the model to write it down are llama.cpp's.
   */
  kind: 'chat' | 'text' | 'transcription';
  /** A validated body: nothing in it may make llama.cpp throw. `stream` decides how many results come. */
  body: Json;
  /** Images and sounds as they came (PNG, JPEG, WAV, MP3, …), in the order of `LoadedModelInfo.media.marker` in the messages. */
  files?: Uint8Array[] | undefined;
  /** The same body has to give the same text, whatever runs beside it. On a GPU, that is computed alone. Default: false. */
  reproducible?: boolean | undefined;
  /** Nothing is computed beside it: it may be what the engine crashed of. Default: false. */
  alone?: boolean | undefined;
  /** Who asks: callers take turns at slots. Default: all are one. */
  caller?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Called once it has a slot. */
  onStarted?: (() => void) | undefined;
  /** Called once llama.cpp has taken the request: its parameters and length are sound, and only the engine itself can fail. */
  onAccepted?: (() => void) | undefined;
}

export interface EmbeddingRequest {
  /** A text; or token ids of the model's vocabulary, perhaps with texts between them. */
  input: string | (string | number)[];
  /** Images and sounds as they came, in the order of `LoadedModelInfo.media.marker` in the text. */
  files?: Uint8Array[] | undefined;
  /** llama-server's `embd_normalize`: -1 none, 0 max absolute int16, 1 taxicab, 2 Euclidean, more: p-norm. */
  normalize: number;
  /** As in `CompletionRequest`. */
  caller?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface EmbeddingResult {
  embedding: number[];
  /** Tokens in the input. */
  tokens: number;
}

export interface RerankRequest {
  query: string;
  document: string;
  /** As in `CompletionRequest`. */
  caller?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface RerankResult {
  /** How well the document answers the query, as the model's classifier says: no scale that models share. */
  score: number;
  /** Tokens in query and document. */
  tokens: number;
}

export interface SpeechRequest {
  /** llama.cpp's: `input`, and perhaps `voice`, `lang`, `n_predict`, `seed`, `top_k`, `top_p`, `repeat_penalty`. */
  body: Json;
  /** A recording (WAV, MP3, FLAC) of the voice to imitate. */
  speaker?: Uint8Array | undefined;
  /** Samples as they are spoken, or the whole as a WAV file. */
  format: 'samples' | 'wav';
  /** As in `CompletionRequest`. */
  caller?: string | undefined;
  signal?: AbortSignal | undefined;
  onAccepted?: (() => void) | undefined;
}

export interface SpeechChunk {
  /** Of `samples`: 32-bit little-endian floats from -1 to 1. */
  audio: Uint8Array<ArrayBuffer>;
  /** Samples a second, of one channel. */
  sampleRate: number;
}

export interface RealtimeRequest {
  /** llama.cpp's: `intent`, which is `transcription` or not there, and `seed`. */
  options: Json;
  /** The client's events, in OpenAI's shape, as they come. */
  input: AsyncIterable<Json>;
  /** As in `CompletionRequest`. */
  caller?: string | undefined;
  signal?: AbortSignal | undefined;
  onAccepted?: (() => void) | undefined;
}

export interface Workload {
  /** Requests that hold a slot, and those that wait for one. */
  processing: number;
  deferred: number;
  /** Steps that were computed since the model was loaded, and the slots that were busy in them, summed. */
  decodes: number;
  busySlots: number;
}

export interface LoadedModel {
  readonly info: LoadedModelInfo;
  /**
   * Settles when this model can't be used any more: with an `EngineLost` when the engine under it is lost (out of memory, a trap), which
   * is then what all that is under way rejects with; with `unavailable_error` when it was unloaded. Load it again.
   */
  readonly lost: Promise<LlamatabError>;
  readonly workload: Workload;
  /**
   * Made from the GGUF's vocabulary when first asked for: llama.cpp's own is out of reach in wllama.
   * @throws LlamatabError `not_supported_error` for a kind of vocabulary that is not known.
   */
  tokenizer(): Promise<Tokenizer>;
  /**
   * Whether the model's chat template shows it a request's tools: tried out when first asked for. Waits for a slot as `complete`
   * does.
   */
  showsTools(signal?: AbortSignal): Promise<boolean>;
  /** How chats are held to a schema: tried out likewise. */
  schemaWay(signal?: AbortSignal): Promise<SchemaWay>;
  /** As of now: plans are measured while nothing else is asked of the engine. */
  readonly tuning: TuningReport;
  /**
   * Waits for a free slot (callers take turns, each in its own order), then yields llama.cpp's results: with `stream: true` one
   * `chat.completion.chunk`, `text_completion` or `transcript.text.delta` object after the other, else the whole answer as the
   * only one.
   * Ids, model names and fingerprints are llama.cpp's; the server overwrites them. Leaving the loop or aborting the
   * signal frees the slot within one token.
   * @throws LlamatabError with llama.cpp's type (`exceed_context_size_error`, …); `AbortError` when aborted.
   */
  complete(request: CompletionRequest): AsyncIterable<Json>;
  /** Embeds one text; waits for a slot as `complete` does. */
  embed(request: EmbeddingRequest): Promise<EmbeddingResult>;
  /** Scores one document; only with a model whose pooling is `rank`. Waits for a slot as `complete` does. */
  rerank(request: RerankRequest): Promise<RerankResult>;
  /** Speaks a text; only with a model that has a voice. Waits for a slot, and ends, as `complete` does. */
  speak(request: SpeechRequest): AsyncIterable<SpeechChunk>;
  /**
   * A session that hears, and speaks or writes, until one side ends it; only with a model that can (`SoundInfo.realtime`). It
   * holds a slot as long as it lasts. The server's events, in OpenAI's shape: what is computed is computed as they are read.
   */
  converse(request: RealtimeRequest): AsyncIterable<Json>;
  /** Frees the memory. Requests under way are rejected with `unavailable_error`. */
  unload(): void;
}
