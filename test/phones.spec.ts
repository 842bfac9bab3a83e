/**
 * A phone, as Chromium emulates it: its screen and touch; eight cores and 4 GB, as its browser tells them; and no
 * Document-Isolation-Policy, which Chrome on Android has had only since 146.
 */
import { devices } from '@playwright/test';
import { WITHOUT_ISOLATION_POLICY } from './support/chromium-options.ts';
import { chat, expect, fetchIn, putTinyModels, test, user } from './support/fixtures.ts';
import { inEngineWorkers } from './support/gpu.ts';
import type { SiteServer } from './support/site-server.ts';

const { defaultBrowserType: _, ...phone } = devices['Pixel 7'];

test.use({
  ...phone,
  siteOptions: { models: 'tiny', isolated: false },
  launchOptions: WITHOUT_ISOLATION_POLICY,
});

const GIBIBYTE = 2 ** 30;
/** Tokens: the KV cache of so many takes more than a phone of 4 GB has. */
const LONG = 2 ** 24;

/** What the engine is told. Emulation does not reach into workers. */
function tellHardware(site: SiteServer): void {
  inEngineWorkers(
    site,
    `for (const [name, value] of [['deviceMemory', 4], ['hardwareConcurrency', 8]])
      Object.defineProperty(Object.getPrototypeOf(navigator), name, { configurable: true, get: () => value })`,
  );
}

test('is isolated, gets a plan for what it has, and is told what does not fit, in numbers', async ({ page, site }) => {
  tellHardware(site);
  putTinyModels(site, { tiny: {}, long: { contextLength: LONG } });
  site.route('/page.html', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><script type="module">
      import * as llamatab from '/lib/index.js';
      globalThis.server = await llamatab.serve({ isolate: true, nativeRoutes: true, engine: { measure: false } });
    </script>`);
  });
  await page.goto(`${site.url}page.html`);
  await page.waitForFunction(() => 'server' in globalThis);
  expect(await page.evaluate(() => [server.status.isolated, navigator.maxTouchPoints > 0])).toEqual([true, true]);

  expect(await chat(page, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
  const { engine } = (await fetchIn(page, '/v1/props?model=tiny')).json;
  // One thread, since the model is tiny; of a larger one it would be half of the cores.
  expect(engine).toMatchObject({ gpu: null, gpuLayers: 0, threads: 1, kvCacheType: 'q8_0', source: 'default' });

  const [small, long] = await page.evaluate(() => Promise.all(['tiny', 'long'].map((id) => server.models.space(id))));
  expect(small?.memory).toMatchObject({ available: 4 * GIBIBYTE, enough: true });
  expect(long?.memory).toMatchObject({ available: 4 * GIBIBYTE, enough: false, contextLength: LONG });
  expect(long?.memory.total).toBeGreaterThan(4 * GIBIBYTE);
});

test('the console fits the screen and answers to a finger; the tab behind the one in front goes on', async ({
  page,
  site,
  context,
}) => {
  await page.goto(site.url);
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
  const message = page.getByRole('textbox', { name: 'Your message' });
  await message.tap();
  await message.fill('hello');
  await page.getByRole('button', { name: 'Send' }).tap();
  await expect(page.getByTestId('answer').last()).toHaveAttribute('data-state', 'done');
  // Nothing is cut off at the side, which a finger would have to look for.
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);

  const other = await context.newPage();
  await other.goto(`${site.url}test/plain.html`);
  await other.bringToFront();
  expect(await chat(other, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
});
