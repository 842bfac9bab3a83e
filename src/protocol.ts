/**
 * Every message that crosses a boundary between contexts, the names of the locks, and the version of it all.
 * Types only: nothing is imported here and nothing runs.
 *
 * A *caller* is a context that sends requests: the service worker (for every fetch that it intercepts) or a page (for
 * `server.fetch`). The *host* is the one engine worker of the origin. They talk over a *trunk*, a MessagePort from the
 * caller to the host; each request has a port of its own, on which frames come back.
 */

/** Goes up when an old caller and a new host would not understand each other. Part of every lock's name. */
export type ProtocolVersion = 2;

/** Held by the engine worker of the origin; every other page's worker queues on it and takes over. */
export type HostLock = `llamatab/${ProtocolVersion}:host`;
/** Held by a host as long as it lives; callers queue on it to learn of its end. */
export type AliveLock = `llamatab/${ProtocolVersion}:alive:${string}`;
/** Held by a caller as long as it lives; the host queues on it and aborts the caller's requests. */
export type CallerLock = `llamatab/${ProtocolVersion}:caller:${string}`;

// --- trunk ---------------------------------------------------------------------------------------------------------

/** Caller to host, over a trunk. */
export type TrunkMessage =
  /** One HTTP request; frames come back over `port`. */
  | { type: 'request'; caller: string; request: RequestFrame; port: MessagePort }
  /** A further trunk, of another caller. */
  | { type: 'connect'; port: MessagePort };

/** Host to caller, over a trunk, first of all. */
export type TrunkReply = { type: 'hello'; version: ProtocolVersion; host: string };

export interface RequestFrame {
  method: string;
  /** Absolute. */
  url: string;
  headers: [name: string, value: string][];
  /** Bytes; null for none. */
  body: ArrayBuffer | null;
  /** Of the page's own requests only: files that go beside the body, by reference. */
  files?: readonly File[];
}

// --- one request's port --------------------------------------------------------------------------------------------

/** Caller to host. */
export type ToHostFrame =
  | { type: 'cancel' }
  /** Bytes of the body that were read so far. Told now and then: the host waits with more than `WINDOW` beyond them. */
  | { type: 'read'; bytes: number };

/** Host to caller: one `head`, chunks, and one `end`; or an `error` at any point, which is the last. */
export type ToCallerFrame =
  | { type: 'head'; status: number; headers: [name: string, value: string][] }
  | { type: 'chunk'; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'end' }
  | { type: 'error'; message: string };

// --- page and service worker ---------------------------------------------------------------------------------------

/** Page to service worker. */
export type ToServiceWorker =
  /** Take control of this page: it was loaded without (the first visit, or a hard reload). */
  | { type: 'claim' }
  /** This page hosts the engine now; `port` is a trunk to it. */
  | { type: 'host'; port: MessagePort }
  /** This page wants a trunk to the host, wherever that is. */
  | { type: 'connect'; port: MessagePort }
  /** Keep the site's listed files for offline use, and these URLs: they were loaded before the service worker was there. */
  | { type: 'keep'; urls: string[] }
  /** Say `idle` over `port` once no request is under way: a newer version waits to take over. */
  | { type: 'when-idle'; port: MessagePort }
  /** To a waiting version: take over. Never at install: Chromium 156 would lose interception in open pages. */
  | { type: 'take-over' };

/** Service worker to page: "do you host the engine? then here is my trunk". */
export type ToPage = { type: 'who-hosts'; port: MessagePort };

/** Page to service worker, over the port of `who-hosts`, when it does not host (a host's `hello` comes instead). */
export type WhoHostsReply = { type: 'candidate' };

// --- page and its engine worker (Comlink) --------------------------------------------------------------------------

/** What a page's engine worker offers to its page. Everything else about the engine goes over HTTP. */
export interface EngineWorker {
  /**
   * Stands for election; resolves with the host's id once elected, which may be never. Rejects if the engine can't be had.
   * @param page Given by Comlink's `proxy`.
   */
  start(config: EngineWorkerConfig, page: EnginePage): Promise<string>;
  /** Adds a trunk. */
  connect(port: MessagePort): void;
  /** Aborts what is under way and frees the lock. */
  stop(): void;
}

/** What the page does for its engine worker, because workers can't. */
export interface EnginePage {
  /**
   * A sound as samples from -1 to 1, one channel.
   * @param file In any format that the browser knows; it is consumed. Rejects if the browser can't decode it.
   * @param sampleRate Samples a second.
   */
  decodeAudio(file: ArrayBuffer, sampleRate: number): Promise<Float32Array<ArrayBuffer>>;
}

export interface EngineWorkerConfig {
  /** Skip the election: there is no service worker through which tabs could share one engine. */
  solo: boolean;
  /** Absolute URL of the catalog. */
  catalog: string;
  /** Whether models may be deleted, the least recently used first, when there is no space for another. */
  evict: boolean;
  /** Bytes that loaded models may take together; null for what suits the device. */
  memory: number | null;
  /** Seconds without a request until a model is unloaded; -1 for never. */
  sleepIdleSeconds: number;
  /** Absolute URLs of the engine's files: wllama's own, and those with kernels that the build made. */
  assets: {
    wasm: string;
    compatWasm: string;
    compatWorker: string;
    kernels: { relaxed?: { wasm: string }; simd128?: { wasm: string; compatWasm: string } };
  };
  /** Id or alias of the model that "local" means, if not the catalog's own default. */
  model: string | null;
  /** Further model names, each to an id or alias of the catalog; `*` for any unknown name. */
  aliases: Record<string, string>;
  /** Any of which a request must show; none: anyone is answered. */
  apiKeys: string[];
  /** Parts of the device plan that the site's owner fixed, as JSON: this file knows no engine. */
  engine: Record<string, unknown>;
}
