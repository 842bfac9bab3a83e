/**
 * Every message that browser contexts post to one another, the names of the locks, and the version of both.
 * Types only: nothing is imported here and nothing runs.
 *
 * A *caller* is a context that sends requests: the service worker (for every fetch that it intercepts) or a page (for
 * `server.fetch`). The *host* is the one engine worker of a site, which is a folder of the origin and known by its absolute URL,
 * the *base*. They talk over a *trunk*, a MessagePort from the
 * caller to the host; each request has a port of its own, on which frames come back.
 */

/**
 * Raised whenever an old caller and a new host, or an old page and a new worker, would not understand each other. Part of every lock's
 * name.
 */
export type ProtocolVersion = 4;

/** Held by the one engine worker of the site at this base; those of its other pages queue for it, and the next one takes over. */
export type HostLock = `llamatab/${ProtocolVersion}:host:${string}`;
/** Held by a host as long as it lives; callers queue for it, and so learn of the host's end. */
export type AliveLock = `llamatab/${ProtocolVersion}:alive:${string}`;
/** Held for the moment in which a worker takes the place of a host that does not run. */
export type TakeOverLock = `llamatab/${ProtocolVersion}:take-over:${string}`;
/** Held by a caller as long as it lives; the host queues for it, and then aborts the caller's requests. */
export type CallerLock = `llamatab/${ProtocolVersion}:caller:${string}`;

/** The BroadcastChannel on which the host of the site at a base answers: it is alive. */
export type HeartbeatChannel = `llamatab/${ProtocolVersion}:heartbeat:${string}`;

export type HeartbeatMessage =
  | { type: 'ping' }
  /** `ready`: it has its code, and hosts. */
  | { type: 'pong'; host: string; ready: boolean };
/**
 * What `llamatab/manifest.json` says: which files the site has now, each named by its content. Pages ask for it each time that they
 * start a worker, so that an open page of an earlier deploy starts one of the current deploy.
 */
export interface RuntimeManifest {
  /** llamatab's. */
  version: string;
  /** Of the worker. A page of another one can't start it, and has to be reloaded. */
  protocol: number;
  /** By the name without hash (`worker.js`, `wllama.wasm`), the file's name in `llamatab/`; the worker's chunks by their own. */
  files: Record<string, string>;
}

/** The BroadcastChannel on which the pages of the site at a base say how its engine is to answer. */
export type SettingsChannel = `llamatab/${ProtocolVersion}:settings:${string}`;

export type SettingsMessage =
  /** What the page wants that was opened last, in milliseconds since 1970. Said by it, and to who asks, by all. */
  | { type: 'say'; at: number; settings: EngineSettings }
  /** The engine goes by what was said by the page that was opened at this time. */
  | { type: 'adopted'; at: number }
  /** What did I miss? */
  | { type: 'ask' };

// --- trunk ---------------------------------------------------------------------------------------------------------

/** Caller to host, over a trunk. */
export type TrunkMessage =
  /** One HTTP request; frames come back over `port`. `delivered`: another host, now gone, has answered so far. */
  | { type: 'request'; caller: string; request: RequestFrame; delivered?: Delivered; port: MessagePort }
  /** A further trunk, of another caller. */
  | { type: 'connect'; port: MessagePort };

/** Host to caller: the first message on a trunk. */
export type TrunkReply = { type: 'hello'; version: number; host: string };

export interface RequestFrame {
  method: string;
  /** Absolute. */
  url: string;
  headers: [name: string, value: string][];
  /** Bytes; null for none. */
  body: ArrayBuffer | null;
  /** Files that go with the body, by reference; only in requests of the page's own. */
  files?: readonly File[];
  /** Names the page or worker that asks: they take turns at the engine's slots. */
  client: string;
  identity: RequestIdentity;
  /** It was sent to another host before, which is gone. */
  again: boolean;
}

/** What the caller gives a request once, so that every host that is sent it draws the same ids and seeds at the same time. */
export interface RequestIdentity {
  /** 128 random bits in hexadecimal, from which everything is drawn. */
  seed: string;
  /** Milliseconds since 1970. */
  time: number;
}

/** What a caller has been given of an answer by a host that is gone. The next one answers with the rest. */
export interface Delivered {
  status: number;
  bytes: Uint8Array<ArrayBuffer>;
}

/** What comes with a request beside its HTTP. */
export interface Attachments {
  files?: readonly File[] | undefined;
  client?: string | undefined;
  identity?: RequestIdentity | undefined;
  delivered?: Delivered | undefined;
  again?: boolean | undefined;
}

// --- one request's port --------------------------------------------------------------------------------------------

/** Caller to host. */
export type ToHostFrame =
  | { type: 'cancel' }
  /** How many bytes of the body have been read. Sent now and then: the host stays at most `WINDOW` bytes ahead. */
  | { type: 'read'; bytes: number };

/** Host to caller: one `head`, chunks, and one `end`; or, at any point, an `error`, which ends it. After `delivered`, only the rest. */
export type ToCallerFrame =
  | { type: 'head'; status: number; headers: [name: string, value: string][] }
  | { type: 'chunk'; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'end' }
  | { type: 'error'; message: string };

// --- page and service worker ---------------------------------------------------------------------------------------

/** Headers that the service worker adds to pages, so that they are cross-origin isolated. `none`: no others came to anything. */
export type IsolationPolicy = 'document-isolation' | 'credentialless' | 'require-corp' | 'none';

/** Options of `serve()` that concern the service worker, which all pages of the site share. */
export interface SiteOptions {
  isolate: boolean;
  /** What the site's pages have come to; null before one has tried. */
  isolationPolicy: IsolationPolicy | null;
  nativeRoutes: boolean;
  /** Absolute URLs without a slash at their end. */
  intercept: readonly string[];
}

/** The answer to `configure`. */
export interface SiteOptionsReply {
  /** Of the service worker. */
  version: number;
  /** Names it, from its start to its end. */
  instance: string;
  /** Those that hold now. */
  options: SiteOptions;
  /** Of which another page had said otherwise. */
  replaced: (keyof SiteOptions)[];
}

/** Page to service worker. */
export type ToServiceWorker =
  /** What this page says of the site's options; answered over `port`. Only llamatab answers: this is how a page knows it. */
  | { type: 'configure'; options: Partial<SiteOptions>; port: MessagePort }
  /** Take control of this page, which was loaded without a service worker: on the first visit, or by a hard reload. */
  | { type: 'claim' }
  /** This page hosts the engine now; `port` is a trunk to it. */
  | { type: 'host'; port: MessagePort }
  /** This page needs a trunk to the host, whichever tab that is in. */
  | { type: 'connect'; port: MessagePort }
  /** Keep the site's listed files for offline use, and these URLs, which were loaded before there was a service worker. */
  | { type: 'keep'; urls: string[] }
  /** Post `idle` to `port` once no request is under way: a newer version is waiting to take over. */
  | { type: 'when-idle'; port: MessagePort }
  /** The page is being frozen by the browser. */
  | { type: 'frozen' }
  /** It runs again. */
  | { type: 'thawed' }
  /** The answer to `wake`. */
  | { type: 'awake' }
  /** To the waiting version: take over. It never does so at install, when Chromium 156 would lose interception in open pages. */
  | { type: 'take-over' };

/** Service worker to page. */
export type ToPage =
  /** Do you host the engine of the site at `base`? Then here is my trunk. Other sites' pages don't answer. */
  | { type: 'who-hosts'; base: string; port: MessagePort }
  /** The host can't be reached, though its tab is there: take its place. `host`: its id, if its worker answers. */
  | { type: 'host-silent'; base: string; host: string | undefined }
  /** Post `awake`, so that the browser does not end the service worker in the middle of an answer. */
  | { type: 'wake' };

/** Over the port of `who-hosts` or `connect`, in place of a host's `hello`. */
export type WhoHostsReply =
  /** This page runs llamatab, and hosts if no other does. */
  | { type: 'candidate' }
  /** It can't, or, from the service worker, none can; whether it has to be reloaded. */
  | { type: 'unable'; message: string; reload: boolean };

// --- page and its engine worker (Comlink) --------------------------------------------------------------------------

/** What a page's engine worker offers to its page. Everything else about the engine goes over HTTP. */
export interface EngineWorker {
  /**
   * Stands for election; resolves with the host's id once elected, which may never happen. Rejects if the engine can't start.
   * @param base Absolute URL of the site's base.
   * @param solo Skip the election: there is no service worker through which tabs could share one engine.
   * @param page Given by Comlink's `proxy`.
   */
  start(base: string, solo: boolean, page: EnginePage): Promise<string>;
  /** Goes by other settings, from the next request on. @returns false if that takes a new worker */
  adopt(settings: EngineSettings): boolean;
  /** Whether nothing would be cut off now by ending this worker, or only what is asked for again. */
  isIdle(): boolean;
  /** Adds a trunk. */
  connect(port: MessagePort): void;
  /** Takes the place of a host that does not run. @param host its id, if its worker answers but can't be reached @returns whether it did */
  takeOver(host: string | undefined): Promise<boolean>;
}

/** What the page does for its engine worker, because workers can't. */
export interface EnginePage {
  /**
   * What the elected worker runs the engine with; null if it is not of the site's current deploy: it may have waited through one, and
   * the files that it would load next may be gone, or be in a cache in part.
   */
  onElected(): Promise<EngineWorkerConfig | null>;
  /** Whether the site's deploy is still that of this worker, which the page otherwise replaces when it is idle. */
  isCurrent(): Promise<boolean>;
  /**
   * A sound as samples from -1 to 1, one channel.
   * @param file In any format that the browser knows; it is consumed. Rejects if the browser can't decode it.
   * @param sampleRate Samples a second.
   */
  decodeAudio(file: ArrayBuffer, sampleRate: number): Promise<Float32Array<ArrayBuffer>>;
  /** Another tab has taken this worker for dead, and its place. It ends. */
  onReplaced(): void;
}

/** What `serve()` is told of the engine that the pages of a site share. */
export interface EngineSettings extends MemoryOptions {
  /** Absolute URL of the catalog. */
  catalog: string;
  /** Whether models may be deleted to make space for another, the least recently used first. */
  evict: boolean;
  /** Id or alias of the model that "local" means; null for the catalog's default. */
  model: string | null;
  /** Further model names, each to an id or alias of the catalog; `*` for any unknown name. */
  aliases: Record<string, string>;
  /** A request must send one of these; if there are none, every request is answered. */
  apiKeys: string[];
  upstream: UpstreamOptions | null;
  engine: EngineOptions;
}

export interface EngineWorkerConfig extends EngineSettings {
  /** Absolute URLs of the engine's files: wllama's own, and those that the build put our kernels into. What the site left out is missing. */
  assets: {
    wasm?: string;
    compatWasm?: string;
    compatWorker?: string;
    kernels: { relaxed?: { wasm?: string }; simd128?: { wasm?: string; compatWasm?: string } };
  };
}

/** Another server with OpenAI's API, for what this device can't do. Opt-in: without it, nothing leaves the device. */
export interface UpstreamOptions {
  /** Its address as OpenAI's clients take it: `https://llm.example/v1`. It has to allow the site's origin (CORS). */
  baseURL: string;
  /** Sent as `Authorization: Bearer`, in place of the caller's own, which stays here. Every visitor can read it. */
  apiKey?: string | undefined;
  /** What it is asked for in place of a model of this device. Default: the request's own `model`, as it is. */
  model?: string | undefined;
  /** Requests that may wait for the device; a further one goes to the upstream server. Default: 4. */
  waiting?: number | undefined;
}

/** What was answered by the upstream server since the engine started. */
export interface UpstreamStatus {
  baseURL: string;
  /** Answers. */
  answered: number;
  /** Why the last one was not the device's: the type of its error, or `queue_full`. Null if there was none. */
  lastReason: string | null;
}

/** How loaded models share the memory: options of `serve()` that go as they are to the server's model router. */
export interface MemoryOptions {
  /**
   * Bytes of memory, weights and caches, that loaded models may take together. A model that does not fit beside the others takes
   * the place of the least recently used one, and waits while those are answering; a model that needs more than this by itself
   * is refused. Default: half of what the device says it has, which limits only models that are loaded beside each other.
   */
  memory?: number | undefined;
  /**
   * Seconds without a request after which a model is unloaded, as llama-server's `--sleep-idle-seconds`; the next request loads
   * it again. A pinned model stays loaded. Default: -1, never.
   */
  sleepIdleSeconds?: number | undefined;
}

/** Parts of the device plan to fix by hand; the rest is chosen for the device, and by measuring on it. See docs/device-plan.md. */
export interface EngineOptions {
  /**
   * Measure plans while the engine is idle, and load a model with the fastest one the next time (default). False: always use the
   * default plan.
   */
  measure?: boolean | undefined;
  /**
   * Build of the engine: our kernels in `relaxed` SIMD, in plain `simd128`, or none (`stock`). Where the device or the site
   * lacks it, the next one in this order. Default: `auto`, the first that works.
   */
  variant?: 'auto' | 'relaxed' | 'simd128' | 'stock' | undefined;
  /** 1 to the number of cores. */
  threads?: number | undefined;
  /** Tokens of context that each request may use. */
  contextSize?: number | undefined;
  /**
   * Whether a text that fills its context goes on without its oldest half, as with llama-server's `--context-shift`; it is then
   * `truncated`. Default: false, it ends with `finish_reason: "length"`.
   */
  contextShift?: boolean | undefined;
  /** Requests computed at once; more wait. */
  slots?: number | undefined;
  /** Tokens put through the model in one step (logical and physical batch). */
  batchSize?: number | undefined;
  microBatchSize?: number | undefined;
  kvCacheType?: 'f32' | 'f16' | 'q8_0' | 'q5_1' | 'q5_0' | 'q4_1' | 'q4_0' | undefined;
  flashAttention?: boolean | undefined;
  /**
   * Where tokens are drafted from, for the model to verify several in one step: `lookup`, what the text said before; `model`, the
   * catalog's draft for this model; `none`. Default: `model` where there is one. What does not pay is left off at the next load.
   */
  drafting?: 'none' | 'lookup' | 'model' | undefined;
  /** Layers to offload to WebGPU; 0 for none. */
  gpuLayers?: number | undefined;
  /**
   * After each load on a GPU, compare a few tokens with what the CPU computes (default), for which the first such load of a model
   * loads it on the CPU before. False: trust the GPU.
   */
  selfTest?: boolean | undefined;
  /** @internal Milliseconds without a request before plans are measured: tests can't wait for the default. */
  idleBeforeMeasuring?: number | undefined;
  /** @internal Seconds of one step, or of a load, after which the engine counts as hanging: tests can't wait for what fits the device. */
  hangAfter?: number | undefined;
}
