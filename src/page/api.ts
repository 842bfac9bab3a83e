/** The public API's types. `serve` itself is in `serve.ts`. */
import type { DownloadProgress, SpaceReport, VerifyReport } from '../models/models.ts';
import type { RealtimeOptions, RealtimeSocket } from './realtime.ts';

export type { DownloadProgress, RealtimeOptions, RealtimeSocket, SpaceReport, VerifyReport };

export interface ServeOptions {
  /**
   * URL of the folder that holds llamatab's files (`llamatab-sw.js`, `llamatab/`), relative to the page's origin. The
   * service worker answers for the pages below it. Default: the site's base as the Vite plugin knows it, else `/`.
   */
  base?: string;
  /** URL of the model catalog, relative to `base`. Default: `models/catalog.json`. */
  catalog?: string;
  /** Id or alias of the model that `model: "local"` means. Default: the catalog's own. */
  model?: string;
  /** Further model names and what each means: `{ 'gpt-4o-mini': 'local' }`, or `{ '*': 'local' }` for any unknown name. */
  aliases?: Record<string, string>;
  /**
   * Answer only requests that show this key, or one of these, as `Authorization: Bearer …` or `X-Api-Key`. All pages of the site
   * must give the same: what counts is what the tab gave that runs the engine. Default: none is asked for.
   */
  apiKey?: string | string[];
  /** Download and load the default model at once (default), or only when the first request asks for it. */
  preload?: boolean;
  /**
   * When the browser has no space for a model, delete those that were not used for longest: never one that is pinned, loaded, or
   * came from the user's own disk. Default: false: the request is told how much is missing.
   */
  evict?: boolean;
  /**
   * Bytes of memory that loaded models may take together: weights and caches. Another one that is asked for waits until those in
   * use are free, and then takes the place of the least recently used; one that needs more by itself is refused. Default: half of
   * what the device says it has, and only for what is loaded beside another.
   */
  memory?: number;
  /** Unload a model after so many seconds without a request; the next one loads it again. Not a pinned one. Default: -1, never. */
  sleepIdleSeconds?: number;
  /**
   * Ask the browser not to delete the models by itself when the disk fills up (default), once one is there or on its way. Firefox
   * asks the user; others decide silently.
   */
  persist?: boolean;
  /** Answer `fetch('/v1/…')` through a service worker (default), or only `server.fetch`. */
  serviceWorker?: boolean;
  /**
   * Answer llama-server's own routes outside `/v1/` too (`/completion`, `/tokenize`, `/health`, …), for fetches only. False:
   * these paths stay the site's. Default: true.
   */
  nativeRoutes?: boolean;
  /**
   * Let the service worker add cross-origin isolation headers, where the host can't, so that the engine may use threads. The
   * page reloads itself once for it. Default: false.
   */
  isolate?: boolean;
  /** Parts of the device plan to fix by hand; the rest is chosen for the device, and by measuring on it. */
  engine?: EngineOptions;
}

/** See docs/device-plan.md. */
export interface EngineOptions {
  /**
   * Measure plans while nothing is asked of the engine, and load a model the next time with the fastest (default). False: with
   * the default plan, always.
   */
  measure?: boolean;
  /**
   * Build of the engine: our kernels in `relaxed` SIMD, in plain `simd128`, or none (`stock`). Where the device or the site
   * does not have it, the next one of these. Default: `auto`.
   */
  variant?: 'auto' | 'relaxed' | 'simd128' | 'stock';
  /** 1 to the number of cores. */
  threads?: number;
  /** Tokens of context that each request may use. */
  contextSize?: number;
  /** Requests computed at once; more wait. */
  slots?: number;
  batchSize?: number;
  microBatchSize?: number;
  kvCacheType?: 'f32' | 'f16' | 'q8_0' | 'q5_1' | 'q5_0' | 'q4_1' | 'q4_0';
  flashAttention?: boolean;
  /** Layers to offload to WebGPU; 0 for none. */
  gpuLayers?: number;
  /** @internal Milliseconds without a request before plans are measured: tests can't wait for the default. */
  idleBeforeMeasuring?: number;
}

/** What `serve()` returns. It stays valid when another tab's engine takes over. */
export interface Server {
  /** `https://your.site/v1`: what an OpenAI client takes as `baseURL`. */
  readonly baseURL: string;
  /**
   * `fetch` that reaches the engine without the service worker: on the very first page load, after a hard reload, or where
   * there are none. Pass it as an OpenAI client's `fetch`. Requests to other URLs than the server's go to the network.
   */
  readonly fetch: typeof globalThis.fetch;
  /** Now; a new object after each change. */
  readonly status: ServerStatus;
  /** Calls `listener` with the status now and after each change. Returns a function that ends it. */
  subscribe(listener: (status: ServerStatus) => void): () => void;
  readonly models: Models;
  /**
   * A socket for OpenAI's realtime events: what `new WebSocket('wss://…/v1/realtime')` would be, which no page can answer itself.
   * From any tab. The model must take sound as a stream (`audio.realtime` of `GET /props`).
   */
  realtime(options?: RealtimeOptions): RealtimeSocket;
  /** Lets go of the engine (another tab may take over) and ends `fetch` and `subscribe`. Interception goes on where other tabs serve. */
  stop(): Promise<void>;
}

/**
 * What there is to do with models. `model` is an id, an alias, or a name of `serve({ aliases })`. Works alike in every tab, also
 * those whose engine is another tab's. All reject with a `LlamatabError`: `model_not_found` for a name that nobody knows.
 */
export interface Models {
  /** What the site offers and the visitor added, and the state of each. */
  list(): Promise<ModelStatus[]>;
  /** Downloads and loads a model; resolves when it answers. Default: the site's default model. */
  load(model?: string): Promise<void>;
  /** Frees a model's memory and ends its download; what is stored stays. */
  unload(model?: string): Promise<void>;

  /**
   * Adds a model: an http(s) URL of a GGUF, or of the first of its shards; or a hub's `owner/repo` or `owner/repo:quant`. Reads only
   * its header. @returns its id
   */
  add(source: string, options?: AddOptions): Promise<string>;
  /** Downloads a model into the browser, adding it first if it is none that is known. Resolves when it is whole. @returns its id */
  download(model: string, options?: AddOptions): Promise<string>;
  /**
   * Adds a model from the visitor's disk: one GGUF, all shards of one, or an archive of `export`. Copied in by parts, so that it
   * takes no more memory than one. @returns its id
   */
  addFiles(files: Iterable<File>, options?: AddFilesOptions): Promise<string>;
  /** Stops a download until `resume`; who waits for it goes on waiting. */
  pause(model: string): Promise<void>;
  /** Goes on with a download that was paused, failed, or was cut off with its tab. */
  resume(model: string): Promise<void>;
  /** Ends a download, and deletes what has come. */
  cancel(model: string): Promise<void>;
  /** Reads all that is stored of the model and compares hashes. */
  verify(model: string, options?: { signal?: AbortSignal }): Promise<VerifyReport>;
  /** Verifies, and fetches what is damaged or missing again. @returns what was. */
  repair(model: string, options?: { signal?: AbortSignal }): Promise<VerifyReport>;
  /** Never evict it from the disk, nor unload it to make room; or do so again. */
  pin(model: string, pinned?: boolean): Promise<void>;
  /** Disk and memory that the model needs, and what there is. `contextLength` in tokens; default: the model's, as the site has it. */
  space(model: string, options?: { contextLength?: number; signal?: AbortSignal }): Promise<SpaceReport>;
  /** Deletes a model's files, and its entry if the visitor added it. Ends what it is doing. */
  remove(model: string): Promise<void>;
  /** One of the model's files by its name, or all as one archive for `addFiles`: as a Response, to pipe into a file. */
  export(model: string, options?: { file?: string; signal?: AbortSignal }): Promise<Response>;
}

export interface AddOptions {
  /** What requests call it. Default: from the file's name, or the hub's `owner/repo:quant`. */
  id?: string;
  /** Sent as `Authorization: Bearer` to this source's origin only. Kept in memory, never stored. */
  token?: string;
  /** The hub. Default: `https://huggingface.co`. */
  endpoint?: string;
  /** Ends the wait; a download goes on (see `pause` and `cancel`). */
  signal?: AbortSignal;
}

export interface AddFilesOptions {
  id?: string;
  /** Ends the copying; what was copied stays for the next attempt. */
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

export interface ServerStatus {
  /** `starting` until requests are answered; `ready`; `stopped` by `stop()`. */
  state: 'starting' | 'ready' | 'stopped';
  /** Whether this tab's worker runs the engine, or another tab's. */
  role: 'host' | 'guest' | 'none';
  /** Whether plain `fetch('/v1/…')` of this page is answered; if not, why, in words for a person. */
  intercepts: boolean;
  interceptsNot?: string;
  /** Whether this page is cross-origin isolated, so that the engine may use threads. */
  isolated: boolean;
  models: ModelStatus[];
}

export interface ModelStatus {
  id: string;
  /** For people. */
  name: string;
  /** Also as `model: "local"`? */
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
  /**
   * `available`: known, not loaded; `downloading`, with `progress`; `loading` into memory; `loaded`: answers;
   * `failed`, with `error`: the next request tries again.
   */
  state: 'available' | 'downloading' | 'loading' | 'loaded' | 'failed';
  progress?: DownloadProgress;
  error?: string;
  /** How it runs, once loaded. */
  runtime?: ModelRuntime;
}

export interface ModelFiles {
  /** `partial`: some parts; `complete`: all, verified; `failed`: the last download ended with the model's `error`. */
  state: 'absent' | 'partial' | 'complete' | 'failed';
  /** Bytes that are stored, of how many. */
  loaded: number;
  total: number;
  /** Of its files, for `Models.export`. */
  names: string[];
  /** Never evicted. */
  pinned: boolean;
  /** Milliseconds since 1970; null if never. */
  lastUsed: number | null;
  /** `memory`: this browser, or private window, stores nothing, so that it is gone with the tab. */
  kept: 'disk' | 'memory';
  /** A download, import or check under way. */
  work?: DownloadProgress;
}

export interface ModelRuntime {
  threads: number;
  /** Name of the GPU's adapter, or null on the CPU. */
  gpu: string | null;
  /** The Asyncify build, for browsers without JSPI or memory64: slower. */
  compat: boolean;
  /** The kernels: ours in relaxed SIMD, in plain SIMD, or none. */
  variant: 'relaxed' | 'simd128' | 'stock';
  /** Tokens. */
  contextSize: number;
  slots: number;
  kvCacheType: string;
  /** Bytes that weights and caches take, as estimated. */
  memory: number;
  /** llama.cpp's build. */
  build: string;
  /** Whether this is the default plan, the fastest of those measured on this device, or the site owner's. */
  source: 'default' | 'measured' | 'overridden';
  /** Tokens a second of one request alone, as measured on this device; null as long as they were not. */
  measured: {
    prompt_per_second: number;
    /** Null for a model that only embeds. */
    predicted_per_second: number | null;
  } | null;
}
