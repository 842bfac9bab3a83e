/** The model store in a real browser, against servers, networks, tabs and disks that fail. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { build, type Rolldown } from 'vite';
import type { ModelStoreOptions } from '../src/models/model-store.ts';
import type { CatalogModel, DownloadProgress, ModelStore } from '../src/models/models.ts';
import { seededRandom } from '../src/server/testing/seeded-random.ts';
import { launch, memoryOf } from './support/own-browser.ts';
import { path } from './support/paths.ts';
import type { SiteServer } from './support/site-server.ts';
import { test as base, expect } from './support/weights-fixture.ts';
import { type Content, hashesOf, syntheticGguf, type WeightsServer } from './support/weights-server.ts';

declare global {
  var createModelStore: (options: ModelStoreOptions) => ModelStore;
  /** Of `openStore`. */
  var store: ModelStore;
  var seen: DownloadProgress[];
}

/** Bytes: downloads of a few MiB have as many parts as real ones of gigabytes. */
const PART = 2 ** 20;

const test = base.extend<object, { code: string }>({
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
});

/** A model at one URL of the weights server, cut into parts of `PART`. */
function modelOf(weights: WeightsServer, content: Content, hashes: 'whole' | 'parts' | 'none', id = 'm'): CatalogModel {
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

function putCatalog(site: SiteServer, ...models: CatalogModel[]): void {
  // Hashes of parts are of 64 MiB in a catalog: those of tests are given to the store past it.
  const small = {
    ...models[0],
    files: [{ name: 'x', size: 1, sha256: '0'.repeat(64), pieces: [{ url: 'x', size: 1 }] }],
  };
  site.put('/models/catalog.json', { version: 1, default: 'site', models: [{ ...small, id: 'site' }] });
}

/** Opens a page with a store of its own on the origin's database. */
async function openStore(page: Page, site: SiteServer, options: Partial<ModelStoreOptions> = {}): Promise<void> {
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
function download(page: Page, model: CatalogModel): Promise<{ sha256?: string; error?: string }> {
  return page.evaluate(async (model) => {
    try {
      const files = await store.open(model, (progress) => seen.push(progress));
      const digest = await crypto.subtle.digest('SHA-256', await new Blob(files).arrayBuffer());
      return { sha256: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('') };
    } catch (error) {
      return { error: (error as Error).message };
    }
  }, model);
}

const stored = (page: Page, model: CatalogModel) => page.evaluate((model) => store.stored(model), model);
const lastState = (page: Page) => page.evaluate(() => seen.at(-1)?.state);

test.describe('servers', () => {
  test('parts by Range, across origins, each byte once; a second visit fetches nothing', async ({
    page,
    site,
    weights,
  }) => {
    const content = syntheticGguf(6);
    const { sha256 } = hashesOf(content, PART);
    for (const hashes of ['whole', 'parts', 'none'] as const) {
      weights.served.length = 0;
      const model = modelOf(weights, content, hashes, hashes);
      putCatalog(site, model);
      await openStore(page, site);
      // By content: what came for the first is there for the others where the hash tells.
      expect(await download(page, model)).toEqual({ sha256 });
      await openStore(page, site);
      expect(await download(page, model)).toEqual({ sha256 });
      expect(weights.served.reduce((sum, { sent }) => sum + sent, 0)).toBe(hashes === 'parts' ? 0 : content.size);
      await page.evaluate((model) => store.verify(model), model).then((report) => expect(report.ok).toBe(true));
    }
  });

  test('no Range: one stream', async ({ page, site, weights }) => {
    const content = syntheticGguf(5);
    const model = modelOf(weights, content, 'whole');
    weights.misbehave(() => ({ ignoreRange: true }));
    await openStore(page, site);
    expect(await download(page, model)).toEqual(hashesOnly(content));
    expect(weights.sent).toBe(content.size);
  });

  test('connections that drop at random bytes', async ({ page, site, weights }) => {
    const content = syntheticGguf(8);
    const model = modelOf(weights, content, 'whole');
    const random = seededRandom(7);
    weights.misbehave(({ number }) => (number < 40 ? { drop: Math.floor(random() * 1.3 * PART) } : undefined));
    await openStore(page, site, { retryDelays: Array(12).fill(5) });
    expect(await download(page, model)).toEqual(hashesOnly(content));
    expect(weights.served.length).toBeGreaterThan(20);
  });

  test('a file that is replaced midway is noticed, never mixed, and whole on the next attempt', async ({
    page,
    site,
    weights,
  }) => {
    const [before, after] = [syntheticGguf(8, 1), syntheticGguf(8, 2)];
    // Without a hash: by the date, which is visible across origins.
    const dated = modelOf(weights, before, 'none', 'dated');
    weights.headers = { 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT' };
    weights.misbehave(({ number }) => {
      if (number !== 5) return undefined;
      weights.put('dated.gguf', after);
      weights.headers = { 'Last-Modified': 'Tue, 02 Jan 2024 00:00:00 GMT' };
      return { drop: 0 };
    });
    await openStore(page, site);
    expect((await download(page, dated)).error).toMatch(/another file than the one .* two versions are never mixed/);
    // With one for the whole: at the end.
    const hashed = modelOf(weights, after, 'whole', 'hashed');
    weights.put('hashed.gguf', before);
    weights.headers = {};
    weights.misbehave(({ number }) => {
      if (number === 4) weights.put('hashed.gguf', after);
      return undefined;
    });
    expect((await download(page, hashed)).error).toMatch(/the SHA-256 of the whole is .* parts were deleted/);
    expect(await download(page, hashed)).toEqual(hashesOnly(after));
  });

  test('lies about its length, pages, flipped bits and refusals say which part and what to do', async ({
    page,
    site,
    weights,
  }) => {
    const content = syntheticGguf(3);
    await openStore(page, site);
    const model = modelOf(weights, content, 'parts');
    const part3 = 2 * PART;
    // First all the others, so that none of them is under way when the third one fails.
    weights.misbehave(({ start }) => (start === part3 ? { stall: 0 } : undefined));
    const stalled = download(page, model).catch(() => {});
    await expect.poll(() => stored(page, model)).toBe(content.size - PART);
    await openStore(page, site);
    await stalled;
    const cases: [Parameters<WeightsServer['misbehave']>[0], RegExp][] = [
      [({ start }) => (start === part3 ? { html: true } : undefined), /part 3 of 4 .*a web page instead of bytes/],
      [({ start }) => (start === part3 ? { status: 403 } : undefined), /part 3 of 4 .*HTTP 403.*may need a token/],
      [({ start }) => (start === part3 ? { status: 404 } : undefined), /part 3 of 4 .*HTTP 404/],
      [({ start }) => (start === part3 ? { status: 416 } : undefined), /part 3 of 4 .*has no byte 2097152.*changed/],
      [({ start }) => (start === part3 ? { lie: -1000 } : undefined), /part 3 of 4 .*the answer has 1047576 bytes/],
      [({ start }) => (start === part3 ? { lie: 1000 } : undefined), /part 3 of 4 .*the answer has 1049576 bytes/],
      [
        ({ start }) => (start === part3 ? { flip: 77_777 } : undefined),
        /part 3 of 4 .*its SHA-256 is [0-9a-f]{64}, the catalog says/,
      ],
      [({ start }) => (start === part3 ? { status: 500 } : undefined), /part 3 of 4 .*HTTP 500. Try again later/],
    ];
    for (const [fault, message] of cases) {
      weights.misbehave(fault);
      expect((await download(page, model)).error).toMatch(message);
    }
    // What was wrong never counted as there; mended, only that is fetched.
    expect(await stored(page, model)).toBe(content.size - PART);
    weights.misbehave(() => undefined);
    weights.served.length = 0;
    expect(await download(page, model)).toEqual(hashesOnly(content));
    expect(weights.served.map(({ start }) => start)).toEqual([part3]);
  });

  test('429 and 503 with Retry-After, a bit flipped once, a server that falls silent: all by itself', async ({
    page,
    site,
    weights,
  }) => {
    const content = syntheticGguf(4);
    const model = modelOf(weights, content, 'parts');
    weights.headers = { 'Access-Control-Expose-Headers': 'Retry-After' };
    const faults = [
      { status: 429, headers: { 'Retry-After': '1' } },
      { status: 503, headers: { 'Retry-After': '1' } },
      { flip: 5 },
      { stall: 300_000 },
    ];
    weights.misbehave(({ number }) => faults[number]);
    await openStore(page, site, { stallTimeout: 500 });
    expect(await download(page, model)).toEqual(hashesOnly(content));
    const reasons = await page.evaluate(() =>
      seen.flatMap(({ state, reason }) => (state === 'retrying' ? [reason] : [])),
    );
    expect(reasons.join()).toMatch(/HTTP (429|503)\. The server asks to come back in 1 s/);
  });

  test('what is no model is refused at the end, and never opened', async ({ page, site, weights }) => {
    const bytes = Buffer.alloc(2 * PART, 'not a model ');
    const model = modelOf(weights, { size: bytes.length, read: (start, end) => bytes.subarray(start, end) }, 'none');
    await openStore(page, site);
    expect((await download(page, model)).error).toMatch(/is not a GGUF: starts with "not a model/);
    expect(await page.evaluate(async (model) => (await store.status(model)).state, model)).toBe('failed');
  });
});

test('the network goes and comes back: the download waits and goes on by itself', async ({
  page,
  site,
  weights,
  context,
}) => {
  const content = syntheticGguf(8);
  const model = modelOf(weights, content, 'whole');
  weights.rate = 4e6;
  await openStore(page, site);
  const done = download(page, model);
  await expect.poll(() => stored(page, model)).toBeGreaterThan(0);
  await context.setOffline(true);
  await expect.poll(() => lastState(page)).toBe('offline');
  weights.rate = 0;
  await context.setOffline(false);
  expect(await done).toEqual(hashesOnly(content));
});

test.describe('tabs', () => {
  test('two that ask at once are one download; the one that is left takes over', async ({
    page,
    site,
    weights,
    context,
  }) => {
    const content = syntheticGguf(12);
    const model = modelOf(weights, content, 'whole');
    weights.rate = 3e6;
    await openStore(page, site);
    const first = download(page, model).catch(() => 'closed');
    await expect.poll(() => lastState(page)).toBe('downloading');
    const other = await context.newPage();
    await openStore(other, site);
    const second = download(other, model);
    await expect.poll(() => other.evaluate(() => seen.at(-1)?.source)).toBe('another tab');
    await expect.poll(() => stored(other, model)).toBeGreaterThan(3 * PART);
    await page.close();
    weights.rate = 0;
    expect(await second).toEqual(hashesOnly(content));
    await first;
    const starts = weights.served.filter(({ start }) => start % PART === 0);
    const twice = starts.length - new Set(starts.map(({ start }) => start)).size;
    // Parts that were under way in the tab that was closed, and no other.
    expect(twice).toBeLessThanOrEqual(3);
  });
});

test.describe('space', () => {
  test('too little is said with numbers; with evict, the oldest goes; what is pinned stays', async ({
    page,
    site,
    weights,
    context,
  }) => {
    const [a, b, c] = [1, 2, 3].map((seed) => modelOf(weights, syntheticGguf(8, seed), 'parts', `m${seed}`));
    if (!a || !b || !c) throw new Error('three models');
    putCatalog(site, a);
    await openStore(page, site);
    const session = await context.newCDPSession(page);
    // Before the first write: IndexedDB remembers how much space there is.
    await session.send('Storage.overrideQuotaForOrigin', {
      origin: new URL(site.url).origin,
      quotaSize: 2.5 * a.files.reduce((sum, { size }) => sum + size, 0),
    });
    await download(page, a);
    await download(page, b);
    await page.evaluate(({ a, b }) => Promise.all([store.pin(b), store.touch(a)]), { a, b });

    // Chromium estimates 10 GiB whatever it grants, so this shows midway only.
    const { error } = await download(page, c);
    expect(error).toMatch(
      /no space for the next 1\.0 MB of the model\. It counts \d+\.\d MB of .* used.*Delete other models/,
    );
    expect(await page.evaluate(async (model) => (await store.status(model)).error?.message, c)).toBe(error);

    await openStore(page, site, { evict: true });
    expect((await download(page, c)).sha256).toBe(hashesOf(syntheticGguf(8, 3), PART).sha256);
    const states = await page.evaluate(
      (models) => Promise.all(models.map(async (model) => (await store.status(model)).state)),
      [a, b, c],
    );
    expect(states).toEqual(['absent', 'complete', 'complete']);
  });

  test('2.5 GB come, open and go; the memory that it takes', async ({ site, weights }) => {
    test.setTimeout(170_000);
    const content = syntheticGguf(2400);
    const model = modelOf(weights, content, 'none', 'large');
    const own = await launch();
    try {
      const { page } = own;
      await openStore(page, site, { partSize: 64 * PART });
      const before = memoryOf(own);
      let peak = 0;
      const timer = setInterval(() => {
        peak = Math.max(peak, memoryOf(own));
      }, 100);
      const began = Date.now();
      const read = await page.evaluate(async (model) => {
        await store.download(model);
        const [file] = await store.open(model, () => {});
        // As the engine reads: a slice here and there, not the whole.
        const slices = [0, 1e9, 2.4e9].map((at) => file?.slice(at, at + 1e6).arrayBuffer());
        const lengths = (await Promise.all(slices)).map((buffer) => buffer?.byteLength);
        return { size: file?.size, lengths, status: (await store.status(model)).state };
      }, model);
      const seconds = (Date.now() - began) / 1000;
      clearInterval(timer);
      expect(read).toEqual({ size: content.size, lengths: [1e6, 1e6, 1e6], status: 'complete' });
      expect(weights.sent).toBe(content.size);
      await page.evaluate((model) => store.remove(model), model);
      expect(await stored(page, model)).toBe(0);
      console.log(
        `2.5 GB: ${Math.round(seconds)} s, ${Math.round(content.size / 1e6 / seconds)} MB/s; memory of all processes at most ` +
          `${Math.round((peak - before) / 2 ** 20)} MiB above ${Math.round(before / 2 ** 20)} MiB`,
      );
      // Far from the model's size: a few parts at a time.
      if (before > 0) expect(peak - before).toBeLessThan(1.5 * 2 ** 30);
    } finally {
      await own.close();
    }
  });
});

test('a browser that is killed again and again loses no acknowledged part, and fetches none twice', async ({
  site,
  weights,
}) => {
  test.setTimeout(170_000);
  const KILLS = 22;
  const content = syntheticGguf(64);
  const model = modelOf(weights, content, 'whole');
  const random = seededRandom(20_261_124);
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-killed-'));
  weights.rate = 8e6;
  let acknowledged = new Set<number>();
  let kills = 0;
  /** Bytes that were sent for parts that were acknowledged already. */
  let wasted = 0;
  try {
    for (; kills < KILLS; kills++) {
      const own = await launch(profile);
      await openStore(own.page, site);
      const now = await acknowledgedParts(own.page);
      // Whatever was acknowledged before the kill is there after it.
      for (const start of acknowledged) expect(now).toContain(start);
      acknowledged = now;
      weights.served.length = 0;
      const killed = new Promise<void>((resolve) => {
        const limit = weights.sent + 1 + Math.floor(random() * 5 * PART);
        weights.onSent = () => {
          if (weights.sent < limit) return;
          weights.onSent = () => {};
          own.kill();
          resolve();
        };
      });
      own.page.evaluate((model) => store.download(model), model).catch(() => {});
      await killed;
      await own.gone;
      wasted += wastedBytes(weights, acknowledged);
    }
    const own = await launch(profile);
    await openStore(own.page, site);
    acknowledged = await acknowledgedParts(own.page);
    expect(acknowledged.size).toBeGreaterThan(0);
    expect(acknowledged.size).toBeLessThan(64);
    weights.served.length = 0;
    weights.rate = 0;
    expect(await download(own.page, model)).toEqual(hashesOnly(content));
    wasted += wastedBytes(weights, acknowledged);
    await own.close();
    console.log(
      `${kills} kills; ${acknowledged.size} parts were acknowledged before the last start; none was fetched again`,
    );
    expect(wasted).toBe(0);
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
});

function hashesOnly(content: Content): { sha256: string } {
  return { sha256: hashesOf(content, PART).sha256 };
}

/** First bytes of the parts that IndexedDB acknowledges. */
async function acknowledgedParts(page: Page): Promise<Set<number>> {
  const keys = await page.evaluate(async () => {
    // Opening a database that is not there would make it, without the store's tables.
    if (!(await indexedDB.databases()).some(({ name }) => name === 'llamatab')) return [];
    return new Promise<string[]>((resolve, reject) => {
      const request = indexedDB.open('llamatab');
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const database = request.result;
        const all = database.transaction('models').objectStore('models').getAllKeys();
        all.onerror = () => reject(all.error);
        all.onsuccess = () => {
          database.close();
          resolve(all.result.map(String));
        };
      };
    });
  });
  return new Set(keys.filter((key) => key.startsWith('part:')).map((key) => Number(key.split(' ').at(-1))));
}

function wastedBytes(weights: WeightsServer, acknowledged: Set<number>): number {
  return weights.served
    .filter(({ start }) => acknowledged.has(Math.floor(start / PART) * PART))
    .reduce((sum, { sent }) => sum + sent, 0);
}
