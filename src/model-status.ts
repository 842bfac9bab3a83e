/**
 * The JSON of a model's status, as `GET /v1/models` and `GET /v1/models/sse` send it and a page reads it: types only, for both
 * ends. It is named after what it describes; `protocol.ts` is for the messages that browser contexts post to one another.
 */
import type { DownloadProgress } from './models/models.ts';

/** What a model's entry says beside llama-server's own fields. A page passes it on as it is, in its `ModelStatus`. */
export interface ModelDescription {
  id: string;
  /** For people. */
  name: string;
  /** Whether `model: "local"` means this one. */
  default: boolean;
  aliases: string[];
  capabilities: string[];
  /** Bytes of the whole download. */
  size: number;
  /** Tokens. */
  contextLength: number;
  /** For people; `license` is an SPDX id. */
  authors: string;
  license: string;
  licenseUrl?: string;
  homepage?: string;
  /** The site's own, or how the visitor added it. */
  source: 'site' | 'url' | 'hub' | 'file';
  /** What is stored of it. */
  files: ModelFiles;
}

export interface ModelFiles {
  /** `partial`: some parts; `complete`: all, verified; `failed`: the last download ended with the model's `error`. */
  state: 'absent' | 'partial' | 'complete' | 'failed';
  /** Bytes that are stored, of how many. */
  loaded: number;
  total: number;
  /** Names of the files, for `Models.export`. */
  names: string[];
  /** Never evicted. */
  pinned: boolean;
  /** Milliseconds since 1970; null if never. */
  lastUsed: number | null;
  /** `memory`: this browser, or private window, stores nothing, so the model is gone when the tab is closed. */
  kept: 'disk' | 'memory';
  /** A download, import or check under way. */
  work?: DownloadProgress;
}

/** How a loaded model runs. */
export interface ModelRuntime {
  threads: number;
  /** Name of the GPU's adapter, or null on the CPU. */
  gpu: string | null;
  /** Why the model is not, or not as a whole, on a GPU, and what to do about it: a sentence for people. Null where there is nothing to say. */
  gpuNote: string | null;
  /** Whether it is the Asyncify build, for browsers without JSPI or memory64: slower. */
  compat: boolean;
  /** The kernels: ours in relaxed SIMD, in plain SIMD, or none. */
  variant: 'relaxed' | 'simd128' | 'stock';
  /** Tokens. */
  contextSize: number;
  /**
   * Why that is less than `serve({ engine: { contextSize } })` asked for, or the engine runs fewer requests at once than it would: a
   * sentence for people. Null where neither is so.
   */
  contextNote: string | null;
  slots: number;
  /** Why the engine was last started again under this model: a sentence for people. Null where it never was. */
  restartNote: string | null;
  kvCacheType: string;
  /** Bytes that weights and caches take, as estimated. */
  memory: number;
  /** llama.cpp's build. */
  build: string;
  /** Whether this is the default plan, the fastest of those measured on this device, or the site owner's. */
  source: 'default' | 'measured' | 'overridden';
  /** Tokens a second of one request alone, as measured on this device; null until they are. */
  measured: {
    prompt_per_second: number;
    /** Null for a model that only embeds. */
    predicted_per_second: number | null;
  } | null;
}

/** One entry of `GET /v1/models`: llama-server's, and the description. */
export interface ModelEntry extends ModelDescription {
  object: 'model';
  tags: string[];
  /** Seconds since 1970. */
  created: number;
  owned_by: string;
  architecture: { input_modalities: string[]; output_modalities: string[] };
  can_remove: boolean;
  status: ModelState;
  /** Of a loaded model. */
  meta: ModelMeta | null;
}

/** llama-server's `status`. `error` and `runtime` are ours. */
export interface ModelState {
  value: 'unloaded' | 'sleeping' | 'downloading' | 'loading' | 'loaded';
  /** With `unloaded` and `sleeping`, together with `error`: the last attempt failed. */
  failed?: true;
  error?: string;
  /** With `downloading`. */
  progress?: FileProgress;
  /** With `loaded`. */
  runtime?: ModelRuntime;
}

/** Bytes by file name, and the speed in bytes a second. */
export type FileProgress = Record<string, { done: number; total: number; speed: number }>;

export interface ModelMeta {
  vocab_type: number;
  n_vocab: number;
  n_ctx: number;
  n_ctx_train: number;
  n_embd: number;
  n_params: number;
  size: number;
  ftype: string;
}

/** One event of `GET /v1/models/sse`. `model` is an id, or `*` for all models. */
export type ModelEvent = { model: string } & (
  | {
      event: 'model_status';
      data: Omit<ModelState, 'value' | 'progress'> & { status: ModelState['value']; files: Omit<ModelFiles, 'work'> };
    }
  | { event: 'model_remove' | 'models_reload' | 'download_finished' | 'download_failed' }
  /** `work` is ours: the model as a whole, with the state of the transfer and the time left. */
  | { event: 'download_progress'; data: FileProgress; work?: DownloadProgress }
  /** Ours. */
  | { event: 'verify_progress'; data: DownloadProgress }
  /** Ours: the upstream server gave an answer, or is another one; `GET /v1/models` tells. */
  | { event: 'upstream_change' }
);
