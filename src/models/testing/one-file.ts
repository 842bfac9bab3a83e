/** One file at one URL, which a hub or any web server offers, and a store that asks for it by ranges. */
import 'fake-indexeddb/auto';
import { createStore, type UseStore } from 'idb-keyval';
import { tinyModel } from '../../../test/tiny-model/tiny-model.ts';
import { createModelStore, type ModelStoreOptions } from '../model-store.ts';
import type { CatalogModel, ModelStore } from '../models.ts';
import { sha256 } from './bytes.ts';
import { FakeSite } from './fake-site.ts';

export const BYTES = tinyModel();
export const HASH = sha256(BYTES);
/** Bytes of a part. */
export const PART = 200_000;
export const PARTS = Math.ceil(BYTES.length / PART);

/** The model at one URL, with a hash of the whole, of each part, or none. */
export function model(hashes: 'whole' | 'parts' | 'none' = 'whole'): CatalogModel {
  const parts = Array.from({ length: PARTS }, (_, i) => sha256(BYTES.slice(i * PART, (i + 1) * PART)));
  return {
    id: 'm',
    files: [
      {
        name: 'm.gguf',
        size: BYTES.length,
        pieces: [
          {
            url: 'm.gguf',
            size: BYTES.length,
            ...(hashes === 'whole' ? { sha256: HASH } : hashes === 'parts' ? { parts } : {}),
          },
        ],
      },
    ],
    capabilities: ['chat'],
    contextLength: 2048,
    name: 'M',
    authors: 'A',
    license: 'MIT',
  };
}

export let site: FakeSite;
export let database: UseStore;
let databases = 0;

/** Makes the site and its visitor's database anew: for `beforeEach`. */
export function openSite(): void {
  site = new FakeSite();
  site.files.set('m.gguf', BYTES);
  site.files.set(
    'catalog.json',
    new TextEncoder().encode(JSON.stringify({ version: 1, default: 'm', models: [model()] })),
  );
  clearDatabase();
}

export function clearDatabase(): void {
  database = createStore(`one-file-${databases++}`, 'models');
}

/** A store as a page that has just been opened has it: on the same database, with nothing remembered. */
export function newStore(options: Partial<ModelStoreOptions> = {}): ModelStore {
  return createModelStore({
    catalogUrl: site.catalogUrl,
    fetch: site.fetch,
    database,
    partSize: PART,
    retryDelays: [1, 1, 1],
    ...options,
  });
}

export const open = (store: ModelStore, of = model()) => store.open(of, () => {});

/** Ranges that were asked for. */
export const ranges = () => site.requests.filter(({ path }) => path === 'm.gguf').map(({ range }) => range ?? 'all');
