/** The public API's types. `serve` itself is in `serve.ts`. */
import type { ModelDescription, ModelFiles, ModelRuntime } from '../model-status.ts';
import type { DownloadProgress, SpaceReport, VerifyReport } from '../models/models.ts';
import type { EngineOptions, MemoryOptions, UpstreamOptions, UpstreamStatus } from '../protocol.ts';
import type { RealtimeOptions, RealtimeSocket } from './realtime.ts';

export type {
  DownloadProgress,
  EngineOptions,
  ModelFiles,
  ModelRuntime,
  RealtimeOptions,
  RealtimeSocket,
  SpaceReport,
  UpstreamOptions,
  UpstreamStatus,
  VerifyReport,
};

/**
 * @example
 * ```ts
 * import { serve } from 'llamatab';
 *
 * const server = await serve({
 *   aliases: { 'gpt-4o-mini': 'local' }, // so that code written for another server needs no change
 *   engine: { contextSize: 2048 },
 * });
 * const response = await fetch(`${server.baseURL}/chat/completions`, {
 *   method: 'POST',
 *   body: JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 8, messages: [{ role: 'user', content: 'Hello!' }] }),
 * });
 * console.log((await response.json()).choices[0].message.content);
 * ```
 */
export interface ServeOptions extends MemoryOptions {
  /**
   * URL of the folder that holds llamatab's files (`llamatab-sw.js`, `llamatab/`), on the page's origin. The service worker
   * answers requests of the pages below it. Best is a path from the root (`/project/`). A relative one starts from the page's
   * `<base>`, else from the site's base as the Vite plugin knows it, else from the script that holds this code; never from the page's
   * address, which differs from view to view. Default: the site's base as the Vite plugin knows it, else `/`.
   */
  base?: string;
  /** URL of the model catalog, relative to `base`. Default: `models/catalog.json`. */
  catalog?: string;
  /** Id or alias of the model that `model: "local"` means. Default: the catalog's own. */
  model?: string;
  /** Further model names and what each means: `{ 'gpt-4o-mini': 'local' }`, or `{ '*': 'local' }` for any unknown name. */
  aliases?: Record<string, string>;
  /**
   * Answer only requests that send this key, or one of these, as `Authorization: Bearer …` or `X-Api-Key`. Give the same on
   * all pages of the site: as with all that concerns the engine, what the page says that was opened last holds. Default: no key is
   * required.
   */
  apiKey?: string | string[];
  /** Download and load the default model at once (default), or only when the first request asks for it. */
  preload?: boolean;
  /**
   * When the browser has no space for a model, delete those that have not been used for longest, but never one that is pinned,
   * loaded, or added from the visitor's own disk. Default: false: the request fails, and says how much space is missing.
   */
  evict?: boolean;
  /**
   * Ask the browser not to delete the models when the disk fills up (default), as soon as one is stored or being downloaded.
   * Firefox asks the visitor; other browsers decide silently.
   */
  persist?: boolean;
  /** Answer `fetch('/v1/…')` through a service worker (default), or only `server.fetch`. */
  serviceWorker?: boolean;
  /**
   * Also answer llama-server's own routes outside `/v1/` (`/completion`, `/tokenize`, `/health`, …), for clients that know no other
   * address. Only by the methods of these routes, and never a page or what a client router fetches (`Accept: text/html`). The pages
   * of a site share one service worker: a call that leaves this out changes nothing, and the last word holds. At first: false, these
   * paths are the site's.
   */
  nativeRoutes?: boolean;
  /**
   * Addresses of other servers, each of which then stands for this site's `/v1`: with `['https://api.openai.com/v1']`, an app that was
   * written for that cloud runs on the device unchanged. What its pages and workers send there, keys included, does not leave the
   * device, whether there is an answer for it here or not. Their models' names are unknown here: see `aliases`. The pages of a site
   * share one service worker: a call that leaves this out changes nothing, and the last word holds. At first: none.
   */
  intercept?: readonly string[];
  /**
   * Another server with OpenAI's API (llama-server, vLLM, a cloud), which gets what this device can't do: a model that it does not have,
   * too little memory, a prompt over its context, a feature that it lacks, a full queue. Each answer then says in its header
   * `X-Llamatab-Answered-By` who gave it, and `status.upstream` counts. As for aliases, what the page says holds that was opened last.
   * Default: none, and nothing leaves the device.
   */
  upstream?: UpstreamOptions;
  /**
   * Let the service worker add cross-origin isolation headers, where the host can't, so that the engine may use threads. The
   * page reloads itself once for this, and once more in a browser that did not know the first headers. The pages of a site share one
   * service worker: a call that leaves this out changes nothing, and the last word holds. At first: false.
   */
  isolate?: boolean;
  engine?: EngineOptions;
}

/** What `serve()` returns. It stays valid when another tab's engine takes over. */
export interface Server {
  /** `https://your.site/v1`: what an OpenAI client takes as `baseURL`. */
  readonly baseURL: string;
  /**
   * A `fetch` that reaches the engine without the service worker: on the very first page load, after a hard reload, or in
   * browsers without service workers. Pass it as an OpenAI client's `fetch`. Requests to other URLs go to the network.
   *
   * @example
   * ```ts
   * import { serve } from 'llamatab';
   *
   * const server = await serve();
   * const response = await server.fetch(`${server.baseURL}/completions`, {
   *   method: 'POST',
   *   body: JSON.stringify({ model: 'local', prompt: 'Once upon a time', max_tokens: 8 }),
   * });
   * console.log((await response.json()).choices[0].text);
   * ```
   */
  readonly fetch: typeof globalThis.fetch;
  /** The current status; a new object after each change. */
  readonly status: ServerStatus;
  /**
   * Calls `listener` with the current status, and again after each change. Returns a function that ends this.
   *
   * @example
   * ```ts
   * import { serve } from 'llamatab';
   *
   * const server = await serve();
   * const unsubscribe = server.subscribe(({ models }) => {
   *   const model = models.find(({ default: isDefault }) => isDefault);
   *   if (model?.progress) console.log(`${model.progress.loaded} of ${model.progress.total} bytes`);
   *   if (model?.state !== 'loaded') return;
   *   console.log(`${model.name} is ready`);
   *   unsubscribe();
   * });
   * ```
   */
  subscribe(listener: (status: ServerStatus) => void): () => void;
  readonly models: Models;
  /**
   * A socket for OpenAI's realtime events: what `new WebSocket('wss://…/v1/realtime')` would be, which no page can answer itself.
   * From any tab. The model must take sound as a stream (`audio.realtime` of `GET /props`).
   */
  realtime(options?: RealtimeOptions): RealtimeSocket;
  /** Lets go of the engine (another tab may take over) and ends `fetch` and `subscribe`. Plain `fetch` works on while another tab serves. */
  stop(): Promise<void>;
}

/**
 * What can be done with models. `model` is an id, an alias, or a name of `serve({ aliases })`. Works the same in every tab,
 * whichever runs the engine. All methods reject with a `LlamatabError`: `model_not_found` for an unknown name.
 *
 * @example
 * ```ts
 * import { serve } from 'llamatab';
 *
 * const { models } = await serve({ preload: false });
 * const { disk, memory } = await models.space('smollm2-135m-instruct');
 * if (disk.enough && memory.enough) {
 *   await models.download('smollm2-135m-instruct');
 *   await models.pin('smollm2-135m-instruct');
 * }
 * for (const { id, files } of await models.list()) console.log(id, files.state, files.pinned);
 * ```
 */
export interface Models {
  /** The models that the site offers and those that the visitor added, with the state of each. */
  list(): Promise<ModelStatus[]>;
  /** Downloads and loads a model; resolves when it is ready to answer. Default: the site's default model. */
  load(model?: string): Promise<void>;
  /** Frees a model's memory and ends its download; what is stored stays. */
  unload(model?: string): Promise<void>;

  /**
   * Adds a model: an http(s) URL of a GGUF, or of the first of its shards; or a hub's `owner/repo` or `owner/repo:quant`. Reads only
   * its header. @returns its id
   */
  add(source: string, options?: AddOptions): Promise<string>;
  /** Downloads a model into the browser, adding it first if it isn't known yet. Resolves when it is complete. @returns its id */
  download(model: string, options?: AddOptions): Promise<string>;
  /**
   * Adds a model from the visitor's disk: one GGUF, all shards of one, or an archive of `export`. Copied in parts, so that it
   * takes no more memory than one part. @returns its id
   *
   * @example
   * ```ts
   * import { serve } from 'llamatab';
   *
   * const server = await serve();
   * addEventListener('dragover', (event) => event.preventDefault());
   * addEventListener('drop', async (event) => {
   *   event.preventDefault();
   *   const id = await server.models.addFiles(event.dataTransfer?.files ?? [], {
   *     onProgress: ({ loaded, total }) => console.log(`${loaded} of ${total} bytes`),
   *   });
   *   console.log(`added ${id}`);
   * });
   * ```
   */
  addFiles(files: Iterable<File>, options?: AddFilesOptions): Promise<string>;
  /** Pauses a download until `resume`; requests that wait for it go on waiting. */
  pause(model: string): Promise<void>;
  /** Continues a download that was paused, failed, or was cut off when its tab was closed. */
  resume(model: string): Promise<void>;
  /** Ends a download, and deletes what has arrived. */
  cancel(model: string): Promise<void>;
  /** Reads all that is stored of the model and compares its hashes. */
  verify(model: string, options?: { signal?: AbortSignal }): Promise<VerifyReport>;
  /** Verifies, and downloads again what is damaged or missing. @returns what was damaged or missing */
  repair(model: string, options?: { signal?: AbortSignal }): Promise<VerifyReport>;
  /** Pinned: never evicted from the disk, nor unloaded to make room. `false` takes this back. Default: true. */
  pin(model: string, pinned?: boolean): Promise<void>;
  /** Disk and memory that the model needs, and what is available. `contextLength` in tokens; default: the catalog's. */
  space(model: string, options?: { contextLength?: number; signal?: AbortSignal }): Promise<SpaceReport>;
  /** Deletes a model's files, and its entry if the visitor added it. Ends whatever it is doing. */
  remove(model: string): Promise<void>;
  /**
   * One of the model's files by its name, or all of them as one archive for `addFiles`: as a Response, to pipe into a file.
   *
   * @example
   * ```ts
   * import { serve } from 'llamatab';
   *
   * const server = await serve();
   * await server.models.load();
   * const folder = await navigator.storage.getDirectory();
   * const file = await folder.getFileHandle('model.tar', { create: true });
   * const { body } = await server.models.export('local');
   * await body?.pipeTo(await file.createWritable());
   * console.log(`${(await file.getFile()).size} bytes`);
   * ```
   */
  export(model: string, options?: { file?: string; signal?: AbortSignal }): Promise<Response>;
}

export interface AddOptions {
  /** The model's name in requests. Default: from the file's name, or the hub's `owner/repo:quant`. */
  id?: string;
  /** Sent as `Authorization: Bearer` to this source's origin only. Kept in memory, never stored. */
  token?: string;
  /** The hub. Default: `https://huggingface.co`. */
  endpoint?: string;
  /** Ends the wait; a download goes on (see `pause` and `cancel`). */
  signal?: AbortSignal;
}

export interface AddFilesOptions {
  /** The model's name in requests. Default: from the file's name. */
  id?: string;
  /** Ends the copying; what was copied is kept for the next attempt. */
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

export interface ServerStatus {
  /** `starting` until requests are answered; `ready`; `stopped` by `stop()`. */
  state: 'starting' | 'ready' | 'stopped';
  /** Whether this tab's worker runs the engine (`host`) or another tab's (`guest`). */
  role: 'host' | 'guest' | 'none';
  /** Whether plain `fetch('/v1/…')` of this page is answered; if not, `interceptsNot` says why, in words for a person. */
  intercepts: boolean;
  interceptsNot?: string;
  /**
   * Why this page has to be reloaded, in words for a person: the site was deployed anew, and what this page has can't run or reach the
   * new engine. Requests are answered with the same words. Null while all is well.
   */
  reload: string | null;
  /** Whether this page is cross-origin isolated, so that the engine may use threads. */
  isolated: boolean;
  /** What this browser lacks, and what the visitor gets instead, in words for a person; empty where nothing is missing. */
  limits: readonly string[];
  models: ModelStatus[];
  /**
   * Why `models` isn't up to date, in words for a person: the catalog can't be read, or the engine, another tab's, requires
   * another API key. Null while it is.
   */
  modelsError: string | null;
  /** The server that answers what the device can't, and how often it did; null where the site has none. */
  upstream: UpstreamStatus | null;
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
