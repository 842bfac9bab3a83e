/** The model store: the catalog, and its models as Blobs, downloaded piece by piece where they are not stored yet. */
import { createStore, type UseStore } from 'idb-keyval';
import { isAbort, LlamatabError } from '../errors.ts';
import { loadCatalog } from './catalog.ts';
import { downloadPiece } from './download.ts';
import { readGgufHeader } from './gguf.ts';
import type { FetchLike } from './http.ts';
import type { Catalog, CatalogModel, CatalogPiece, DownloadProgress, ModelStore } from './models.ts';
import { PieceStorage, type StorageEstimator } from './piece-storage.ts';
import { DownloadMeter } from './progress.ts';

/**
 * Pieces at a time. Enough to hide a round trip and a hash behind a transfer; HTTP/1.1 gives a host six connections, and the
 * page needs some; each takes up to three times its size in memory.
 */
const CONCURRENCY = 3;

/** Milliseconds between progress reports. */
const PROGRESS_INTERVAL = 200;

export interface ModelStoreOptions {
  /** Absolute; pieces' URLs are relative to it. */
  catalogUrl: string;
  fetch?: FetchLike;
  /** An idb-keyval store for the pieces and the catalog's copy. */
  database?: UseStore;
  estimate?: StorageEstimator;
  /** See `download.ts`. */
  retryDelays?: readonly number[];
  stallTimeout?: number;
}

type OnProgress = (progress: DownloadProgress) => void;

/** One download, and the callers that wait for it. */
interface Opening {
  files: Promise<Blob[]>;
  meter: DownloadMeter;
  callers: Set<{ onProgress: OnProgress }>;
  controller: AbortController;
}

/** A piece, and what to call it in messages. */
interface LabelledPiece {
  piece: CatalogPiece;
  label: string;
}

/**
 * Makes a store. Nothing is fetched before it is asked for.
 *
 * @param options All but `catalogUrl` default to the platform's own.
 */
export function createModelStore(options: ModelStoreOptions): ModelStore {
  return new IndexedDbModelStore(options) as unknown as ModelStore;
}

class IndexedDbModelStore implements Pick<ModelStore, 'catalog' | 'stored' | 'open' | 'remove'> {
  readonly #options: ModelStoreOptions;
  readonly #fetch: FetchLike;
  readonly #database: UseStore;
  readonly #pieces: PieceStorage;
  #catalog: Promise<Catalog> | undefined;
  /** By model id. */
  readonly #openings = new Map<string, Opening>();

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.#database = options.database ?? createStore('llamatab', 'models');
    this.#pieces = new PieceStorage(this.#database, options.estimate);
  }

  catalog(): Promise<Catalog> {
    if (this.#catalog === undefined) {
      this.#catalog = loadCatalog(this.#options.catalogUrl, this.#database, this.#fetch);
      this.#catalog.catch(() => {
        this.#catalog = undefined;
      });
    }
    return this.#catalog;
  }

  stored(model: CatalogModel): Promise<number> {
    return this.#pieces.size(piecesOf(model).map(({ piece }) => piece));
  }

  open(model: CatalogModel, onProgress: OnProgress, signal?: AbortSignal): Promise<Blob[]> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return this.#join(this.#openings.get(model.id) ?? this.#begin(model), model.id, onProgress, signal);
  }

  async remove(model: CatalogModel): Promise<void> {
    const opening = this.#openings.get(model.id);
    if (opening !== undefined) {
      opening.controller.abort(
        new LlamatabError(
          'unavailable_error',
          `${model.id} was deleted while it was downloaded. Ask for it again to get it.`,
        ),
      );
      // Or a piece that is being stored now would come after the deletion.
      await opening.files.catch(() => undefined);
    }
    await this.#pieces.delete(piecesOf(model).map(({ piece }) => piece));
  }

  #begin(model: CatalogModel): Opening {
    const pieces = piecesOf(model);
    const meter = new DownloadMeter(pieces.reduce((total, { piece }) => total + piece.size, 0));
    const callers: Opening['callers'] = new Set();
    const controller = new AbortController();
    const report = () => {
      const progress = meter.progress();
      for (const { onProgress } of callers) onProgress(progress);
    };
    // By the clock and not by the chunk: a stall shows as a falling speed.
    const timer = setInterval(report, PROGRESS_INTERVAL);
    const files = this.#assemble(model, pieces, meter, controller).finally(() => {
      clearInterval(timer);
      this.#forget(model.id, opening);
      report();
    });
    const opening: Opening = { files, meter, callers, controller };
    this.#openings.set(model.id, opening);
    return opening;
  }

  /** Waits for a download as one of its callers; the last one that leaves stops it. */
  #join(opening: Opening, id: string, onProgress: OnProgress, signal: AbortSignal | undefined): Promise<Blob[]> {
    return new Promise((resolve, reject) => {
      onProgress(opening.meter.progress());
      const caller = { onProgress };
      opening.callers.add(caller);
      const leave = () => {
        opening.callers.delete(caller);
        signal?.removeEventListener('abort', abort);
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
        if (opening.callers.size > 0) return;
        // At once, so that whoever asks next does not join a download that is being stopped.
        this.#forget(id, opening);
        opening.controller.abort();
      };
      signal?.addEventListener('abort', abort);
      opening.files.then(resolve, reject).finally(leave);
    });
  }

  #forget(id: string, opening: Opening): void {
    if (this.#openings.get(id) === opening) this.#openings.delete(id);
  }

  async #assemble(
    model: CatalogModel,
    pieces: readonly LabelledPiece[],
    meter: DownloadMeter,
    controller: AbortController,
  ): Promise<Blob[]> {
    const blobs = new Map<string, Blob>();
    const queue = pieces.values();
    const lane = async () => {
      for (const { piece, label } of queue) {
        controller.signal.throwIfAborted();
        blobs.set(piece.sha256 ?? '', await this.#bring(piece, label, meter, controller.signal));
      }
    };
    const lanes = Array.from({ length: CONCURRENCY }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      controller.abort(error);
      await Promise.allSettled(lanes);
      throw isAbort(error) ? error : LlamatabError.from(error);
    }
    // A Blob of Blobs is lazy: it refers to the stored pieces and reads them when it is read.
    const files = model.files.map((file) => new Blob(file.pieces.map(({ sha256 }) => blobs.get(sha256 ?? '') as Blob)));
    await Promise.all(files.map((blob, i) => checkGguf(blob, `${model.id}: ${model.files[i]?.name}`)));
    return files;
  }

  /** A piece from the store, or else from the network and into it. */
  async #bring(piece: CatalogPiece, label: string, meter: DownloadMeter, signal: AbortSignal): Promise<Blob> {
    const { catalogUrl, retryDelays, stallTimeout } = this.#options;
    const stored = await this.#pieces.get(piece);
    if (stored !== undefined) {
      meter.stored(piece.sha256 ?? '', piece.size);
      return stored;
    }
    const downloaded = await downloadPiece({
      piece,
      url: new URL(piece.url, catalogUrl).href,
      label,
      fetch: this.#fetch,
      signal,
      onBytes: (received) => meter.received(piece.sha256 ?? '', received),
      retryDelays,
      stallTimeout,
    });
    await this.#pieces.put(piece, downloaded);
    meter.stored(piece.sha256 ?? '', piece.size);
    // The stored Blob is a file, the downloaded one takes memory.
    return (await this.#pieces.get(piece)) ?? downloaded;
  }
}

/** Pieces with the same content (a stretch of zeros in a large file) are fetched and stored once. */
function piecesOf(model: CatalogModel): LabelledPiece[] {
  const pieces = new Map<string, LabelledPiece>();
  for (const file of model.files) {
    for (const [i, piece] of file.pieces.entries()) {
      const which = file.pieces.length === 1 ? '' : `, piece ${i + 1} of ${file.pieces.length}`;
      pieces.set(piece.sha256 ?? '', { piece, label: `${model.id}: ${file.name}${which}` });
    }
  }
  return [...pieces.values()];
}

/** Keeps garbage and truncated files from the engine, which takes some of them for models. */
async function checkGguf(blob: Blob, name: string): Promise<void> {
  try {
    await readGgufHeader(blob, name);
  } catch (error) {
    if (!(error instanceof LlamatabError)) throw LlamatabError.from(error);
    throw new LlamatabError(
      error.type,
      `${error.message} Its bytes are those that the catalog names, so it was published like that: replace it and update the catalog.`,
      { cause: error },
    );
  }
}
