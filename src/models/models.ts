/** What the server asks of the model store. Implemented by `model-store.ts`. */

export type Capability = 'chat' | 'completion' | 'embedding' | 'rerank' | 'vision' | 'audio' | 'tools';

/** A stretch of a file, downloaded and verified as one. Pieces follow each other without a gap. */
export interface CatalogPiece {
  /** Relative to the catalog's own URL, or absolute. */
  url: string;
  /** Bytes. */
  size: number;
  /** Hexadecimal, lower case. */
  sha256: string;
}

/** One GGUF file: its bytes are those of its pieces in order. */
export interface CatalogFile {
  name: string;
  /** Bytes of the whole. */
  size: number;
  /** SHA-256 of the whole, for people and tools; what is checked are the pieces'. */
  sha256: string;
  pieces: CatalogPiece[];
}

export interface CatalogModel {
  id: string;
  aliases?: string[];
  /** One GGUF, or the shards of one in order; then the projector (`mmproj`) of a model that sees or hears. */
  files: CatalogFile[];
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
}

/** `public/models/catalog.json`. */
export interface Catalog {
  version: 1;
  /** Id of the model that `model: "local"`, or no model at all, means. */
  default: string;
  models: CatalogModel[];
}

/** Bytes of a model that are stored and verified, of how many, and how fast they come in. */
export interface DownloadProgress {
  loaded: number;
  total: number;
  /** Bytes a second, over the last few seconds. 0 while nothing comes from the network. */
  speed: number;
}

export interface ModelStore {
  /** Reads the catalog (from the network, or from the last visit's copy when offline). Once; a failure is not remembered. */
  catalog(): Promise<Catalog>;
  /** Bytes of the model that are stored already. */
  stored(model: CatalogModel): Promise<number>;
  /**
   * The model's files as lazy Blobs, downloaded and verified piece by piece where they are not stored yet.
   * @throws LlamatabError `unavailable_error` naming the piece and what was wrong with it: not there (404), HTML instead of
   *   bytes, cut short, another SHA-256, no space left. Pieces that came through stay stored.
   */
  open(model: CatalogModel, onProgress: (progress: DownloadProgress) => void, signal?: AbortSignal): Promise<Blob[]>;
  /** Deletes what is stored of the model. */
  remove(model: CatalogModel): Promise<void>;
}
