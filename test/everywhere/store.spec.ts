/** The model store against servers that fail, and two tabs: what is stored is whole, and each byte comes once. */
import { seededRandom } from '../../src/server/testing/seeded-random.ts';
import { test as base, expect } from '../support/everywhere.ts';
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
} from '../support/store-fixture.ts';
import { type WeightsFixture, weightsFixture } from '../support/weights-fixture.ts';
import { hashesOf, syntheticGguf, type WeightsServer } from '../support/weights-server.ts';

const test = base.extend<object, StoreCode>(storeFixtures).extend<WeightsFixture>(weightsFixture);

test.describe('servers', () => {
  test('parts by Range, across origins, each byte once; a second visit fetches nothing', async ({
    tab,
    site,
    weights,
  }) => {
    const content = syntheticGguf(6);
    const { sha256 } = hashesOf(content, PART);
    for (const hashes of ['whole', 'parts', 'none'] as const) {
      weights.served.length = 0;
      const model = modelOf(weights, content, hashes, hashes);
      putCatalog(site, model);
      await openStore(tab, site);
      // By content: what came for the first is there for the others where the hash tells.
      expect(await download(tab, model)).toEqual({ sha256 });
      await openStore(tab, site);
      expect(await download(tab, model)).toEqual({ sha256 });
      expect(weights.served.reduce((sum, { sent }) => sum + sent, 0)).toBe(hashes === 'parts' ? 0 : content.size);
      await tab.evaluate((model) => store.verify(model), model).then((report) => expect(report.ok).toBe(true));
    }
  });

  test('no Range: one stream', async ({ tab, site, weights }) => {
    const content = syntheticGguf(5);
    const model = modelOf(weights, content, 'whole');
    weights.misbehave(() => ({ ignoreRange: true }));
    await openStore(tab, site);
    expect(await download(tab, model)).toEqual(hashesOnly(content));
    expect(weights.sent).toBe(content.size);
  });

  test('connections that drop at random bytes', async ({ tab, site, weights }) => {
    const content = syntheticGguf(8);
    const model = modelOf(weights, content, 'whole');
    const random = seededRandom(7);
    weights.misbehave(({ number }) => (number < 40 ? { drop: Math.floor(random() * 1.3 * PART) } : undefined));
    await openStore(tab, site, { retryDelays: Array(12).fill(5) });
    expect(await download(tab, model)).toEqual(hashesOnly(content));
    // Nine parts: the others are attempts after a connection was cut, at bytes that differ with the engine's timing.
    expect(weights.served.length).toBeGreaterThan(9);
  });

  test('a file that is replaced midway is noticed, never mixed, and whole on the next attempt', async ({
    tab,
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
    await openStore(tab, site);
    expect((await download(tab, dated)).error).toMatch(/another file than the one .* two versions are never mixed/);
    // With one for the whole: at the end.
    const hashed = modelOf(weights, after, 'whole', 'hashed');
    weights.put('hashed.gguf', before);
    weights.headers = {};
    weights.misbehave(({ number }) => {
      if (number === 4) weights.put('hashed.gguf', after);
      return undefined;
    });
    expect((await download(tab, hashed)).error).toMatch(/the SHA-256 of the whole is .* parts were deleted/);
    expect(await download(tab, hashed)).toEqual(hashesOnly(after));
  });

  test('lies about its length, pages, flipped bits and refusals say which part and what to do', async ({
    tab,
    site,
    weights,
  }) => {
    const content = syntheticGguf(3);
    await openStore(tab, site);
    const model = modelOf(weights, content, 'parts');
    const part3 = 2 * PART;
    // First all the others, so that none of them is under way when the third one fails.
    weights.misbehave(({ start }) => (start === part3 ? { stall: 0 } : undefined));
    const stalled = download(tab, model).catch(() => {});
    await expect.poll(() => stored(tab, model)).toBe(content.size - PART);
    await openStore(tab, site);
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
      expect((await download(tab, model)).error).toMatch(message);
    }
    // What was wrong never counted as there; mended, only that is fetched.
    expect(await stored(tab, model)).toBe(content.size - PART);
    weights.misbehave(() => undefined);
    weights.served.length = 0;
    expect(await download(tab, model)).toEqual(hashesOnly(content));
    expect(weights.served.map(({ start }) => start)).toEqual([part3]);
  });

  test('429 and 503 with Retry-After, a bit flipped once, a server that falls silent: all by itself', async ({
    tab,
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
    await openStore(tab, site, { stallTimeout: 500 });
    expect(await download(tab, model)).toEqual(hashesOnly(content));
    const reasons = await tab.evaluate(() =>
      seen.flatMap(({ state, reason }) => (state === 'retrying' ? [reason] : [])),
    );
    expect(reasons.join()).toMatch(/HTTP (429|503)\. The server asks to come back in 1 s/);
  });

  test('what is no model is refused at the end, and never opened', async ({ tab, site, weights }) => {
    const bytes = Buffer.alloc(2 * PART, 'not a model ');
    const model = modelOf(weights, { size: bytes.length, read: (start, end) => bytes.subarray(start, end) }, 'none');
    await openStore(tab, site);
    expect((await download(tab, model)).error).toMatch(/is not a GGUF: starts with "not a model/);
    expect(await tab.evaluate(async (model) => (await store.status(model)).state, model)).toBe('failed');
  });
});

test.describe('tabs', () => {
  test('two that ask at once are one download; the one that is left takes over', async ({
    tab,
    site,
    weights,
    newTab,
  }) => {
    const content = syntheticGguf(12);
    const model = modelOf(weights, content, 'whole');
    // Slow enough that the other tab is there before it ends, in any engine.
    weights.rate = 2e5;
    await openStore(tab, site);
    const first = download(tab, model).catch(() => 'closed');
    await expect.poll(() => lastState(tab)).toBe('downloading');
    const other = await newTab();
    await openStore(other, site);
    const second = download(other, model);
    await expect.poll(() => other.evaluate(() => seen.at(-1)?.source)).toBe('another tab');
    await expect.poll(() => stored(other, model)).toBeGreaterThan(PART);
    await tab.close();
    weights.rate = 0;
    expect(await second).toEqual(hashesOnly(content));
    await first;
    const starts = weights.served.filter(({ start }) => start % PART === 0);
    const twice = starts.length - new Set(starts.map(({ start }) => start)).size;
    // Parts that were under way in the tab that was closed, and no other.
    expect(twice).toBeLessThanOrEqual(3);
  });
});
