/** What the server asks of the model store. Implemented by `model-store.ts`. */
import type { LlamatabError } from '../errors.ts';

export type Capability = 'chat' | 'completion' | 'embedding' | 'rerank' | 'vision' | 'audio' | 'speech' | 'tools';

/** A stretch of a file at one URL. Pieces follow each other without a gap. */
export interface CatalogPiece {
  /** Relative to the catalog's own URL, or absolute. */
  url: string;
  /** Bytes. More than 64 MiB are downloaded as several parts, by `Range`. */
  size: number;
  /** SHA-256 of the piece: hexadecimal, lower case. A model that a user added may have none. */
  sha256?: string;
  /**
   * SHA-256 of each stretch of 64 MiB of a longer piece, the last one shorter. With it, a damaged part is noticed as
   * soon as it has come, and only that part is fetched again.
   */
  parts?: string[];
}

/** One GGUF file: its bytes are those of its pieces in order. */
export interface CatalogFile {
  name: string;
  /** Bytes of the whole. */
  size: number;
  /** SHA-256 of the whole. It is checked only if the pieces have none, since the pieces are what is downloaded. */
  sha256?: string;
  pieces: CatalogPiece[];
}

/** Where a model that the user added came from. */
export type ModelSource =
  | { kind: 'url'; url: string }
  /** `repo` is `owner/name`; `tag` the quantization that was found. */
  | { kind: 'hub'; endpoint: string; repo: string; tag: string }
  | { kind: 'file'; name: string };

export interface CatalogModel {
  id: string;
  aliases?: string[];
  /** The site's own words about it, for its own use: nothing here reads them. */
  tags?: string[];
  /** One GGUF or its shards in order, followed by the projector (`mmproj`) of a model that sees or hears, then by its `draft`. */
  files: CatalogFile[];
  /** Name of the file among them that is a smaller model of the same vocabulary, which drafts for this one. */
  draft?: string;
  capabilities: Capability[];
  /** Tokens. */
  contextLength: number;
  /** For people: name, authors, SPDX id and the licence's URL. */
  name: string;
  authors: string;
  license: string;
  licenseUrl?: string;
  /** Page about the model. */
  homepage?: string;
  /** Only of models that the user added. */
  source?: ModelSource;
}

/** `public/models/catalog.json`. */
export interface Catalog {
  version: 1;
  /** Id of the model that `model: "local"`, or no model at all, means. */
  default: string;
  /** The site's, followed by those that the user added. */
  models: CatalogModel[];
}

/**
 * What a download is doing. `checking`: reads what is stored already; `waiting`: for another tab that downloads the same model;
 * `offline`: for the network to come back, by itself; `retrying`: in `retryIn` seconds, because of `reason`.
 */
export type DownloadState = 'checking' | 'waiting' | 'downloading' | 'offline' | 'retrying' | 'verifying' | 'paused';

/** How many of a model's bytes are stored and verified, and how fast the rest comes in. */
export interface DownloadProgress {
  loaded: number;
  total: number;
  /** Bytes a second, over the last few seconds. 0 while nothing comes from the network. */
  speed: number;
  /** Seconds to the end at this speed; null while there is no telling. The store always sets it, and `state` as well. */
  eta?: number | null;
  state?: DownloadState;
  /** Seconds to the next attempt; with `retrying`. */
  retryIn?: number;
  /** What made it stop, for people; with `retrying` and `offline`. */
  reason?: string;
  /** Which tab's worker downloads: this one's, or another one's whose progress is passed on. */
  source?: 'this tab' | 'another tab';
}

export interface WorkOptions {
  /** Ends this caller's wait; the work itself goes on while others wait for it. What is stored stays stored. */
  signal?: AbortSignal;
  /** Called now, five times a second, and at the end. */
  onProgress?: (progress: DownloadProgress) => void;
}

/**
 * The state of a model's files on this device. `absent`: not a byte is stored; `partial`: some parts are, or all, but they are not
 * verified yet; `complete`: all are stored and verified, and they are a model; `failed`: the last attempt ended with `error`, and
 * `loaded` bytes of it are kept.
 */
export interface ModelStatus {
  model: CatalogModel;
  state: 'absent' | 'partial' | 'complete' | 'failed';
  /** Bytes that are stored, and how many there are in all. */
  loaded: number;
  total: number;
  error?: LlamatabError;
  /** While it is downloaded, imported, verified or paused. */
  download?: DownloadProgress;
  /** Never evicted. */
  pinned: boolean;
  /** Milliseconds since 1970; null if never. */
  lastUsed: number | null;
  /** `memory`: the browser stores nothing here (in a private window), so the model is gone when this tab is closed. */
  kept: 'disk' | 'memory';
}

/** What a model needs, and what there is. All in bytes. */
export interface SpaceReport {
  disk: {
    /** The size of the model. */
    needed: number;
    /** How much of that is still to be downloaded. */
    missing: number;
    /** What this origin uses, what the browser grants it, and the difference; null if the browser does not say. */
    usage: number | null;
    quota: number | null;
    free: number | null;
    /** What could be freed by evicting models that are neither pinned nor in use. */
    evictable: number;
    /** Whether the browser has promised not to delete this origin's data on its own. */
    persisted: boolean;
    /** Whether `missing` fits into `free`, together with `evictable` if the site allows evictions. */
    enough: boolean;
  };
  memory: {
    weights: number;
    /** For `contextLength` tokens of one request in f16; q8_0 takes a little more than half. */
    kvCache: number;
    total: number;
    contextLength: number;
    /** The most that the engine or the device can give; null where the browser does not say. */
    available: number | null;
    enough: boolean;
  };
}

export interface VerifyReport {
  ok: boolean;
  /** Bytes that were read. */
  checked: number;
  /** The parts that are missing, or whose bytes are wrong. */
  bad: { file: string; part: number; of: number; reason: string }[];
}

export interface AddOptions {
  /** What requests call it. Default: from the file's name or the hub's `owner/repo:quant`. */
  id?: string;
  /** Sent as `Authorization: Bearer` to this source's origin only. Kept in memory, never stored. */
  token?: string;
  /** The hub. Default: `https://huggingface.co`. */
  endpoint?: string;
}

export interface ModelStore {
  /**
   * The site's catalog, followed by the models that the user added. It is that of the last deploy, asked for again after a while;
   * without a network, the last visit's copy. A failure is not remembered.
   */
  catalog(): Promise<Catalog>;
  /** The status of every model in the catalog. Sizes come from records; only `verify` finds out whether the bytes can be read. */
  list(): Promise<ModelStatus[]>;
  status(model: CatalogModel): Promise<ModelStatus>;
  /**
   * Calls `listener` when a model was added or removed, or its files, pin or download changed. Returns a function that ends
   * it.
   */
  subscribe(listener: (model: CatalogModel, status: ModelStatus | 'removed') => void): () => void;

  /** Bytes of the model that are stored already. */
  stored(model: CatalogModel): Promise<number>;
  /**
   * Downloads what is not stored yet, part by part, and verifies it. All callers, in all tabs, share one
   * download. It waits for a lost network; a paused download is resumed.
   * @throws LlamatabError `unavailable_error` naming the part and what was wrong with it: not there (404), HTML instead of
   *   bytes, cut short, another SHA-256, changed on the server, no space left. Parts that came through stay stored.
   */
  download(model: CatalogModel, options?: WorkOptions): Promise<void>;
  /** Stops the transfer; its callers go on waiting. Does nothing if the model is not being downloaded. */
  pause(model: CatalogModel): void;
  resume(model: CatalogModel): void;
  /** Ends the download for every caller with an `unavailable_error`, and deletes what has come so far. */
  cancel(model: CatalogModel): Promise<void>;
  /**
   * The model's files as lazy Blobs, in the catalog's order; downloads them first if need be. Counts as a use.
   * @throws as `download`
   */
  open(model: CatalogModel, onProgress: (progress: DownloadProgress) => void, signal?: AbortSignal): Promise<Blob[]>;
  /**
   * Keeps a model from being evicted, by any tab, until the returned function is called: for as long as it is loaded.
   * Releasing counts as a use.
   */
  hold(model: CatalogModel): () => void;
  /** Marks the model as used now: the least recently used is evicted first. */
  touch(model: CatalogModel): Promise<void>;
  /** Protects the model from being evicted, or no longer. */
  pin(model: CatalogModel, pinned?: boolean): Promise<void>;
  /** Deletes what is stored of the model, whether pinned or not; a model that the user added is forgotten. */
  remove(model: CatalogModel): Promise<void>;

  /** Reads all that is stored of a model and compares its hashes. Changes nothing. */
  verify(model: CatalogModel, options?: WorkOptions): Promise<VerifyReport>;
  /**
   * Verifies the model, and fetches only those parts again that are bad or missing.
   * @returns what was bad.
   * @throws as `download`
   */
  repair(model: CatalogModel, options?: WorkOptions): Promise<VerifyReport>;

  /** What the model would need; reads its GGUF header by ranges if it is not stored. */
  space(model: CatalogModel, options?: { contextLength?: number; signal?: AbortSignal }): Promise<SpaceReport>;
  /** Deletes unpinned, unused models, the least recently used first, until `bytes` more are free. @returns those deleted. */
  evict(bytes: number): Promise<CatalogModel[]>;

  /**
   * Adds a GGUF at any http(s) URL, or a model's shards by the URL of the first (`-00001-of-0000N.gguf`). Reads the header to
   * know what it is; downloads nothing more.
   * @throws LlamatabError `invalid_request_error` if it is not a GGUF, or its server does not tell its size; `unavailable_error` if
   *   it can't be reached.
   */
  addFromUrl(url: string, options?: AddOptions): Promise<CatalogModel>;
  /**
   * Adds a model of a hub as `llama-server -hf` names it: `owner/repo`, or `owner/repo:Q8_0`. Without a quantization: Q4_K_M,
   * then Q8_0, then the first GGUF. Downloads only the header.
   */
  addFromHub(name: string, options?: AddOptions): Promise<CatalogModel>;
  /**
   * Adds a GGUF, all shards of one, or another device's export, from the user's disk: copied part by part, hashed on the way.
   * @throws LlamatabError `invalid_request_error` if these are not one whole model.
   */
  addFromFiles(files: readonly File[], options?: AddOptions & WorkOptions): Promise<CatalogModel>;
  /** The model's GGUF files, lazy, to save or stream. @throws LlamatabError `invalid_request_error` if it is not complete */
  exportFiles(model: CatalogModel): Promise<File[]>;
  /**
   * The whole model as one lazy file, a tar archive of its description, hashes and GGUF files: what `addFromFiles` takes on
   * another device.
   */
  exportArchive(model: CatalogModel): Promise<File>;
}
