/** Adds the user's own models: from an address, from a hub, or from files on the disk. */
import { LlamatabError } from '../errors.ts';
import { downloadAddress, type FoundModel, findByHubName, findByUrl, findInFiles } from './find-models.ts';
import { requireSha256, sha256 } from './http.ts';
import { DEFAULT_ENDPOINT } from './hub.ts';
import { parseHubName } from './hub-name.ts';
import type { ModelList } from './model-list.ts';
import type { ModelStatusBoard } from './model-status.ts';
import type { AddOptions, CatalogModel, WorkOptions } from './models.ts';
import type { OwnModels } from './own-models.ts';
import type { StoredPart } from './part-storage.ts';
import { DownloadMeter } from './progress.ts';
import { ofLayout } from './records.ts';
import type { StoreContext } from './store-context.ts';
import { complete } from './stored-files.ts';

export class ModelAdder {
  readonly #context: StoreContext;
  readonly #list: ModelList;
  readonly #own: OwnModels;
  readonly #statuses: ModelStatusBoard;

  constructor(context: StoreContext, list: ModelList, own: OwnModels, statuses: ModelStatusBoard) {
    this.#context = context;
    this.#list = list;
    this.#own = own;
    this.#statuses = statuses;
  }

  async fromUrl(url: string, { id, token }: AddOptions = {}): Promise<CatalogModel> {
    const address = downloadAddress(url);
    this.#context.tokens.keep(address, token);
    const known = await this.#own.find((source) => source.kind === 'url' && source.url === address);
    if (known !== undefined) return known;
    // Before any server is asked.
    if (id !== undefined) await this.#list.chooseId(id);
    return this.#takeUp(await findByUrl(address, this.#findOptions), id);
  }

  async fromHub(name: string, { id, token, endpoint = DEFAULT_ENDPOINT }: AddOptions = {}): Promise<CatalogModel> {
    parseHubName(name);
    if (!/^https?:/.test(endpoint) || !URL.canParse(endpoint)) {
      throw new LlamatabError(
        'invalid_request_error',
        `'${endpoint}' is not the address of a hub: it should be an http(s) address, like ${DEFAULT_ENDPOINT}.`,
        { param: 'endpoint' },
      );
    }
    if (id !== undefined) await this.#list.chooseId(id);
    this.#context.tokens.keep(endpoint, token);
    const found = await findByHubName(name, endpoint, this.#findOptions);
    const known = await this.#own.find((source) => JSON.stringify(source) === JSON.stringify(found.source));
    return known ?? this.#takeUp(found, id);
  }

  async fromFiles(files: readonly File[], options: AddOptions & WorkOptions = {}): Promise<CatalogModel> {
    requireSha256();
    const { id, signal, onProgress = () => {} } = options;
    const { records, housekeeping, tabs, parts, keyOf, layoutOf } = this.#context;
    const { model: found, blobs, isArchive } = await findInFiles(files);
    const site = isArchive ? await this.#list.siteModelLike(found) : undefined;
    const model: CatalogModel = site ?? { ...found, id: await this.#list.chooseId(id, found.id) };
    const key = keyOf(model);
    const layout = layoutOf(model);
    const meter = new DownloadMeter(layout.total);
    await housekeeping.makeRoom(layout.total - (await parts.storedSize(layout.parts)), key);
    await housekeeping.change(key, (record) => ({ ...record, ...ofLayout(layout) }));
    const release = tabs.use(key);
    try {
      const copied = await this.#copyIn(model, blobs, meter, () => {
        signal?.throwIfAborted();
        onProgress(meter.progress());
      });
      signal?.throwIfAborted();
      await complete(this.#context, model, copied);
    } catch (error) {
      await housekeeping.deleteFiles(key, layout.parts);
      if (site === undefined) await records.delete(key);
      throw error;
    } finally {
      release();
    }
    if (site === undefined) await this.#own.keep(model);
    await this.#statuses.changed(model);
    onProgress(meter.progress());
    return model;
  }

  /** Copies files into the store, part by part: the browser copies from disk to disk, and only the hash reads the bytes. */
  async #copyIn(
    model: CatalogModel,
    blobs: readonly Blob[],
    meter: DownloadMeter,
    onPart: () => void,
  ): Promise<Map<string, StoredPart>> {
    const { housekeeping, keyOf, layoutOf } = this.#context;
    const copied = new Map<string, StoredPart>();
    for (const [i, file] of layoutOf(model).files.entries()) {
      let at = 0;
      for (const part of file.parts) {
        onPart();
        const blob = (blobs[i] ?? new Blob()).slice(at, at + part.size);
        const hash = await sha256(await blob.arrayBuffer());
        if (part.sha256 !== undefined && hash !== part.sha256) {
          throw new LlamatabError(
            'invalid_request_error',
            `${part.label}: its SHA-256 is ${hash}, the export says ${part.sha256}. The file was damaged on the way: copy it again.`,
            { param: 'files' },
          );
        }
        await housekeeping.put(keyOf(model), part, hash, blob);
        if (!copied.has(part.key)) {
          meter.received(part.key, part.size);
          meter.stored(part.key, part.size);
        }
        copied.set(part.key, { sha256: hash, size: part.size });
        at += part.size;
      }
    }
    return copied;
  }

  async #takeUp(found: FoundModel, id: string | undefined): Promise<CatalogModel> {
    const model = { ...found, id: await this.#list.chooseId(id, found.id) };
    await this.#own.keep(model);
    await this.#statuses.changed(model);
    return model;
  }

  get #findOptions() {
    return { fetch: this.#context.fetch, headersFor: this.#context.tokens.headersFor };
  }
}
