/** `serve({ isolate: true })` on a host that sends no headers: the page is isolated, and the engine runs in it all the same. */
import type { Tab } from '../support/engines/tab.ts';
import { expect, putIsolatingPage, test } from '../support/everywhere.ts';
import { chat, serveIn, user } from '../support/fixtures.ts';
import type { SiteServer } from '../support/site-server.ts';
import { lacks } from './gaps.ts';

const question = { messages: user('hello'), max_tokens: 8 };
const threads = (tab: Tab) =>
  tab.evaluate(async () => {
    await server.models.load();
    return (await server.models.list()).find((model) => model.default)?.runtime?.threads;
  });

test.use({ siteOptions: { models: 'tiny', isolated: false } });

const loads = (site: SiteServer) => site.requests.filter((path) => path === '/page.html').length;

test('without it, one thread answers', async ({ tab, site }) => {
  await serveIn(tab, site, { engine: { threads: 2 } });
  expect(await tab.evaluate(() => [globalThis.crossOriginIsolated, server.status.isolated])).toEqual([false, false]);
  expect(await chat(tab, question)).toHaveLength(8);
  expect(await threads(tab)).toBe(1);
});

test('the page reloads itself until it is isolated, and then two threads answer', async ({ tab, site, engine }) => {
  putIsolatingPage(site);
  await tab.goto(`${site.url}page.html`);
  await tab.waitForFunction(() => 'server' in globalThis);
  expect(await tab.evaluate(() => [globalThis.crossOriginIsolated, server.status.isolated])).toEqual([true, true]);
  expect(await tab.evaluate(() => server.status.intercepts)).toBe(true);
  // Once; and once more where the first headers were none that the browser knows.
  expect(loads(site)).toBeLessThanOrEqual(3);
  expect(await chat(tab, question)).toHaveLength(8);
  expect(await threads(tab)).toBe(lacks(engine, 'shared memory') ? 1 : 2);
});

test('what isolates is known from then on; pages and images of the site go on working', async ({
  tab,
  site,
  newTab,
}) => {
  putIsolatingPage(site);
  site.route('/icon.svg', (_, response) => {
    response.setHeader('Content-Type', 'image/svg+xml');
    response.end('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
  });
  await tab.goto(`${site.url}page.html`);
  await tab.waitForFunction(() => 'server' in globalThis);
  const before = loads(site);
  const second = await newTab();
  await second.goto(`${site.url}page.html`);
  await second.waitForFunction(() => 'server' in globalThis);
  expect(await second.evaluate(() => [globalThis.crossOriginIsolated, server.status.role])).toEqual([true, 'guest']);
  expect(loads(site)).toBe(before + 1);
  const loaded = await second.evaluate(async () => {
    const image = new Image();
    image.src = '/icon.svg';
    const frame = document.createElement('iframe');
    frame.src = '/test/plain.html';
    const events = [image, frame].map((element) => new Promise((resolve) => element.addEventListener('load', resolve)));
    document.body.append(image, frame);
    await Promise.all(events);
    return [image.naturalWidth, frame.contentDocument?.title];
  });
  expect(loaded).toEqual([8, 'A page of the site that knows nothing of llamatab']);
});
