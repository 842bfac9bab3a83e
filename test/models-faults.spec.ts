/** The model store against a network, disks and a browser that fail. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { seededRandom } from '../src/server/testing/seeded-random.ts';
import { launch, memoryOf } from './support/own-browser.ts';
import {
  download,
  hashesOnly,
  lastState,
  modelOf,
  openStore,
  PART,
  putCatalog,
  type StoreCode,
  stored,
  storeFixtures,
} from './support/store-fixture.ts';
import { test as base, expect } from './support/weights-fixture.ts';
import { hashesOf, syntheticGguf, type WeightsServer } from './support/weights-server.ts';

const test = base.extend<object, StoreCode>(storeFixtures);

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
