/** The pages of a site share one service worker, and the site may have one of its own. */
import type { ServeOptions } from '../../src/index.ts';
import type { Tab } from '../support/engines/tab.ts';
import { expect, putIsolatingPage, test, untilKept } from '../support/everywhere.ts';
import { chat, fetchIn, serveIn, user } from '../support/fixtures.ts';
import type { SiteServer } from '../support/site-server.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** Of the scope of the site: what is registered, by the scripts' names. */
const workers = (tab: Tab) =>
  tab.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration('/');
    const name = (worker: ServiceWorker | null | undefined) => worker?.scriptURL.replace(location.origin, '') ?? null;
    return [registration?.active, registration?.waiting, registration?.installing].map(name);
  });

const OURS = ['/llamatab-sw.js', null, null];

async function open(tab: Tab, site: SiteServer): Promise<void> {
  await tab.goto(`${site.url}test/app.html`);
  await tab.waitForFunction(() => 'llamatab' in globalThis);
}

/** Calls `serve()` in an open page. @returns what that warned of */
const serve = (tab: Tab, options: ServeOptions = {}) =>
  tab.evaluate(async (options) => {
    const warnings: string[] = [];
    const { warn } = console;
    console.warn = (text: string) => void warnings.push(text);
    globalThis.server = await llamatab.serve(options);
    console.warn = warn;
    return warnings;
  }, options);

test.describe('options that concern the service worker', () => {
  test.use({ siteOptions: { models: 'tiny', isolated: false } });

  test('belong to the site: a page that says nothing changes nothing', async ({ tab, site, newTab }) => {
    site.put('/health', { status: 'the site’s own' });
    await serveIn(tab, site, { nativeRoutes: true });
    const second = await newTab();
    await open(second, site);
    await serve(second);
    for (const each of [tab, second]) {
      expect(await workers(each)).toEqual(OURS);
      expect((await fetchIn(each, '/health')).json).toEqual({ status: 'ok' });
      expect((await fetchIn(each, '/health', undefined, 'server')).json).toEqual({ status: 'ok' });
    }
  });

  test('a page that asks for isolation keeps it when another one does not ask', async ({ tab, site, newTab }) => {
    putIsolatingPage(site);
    await tab.goto(`${site.url}page.html`);
    await tab.waitForFunction(() => 'server' in globalThis);
    const second = await newTab();
    await open(second, site);
    await serve(second);
    await tab.reload();
    expect(await tab.evaluate(() => crossOriginIsolated)).toBe(true);
    expect(await workers(tab)).toEqual(OURS);
  });

  test('a page that says otherwise is told', async ({ tab, site, newTab }) => {
    await serveIn(tab, site, { nativeRoutes: true });
    const second = await newTab();
    await open(second, site);
    expect(await serve(second, { nativeRoutes: false })).toEqual([
      expect.stringContaining('serve({ nativeRoutes: false }), and another page of the site said true'),
    ]);
    expect(await workers(second)).toEqual(OURS);
  });
});

test.describe('a service worker of the site’s own', () => {
  /** It takes over at once, as most do. */
  const OWN = `
    self.addEventListener('install', () => self.skipWaiting());
    self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
    self.addEventListener('message', () => {});`;

  const register = (tab: Tab) =>
    tab.evaluate(async () => {
      const controlled = new Promise((resolve) => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
      });
      await navigator.serviceWorker.register('/own-sw.js');
      await controlled;
    });
  const interception = (tab: Tab) =>
    tab.evaluate(() => [server.status.intercepts, server.status.interceptsNot ?? null] as const);

  test('is not displaced: serve() says so, and server.fetch works in every tab', async ({ tab, site, newTab }) => {
    site.put('/own-sw.js', OWN);
    await open(tab, site);
    await register(tab);
    const second = await newTab();
    for (const each of [tab, second]) {
      await serveIn(each, site);
      expect(await interception(each)).toEqual([
        false,
        expect.stringMatching(/own-sw\.js.*importScripts.*server\.fetch/),
      ]);
      expect(await chat(each, question, 'server')).toHaveLength(8);
      expect(await workers(each)).toEqual(['/own-sw.js', null, null]);
    }
  });

  test('that imports ours answers as ours does, for all tabs with one engine', async ({ tab, site, newTab }) => {
    site.put('/own-sw.js', `importScripts('./llamatab-sw.js');${OWN}`);
    await open(tab, site);
    await register(tab);
    const second = await newTab();
    for (const each of [tab, second]) {
      await serveIn(each, site);
      expect(await interception(each)).toEqual([true, null]);
      expect(await chat(each, question)).toHaveLength(8);
      expect(await workers(each)).toEqual(['/own-sw.js', null, null]);
    }
    expect(await second.evaluate(() => server.status.role)).toBe('guest');

    // A new version of it, which is the site's to register.
    site.put('/own-sw.js', `importScripts('./llamatab-sw.js');${OWN}// A new version.`);
    await second.evaluate(async () => {
      const changed = new Promise((resolve) => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
      });
      await (await navigator.serviceWorker.ready).update();
      await changed;
    });
    for (const each of [tab, second]) {
      expect(await chat(each, question)).toHaveLength(8);
      expect(await interception(each)).toEqual([true, null]);
      expect(await workers(each)).toEqual(['/own-sw.js', null, null]);
    }
  });

  test('that is registered after ours shows in the status', async ({ tab, site }) => {
    site.put('/own-sw.js', OWN);
    await serveIn(tab, site);
    expect(await interception(tab)).toEqual([true, null]);
    // Its copies for offline visits are made, so that nothing but this page may keep it busy.
    await chat(tab, question);
    await untilKept(tab, site);
    await register(tab);
    await expect.poll(() => interception(tab)).toEqual([false, expect.stringMatching(/displaced.*own-sw\.js/)]);
    expect(await chat(tab, question, 'server')).toHaveLength(8);
  });
});
