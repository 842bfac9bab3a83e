/** What the site's owner deploys is what visitors get, and what tabs that stay open get next. */
import { deploy, lastOf } from '../support/deploys.ts';
import type { Tab } from '../support/engines/tab.ts';
import { expect, test } from '../support/everywhere.ts';
import { chat, fetchIn, serveIn, user } from '../support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('with a year of caching for everything, each deploy’s visitor gets its worker', async ({ tab, site }) => {
  for (const version of [1, 2, 3]) {
    deploy(site, version);
    await serveIn(tab, site);
    expect(await chat(tab, question)).toHaveLength(8);
    expect(lastOf(site)).toBe(`/llamatab/build-of-${version}.js`);
  }
});

test('a tab that waited through a deploy runs the engine of the new one', async ({ tab, site, newTab }) => {
  deploy(site, 1);
  await serveIn(tab, site);
  const waiting = await newTab();
  await serveIn(waiting, site);
  deploy(site, 2);
  await tab.close();
  expect(await chat(waiting, question)).toHaveLength(8);
  expect(await chat(waiting, question, 'server')).toHaveLength(8);
  expect(lastOf(site)).toBe('/llamatab/build-of-2.js');
});

test.describe('a real site: a folder, a service worker of its own, a strict policy, a year of caching', () => {
  const policy =
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; ";
  test.use({
    siteOptions: {
      models: 'tiny',
      headers: { 'Content-Security-Policy': `${policy}connect-src 'self' blob:` },
    },
  });

  test('serves a chat through two deploys, and no tab that stays open notices', async ({ tab, site, newTab }) => {
    site.mount('/app/');
    site.put(
      '/own-sw.js',
      `importScripts('./llamatab-sw.js');
      self.addEventListener('install', () => self.skipWaiting());
      self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));`,
    );
    const open = async (tab: Tab) => {
      await tab.goto(`${site.url}app/test/app.html`);
      await tab.waitForFunction(() => 'llamatab' in globalThis);
      await tab.evaluate(async () => {
        await navigator.serviceWorker.register('/app/own-sw.js');
        await navigator.serviceWorker.ready;
        globalThis.server = await llamatab.serve({ base: '/app/' });
      });
    };
    const answer = async (tab: Tab) => (await fetchIn(tab, '/app/v1/chat/completions', question)).status;

    deploy(site, 1);
    await open(tab);
    const waiting = await newTab();
    await open(waiting);
    expect([await answer(tab), await answer(waiting)]).toEqual([200, 200]);

    let host = tab;
    for (const version of [2, 3]) {
      deploy(site, version);
      expect(await answer(waiting)).toBe(200);
      const newer = await newTab();
      await open(newer);
      expect(await answer(newer)).toBe(200);
      // The tab that hosts goes. Of those that wait, the ones of an earlier deploy can't load an engine any more.
      await host.close();
      expect([await answer(newer), await answer(waiting)]).toEqual([200, 200]);
      host = newer;
    }
  });
});
