/** A page with a store of its own, without an engine: parts are of 1 MiB, and what it is told is noted. */
import type { Fixtures } from '@playwright/test';
import { build, type Rolldown } from 'vite';
import type { ModelStoreOptions } from '../../src/models/model-store.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from '../../src/models/models.ts';
import type { Tab } from './engines/tab.ts';
import { path } from './paths.ts';
import type { SiteServer } from './site-server.ts';
import { type Content, hashesOf, type WeightsServer } from './weights-server.ts';

declare global {
  var createModelStore: (options: ModelStoreOptions) => ModelStore;
  /** Of `openStore`. */
  var store: ModelStore;
  var seen: DownloadProgress[];
}

/** Bytes: downloads of a few MiB have as many parts as real ones of gigabytes. */
export const PART = 2 ** 20;

/** The store's code, as one module. */
export interface StoreCode {
  code: string;
}

export const storeFixtures: Fixtures<object, StoreCode, { site: SiteServer }> = {
  code: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright wants a pattern
    async ({}, use) => {
      const result = await build({
        configFile: false,
        root: path('.'),
        logLevel: 'warn',
        build: {
          write: false,
          target: 'es2022',
          lib: { entry: path('src/models/model-store.ts'), formats: ['es'] },
        },
      });
      const [output] = result as Rolldown.RolldownOutput[];
      const [chunk] = output?.output ?? [];
      if (chunk?.type !== 'chunk') throw new Error('no code');
      await use(chunk.code);
    },
    { scope: 'worker' },
  ],
  site: async ({ site, code }, use) => {
    site.put('/test/model-store.js', code);
    await use(site);
  },
};

/** A model at one URL of the weights server, cut into parts of `PART`. */
export function modelOf(
  weights: WeightsServer,
  content: Content,
  hashes: 'whole' | 'parts' | 'none',
  id = 'm',
): CatalogModel {
  weights.put(`${id}.gguf`, content);
  const { sha256, parts } = hashes === 'none' ? { sha256: '', parts: [] } : hashesOf(content, PART);
  const hash = hashes === 'whole' ? { sha256 } : hashes === 'parts' ? { sha256, parts } : {};
  return {
    id,
    files: [
      {
        name: `${id}.gguf`,
        size: content.size,
        pieces: [{ url: `${weights.url}${id}.gguf`, size: content.size, ...hash }],
      },
    ],
    capabilities: ['completion'],
    contextLength: 2048,
    name: id,
    authors: 'test',
    license: 'MIT',
  };
}

export function putCatalog(site: SiteServer, ...models: CatalogModel[]): void {
  // Hashes of parts are of 64 MiB in a catalog: those of tests are given to the store past it.
  const small = {
    ...models[0],
    files: [{ name: 'x', size: 1, sha256: '0'.repeat(64), pieces: [{ url: 'x', size: 1 }] }],
  };
  site.put('/models/catalog.json', { version: 1, default: 'site', models: [{ ...small, id: 'site' }] });
}

/** Opens a page with a store of its own on the origin's database. */
export async function openStore(page: Tab, site: SiteServer, options: Partial<ModelStoreOptions> = {}): Promise<void> {
  await page.goto(`${site.url}test/store.html`);
  await page.waitForFunction(() => 'createModelStore' in globalThis);
  await page.evaluate(
    ({ options, partSize }) => {
      globalThis.seen = [];
      globalThis.store = createModelStore({
        catalogUrl: new URL('/models/catalog.json', location.href).href,
        partSize,
        retryDelays: [20, 50, 100, 200],
        ...options,
      });
    },
    { options, partSize: options.partSize ?? PART },
  );
}

/** Downloads, and says what came: the SHA-256 of the files as they are stored, or the error's message. */
export function download(page: Tab, model: CatalogModel): Promise<{ sha256?: string; error?: string }> {
  return page.evaluate(async (model) => {
    try {
      const files = await store.open(model, (progress) => seen.push(progress));
      // Each by itself: a Blob of files that are read lazily would be empty.
      const buffers = await Promise.all(files.map((file) => file.arrayBuffer()));
      const digest = await crypto.subtle.digest('SHA-256', await new Blob(buffers).arrayBuffer());
      return { sha256: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('') };
    } catch (error) {
      return { error: (error as Error).message };
    }
  }, model);
}

export const stored = (page: Tab, model: CatalogModel) => page.evaluate((model) => store.stored(model), model);
export const lastState = (page: Tab) => page.evaluate(() => seen.at(-1)?.state);

export function hashesOnly(content: Content): { sha256: string } {
  return { sha256: hashesOf(content, PART).sha256 };
}
