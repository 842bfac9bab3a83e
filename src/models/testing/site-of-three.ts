/** A site that offers three small models, and the store of its visitor. `beforeEach(openSite)` makes both anew. */
import 'fake-indexeddb/auto';
import { createStore, type UseStore } from 'idb-keyval';
import { tinyCatalogModel } from '../../../test/tiny-model/write-tiny-models.ts';
import { createModelStore, type ModelStoreOptions } from '../model-store.ts';
import type { CatalogModel, ModelStore } from '../models.ts';
import { FakeSite } from './fake-site.ts';

export let site: FakeSite;
export let database: UseStore;
const models: CatalogModel[] = [];
let databases = 0;
/** Milliseconds; each look at the clock is one later. */
let clock = 0;

export function openSite(): void {
  site = new FakeSite();
  models.length = 0;
  for (const [i, id] of ['one', 'two', 'three'].entries()) {
    const { model, files } = tinyCatalogModel(id, { seed: i + 1 });
    models.push(model);
    for (const [path, bytes] of files) site.files.set(path, bytes);
  }
  site.files.set('catalog.json', new TextEncoder().encode(JSON.stringify({ version: 1, default: 'one', models })));
  database = emptyDatabase();
  clock = 1000;
}

export function emptyDatabase(): UseStore {
  return createStore(`site-of-three-${databases++}`, 'models');
}

/** A store as a page that has just been opened has it: on the same database, with nothing remembered. */
export function newStore(options: Partial<ModelStoreOptions> = {}): ModelStore {
  return createModelStore({
    catalogUrl: site.catalogUrl,
    fetch: site.fetch,
    database,
    retryDelays: [1],
    now: () => clock++,
    storage: undefined,
    ...options,
  });
}

export const siteModel = (id: string) => models.find((model) => model.id === id) as CatalogModel;
export const ids = async (store: ModelStore) => (await store.catalog()).models.map((model) => model.id);
export const state = async (store: ModelStore, id: string) =>
  (await store.list()).find(({ model }) => model.id === id)?.state;
