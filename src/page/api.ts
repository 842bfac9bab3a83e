/** The public API's types. `serve` itself is in `serve.ts`. */
import type { ModelDescription, ModelFiles, ModelRuntime } from '../model-status.ts';
import type { DownloadProgress, SpaceReport, VerifyReport } from '../models/models.ts';
import type { EngineOptions, MemoryOptions } from '../protocol.ts';

export type { DownloadProgress, EngineOptions, ModelFiles, ModelRuntime, SpaceReport, VerifyReport };

export interface ServeOptions extends MemoryOptions {
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
  engine?: EngineOptions;
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
  /** Why `models` isn't up to date, in words for a person: the engine asks for another API key, or the catalog can't be had. */
  modelsError: string | null;
}

/** A model, what is stored of it, and what it is doing. */
export interface ModelStatus extends ModelDescription {
  /**
   * `available`: known, not loaded; `downloading`, with `progress`; `loading` into memory; `loaded`: answers requests;
   * `failed`, with `error`: the next request tries again.
   */
  state: 'available' | 'downloading' | 'loading' | 'loaded' | 'failed';
  progress?: DownloadProgress;
  error?: string;
  /** How it runs, once loaded. */
  runtime?: ModelRuntime;
}
