/** What the site's owner deploys is what visitors get, whatever is cached, and whatever stays open. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { chat, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { path } from './support/paths.ts';
import type { SiteServer } from './support/site-server.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** Paths, with queries, of what the service worker keeps. */
const kept = (page: Page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('llamatab/files'));
    const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return lists.flat().map(({ url }) => url.replace(location.origin, ''));
  });

/**
 * Puts another version of the library and the engine worker in place of the built one, as an update of llamatab does: the worker's
 * chunks have other names, those of the last version are gone, and every cache may keep everything for a year.
 */
function deploy(site: SiteServer, version: number): void {
  const folder = path('dist/site/llamatab');
  const send = (pathname: string, content: string, caching = 'max-age=31536000') =>
    site.route(pathname, (_, response) => {
      response.setHeader('Content-Type', pathname.endsWith('.html') ? 'text/html' : 'text/javascript');
      response.setHeader('Cache-Control', caching);
      response.end(content);
    });
  const gone = (pathname: string) => site.route(pathname, (_, response) => void response.writeHead(404).end());

  const renamed = (text: string) => text.replaceAll(/\bbuild(-[\w-]+)?\.js/g, `build-of-${version}.js`);
  for (const name of readdirSync(folder).filter((name) => /^build.*\.js$/.test(name))) {
    send(`/llamatab/build-of-${version}.js`, readFileSync(`${folder}/${name}`, 'utf8'));
  }
  gone(`/llamatab/build-of-${version - 1}.js`);
  send('/llamatab/worker.js', renamed(readFileSync(`${folder}/worker.js`, 'utf8')));
  const library = readFileSync(path('dist/lib/index.js'), 'utf8');
  send(`/lib/of-${version}.js`, library.replace(/("worker\.js":\s*")\w+/, `$1${version}`));
  // Pages are revalidated, or nothing ever changes.
  const html = readFileSync(path('test/pages/app.html'), 'utf8').replace('/lib/index.js', `/lib/of-${version}.js`);
  send('/test/app.html', html, 'no-cache');
}

test('with a year of caching for everything, each deploy’s page gets its own deploy’s worker', async ({
  page,
  site,
}) => {
  for (const version of [1, 2, 3]) {
    deploy(site, version);
    await serveIn(page, site);
    expect(await chat(page, question)).toHaveLength(8);
    const chunks = site.requests.filter((path) => path.includes('build-of-'));
    expect(chunks.at(-1)).toBe(`/llamatab/build-of-${version}.js`);
  }
});

test('a tab that stays open learns of another catalog, and so do the tabs that join it', async ({
  page,
  site,
  context,
}) => {
  await serveIn(page, site);
  await chat(page, question);
  putTinyModels(site, { newer: { seed: 5 } });
  const listed = async (tab: Page) => (await fetchIn(tab, '/v1/models')).json.data.map(({ id }: { id: string }) => id);
  await expect.poll(() => listed(page)).toEqual(['newer']);
  const second = await context.newPage();
  await serveIn(second, site, { model: 'newer' });
  await second.evaluate(() => server.models.load('newer'));
  expect(await second.evaluate(() => server.status.role)).toBe('guest');
});

test('what is kept for offline visits is what the site needs, and no more', async ({ page, site }) => {
  const send = (pathname: string, type: string, body: string, caching: string) =>
    site.route(pathname, (_, response) => {
      response.setHeader('Content-Type', type);
      response.setHeader('Cache-Control', caching);
      response.end(body);
    });
  send('/picture.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'max-age=60');
  send('/account.html', 'text/html', 'for you alone', 'no-store');
  send('/inbox.html', 'text/html', 'for you alone', 'private, max-age=60');
  await serveIn(page, site);

  const loaded = await page.evaluate(async () => {
    const load = (src: string) =>
      new Promise<string>((resolve) => {
        const image = new Image();
        image.onload = () => resolve('loaded');
        image.onerror = () => resolve('failed');
        image.src = src;
      });
    await load('/picture.svg');
    return Promise.all(Array.from({ length: 20 }, (_, i) => load(`/picture.svg?t=${i}`)));
  });
  expect(new Set(loaded)).toEqual(new Set(['loaded']));
  for (const name of ['account.html', 'inbox.html']) await page.goto(`${site.url}${name}`);
  await serveIn(page, site);
  await expect.poll(() => kept(page)).toContain('/picture.svg');
  await expect.poll(() => kept(page)).toContain('/test/app.html');
  const files = await kept(page);
  expect(files.filter((file) => /\?t=|account|inbox/.test(file))).toEqual([]);
});

test('what a deploy no longer lists is no longer kept', async ({ page, site }) => {
  for (const name of ['one.js', 'two.js', 'both.js']) site.put(`/${name}`, `'${name}'`);
  site.put('/llamatab/files.json', ['one.js', 'both.js']);
  await serveIn(page, site);
  await expect.poll(() => kept(page)).toEqual(expect.arrayContaining(['/one.js', '/both.js']));
  site.put('/llamatab/files.json', ['two.js', 'both.js']);
  await serveIn(page, site);
  await expect.poll(() => kept(page)).toEqual(expect.arrayContaining(['/two.js', '/both.js']));
  expect(await kept(page)).not.toContain('/one.js');
});

test('of other files, a bounded number is kept', async ({ page, site }) => {
  await serveIn(page, site);
  const asked = 230;
  for (let i = 0; i < asked; i++) site.put(`/scripts/${i}.js`, '0');
  await page.evaluate(async (asked) => {
    for (let i = 0; i < asked; i++) await import(`/scripts/${i}.js`);
  }, asked);
  await expect.poll(() => kept(page)).toContain(`/scripts/${asked - 1}.js`);
  await expect
    .poll(async () => (await kept(page)).filter((file) => file.startsWith('/scripts/')).length)
    .toBeLessThan(201);
  expect(await kept(page)).not.toContain('/scripts/0.js');
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

  test('serves a chat through two deploys, and no tab that stays open notices', async ({ page, site, context }) => {
    site.mount('/app/');
    site.put(
      '/own-sw.js',
      `importScripts('./llamatab-sw.js');
      self.addEventListener('install', () => self.skipWaiting());
      self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));`,
    );
    const open = async (tab: Page) => {
      await tab.goto(`${site.url}app/test/app.html`);
      await tab.waitForFunction(() => 'llamatab' in globalThis);
      await tab.evaluate(async () => {
        await navigator.serviceWorker.register('/app/own-sw.js');
        await navigator.serviceWorker.ready;
        globalThis.server = await llamatab.serve({ base: '/app/' });
      });
    };
    const answer = async (tab: Page) => (await fetchIn(tab, '/app/v1/chat/completions', question)).status;

    deploy(site, 1);
    await open(page);
    const waiting = await context.newPage();
    await open(waiting);
    expect([await answer(page), await answer(waiting)]).toEqual([200, 200]);

    for (const version of [2, 3]) {
      deploy(site, version);
      expect(await answer(waiting)).toBe(200);
      const newer = await context.newPage();
      await open(newer);
      expect(await answer(newer)).toBe(200);
      // The tab that hosts goes. Of those that wait, the ones of an earlier deploy can't load an engine any more.
      await page.close();
      expect([await answer(newer), await answer(waiting)]).toEqual([200, 200]);
      page = newer;
    }
  });
});
