/** The pages of a site share one service worker, and the site may have one of its own. */
import type { Page } from '@playwright/test';
import { chat, engineWasm, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** Of the scope of the site: what is registered, by the scripts' names. */
const workers = (page: Page) =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration('/');
    const name = (worker: ServiceWorker | null | undefined) => worker?.scriptURL.replace(location.origin, '') ?? null;
    return [registration?.active, registration?.waiting, registration?.installing].map(name);
  });

const OURS = ['/llamatab-sw.js', null, null];

test.describe('options that concern the service worker', () => {
  test.use({ siteOptions: { models: 'tiny', isolated: false } });

  test('belong to the site: a page that says nothing changes nothing', async ({ page, site, context }) => {
    site.put('/health', { status: 'the site’s own' });
    await serveIn(page, site, { nativeRoutes: true });
    const second = await context.newPage();
    await second.goto(`${site.url}test/app.html`);
    await second.waitForFunction(() => 'llamatab' in globalThis);
    await second.evaluate(async () => {
      globalThis.server = await llamatab.serve();
    });
    for (const tab of [page, second]) {
      expect(await workers(tab)).toEqual(OURS);
      expect((await fetchIn(tab, '/health')).json).toEqual({ status: 'ok' });
      expect((await fetchIn(tab, '/health', undefined, 'server')).json).toEqual({ status: 'ok' });
    }
  });

  test('a page that asks for isolation keeps it when another one does not ask', async ({ page, site, context }) => {
    await page.goto(`${site.url}test/app.html`);
    await page.waitForFunction(() => 'llamatab' in globalThis);
    await page.evaluate(() => void llamatab.serve({ isolate: true }));
    await page.waitForFunction(() => crossOriginIsolated && 'llamatab' in globalThis);
    const second = await context.newPage();
    await second.goto(`${site.url}test/app.html`);
    await second.waitForFunction(() => 'llamatab' in globalThis);
    await second.evaluate(async () => {
      globalThis.server = await llamatab.serve();
    });
    await page.reload();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    expect(await workers(page)).toEqual(OURS);
  });

  test('a page that says otherwise is told', async ({ page, site, context }) => {
    await serveIn(page, site, { nativeRoutes: true });
    const second = await context.newPage();
    const told = second.waitForEvent('console', (message) => message.type() === 'warning');
    await serveIn(second, site, { nativeRoutes: false });
    expect((await told).text()).toContain('serve({ nativeRoutes: false }), and another page of the site said true');
    expect(await workers(second)).toEqual(OURS);
  });
});

test.describe('a service worker of the site’s own', () => {
  /** It takes over at once, as most do. */
  const OWN = `
    self.addEventListener('install', () => self.skipWaiting());
    self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
    self.addEventListener('message', () => {});`;

  const register = (page: Page) =>
    page.evaluate(async () => {
      const controlled = new Promise((resolve) => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
      });
      await navigator.serviceWorker.register('/own-sw.js');
      await controlled;
    });
  const interception = (page: Page) =>
    page.evaluate(() => [server.status.intercepts, server.status.interceptsNot] as const);

  test('is not displaced: serve() says so, and server.fetch works in every tab', async ({ page, site, context }) => {
    site.put('/own-sw.js', OWN);
    await page.goto(`${site.url}test/app.html`);
    await register(page);
    const second = await context.newPage();
    for (const tab of [page, second]) {
      await serveIn(tab, site);
      expect(await interception(tab)).toEqual([
        false,
        expect.stringMatching(/own-sw\.js.*importScripts.*server\.fetch/),
      ]);
      expect(await chat(tab, question, 'server')).toHaveLength(8);
      expect(await workers(tab)).toEqual(['/own-sw.js', null, null]);
    }
  });

  test('that imports ours answers as ours does, for all tabs with one engine', async ({ page, site, context }) => {
    site.put('/own-sw.js', `importScripts('./llamatab-sw.js');${OWN}`);
    await page.goto(`${site.url}test/app.html`);
    await register(page);
    const second = await context.newPage();
    for (const tab of [page, second]) {
      await serveIn(tab, site);
      expect(await interception(tab)).toEqual([true, undefined]);
      expect(await chat(tab, question)).toHaveLength(8);
      expect(await workers(tab)).toEqual(['/own-sw.js', null, null]);
    }
    expect(await second.evaluate(() => server.status.role)).toBe('guest');
  });

  test('that is registered after ours shows in the status', async ({ page, site }) => {
    site.put('/own-sw.js', OWN);
    await serveIn(page, site);
    expect(await interception(page)).toEqual([true, undefined]);
    // Its copies for offline visits are made, so that nothing but this page may keep it busy.
    const isKept = () => page.evaluate(async (wasm) => (await caches.match(wasm)) !== undefined, engineWasm());
    await expect.poll(isKept).toBe(true);
    await register(page);
    await expect.poll(() => interception(page)).toEqual([false, expect.stringMatching(/displaced.*own-sw\.js/)]);
    expect(await chat(page, question, 'server')).toHaveLength(8);
  });
});
