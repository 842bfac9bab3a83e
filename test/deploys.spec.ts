/** What the site's owner deploys is what visitors get, whatever is cached, and whatever stays open. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { RuntimeManifest } from '../src/protocol.ts';
import { chat, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { path, readManifest } from './support/paths.ts';
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
 * Puts another version of the engine's files in place of the built ones, as an update of llamatab does: they have other names, those of
 * the last version are gone, and every cache may keep everything for a year.
 */
function deploy(site: SiteServer, version: number, change: Partial<RuntimeManifest> = {}): void {
  const built = readManifest();
  const send = (pathname: string, type: string, content: string | Uint8Array) =>
    site.route(pathname, (_, response) => {
      response.setHeader('Content-Type', type);
      response.setHeader('Cache-Control', 'max-age=31536000');
      response.end(content);
    });
  const gone = (name: string) => site.route(`/llamatab/${name}`, (_, response) => void response.writeHead(404).end());
  const nameIn = (version: number, name: string) => name.replace(/-[\w-]{8}(\.\w+)$/, `-of-${version}$1`);

  const files = Object.entries(built.files);
  const renamed = (text: string) =>
    files.reduce((text, [, file]) => text.replaceAll(`./${file}`, `./${nameIn(version, file)}`), text);
  for (const [, file] of files) {
    gone(file);
    gone(nameIn(version - 1, file));
    const content = readFileSync(path(`dist/site/llamatab/${file}`));
    const name = `/llamatab/${nameIn(version, file)}`;
    if (file.endsWith('.wasm')) send(name, 'application/wasm', content);
    else send(name, 'text/javascript', renamed(content.toString()));
  }
  const manifest = {
    ...built,
    files: Object.fromEntries(files.map(([name, file]) => [name, nameIn(version, file)])),
    ...change,
  };
  send('/llamatab/manifest.json', 'application/json', JSON.stringify(manifest));
}

/** Of the engine's code, the version that was asked for last. */
const lastOf = (site: SiteServer) => site.requests.filter((path) => /\/(build|worker).*-of-/.test(path)).at(-1);

test('with a year of caching for everything, each deploy’s visitor gets its worker', async ({ page, site }) => {
  for (const version of [1, 2, 3]) {
    deploy(site, version);
    await serveIn(page, site);
    expect(await chat(page, question)).toHaveLength(8);
    expect(lastOf(site)).toBe(`/llamatab/build-of-${version}.js`);
  }
});

test('a tab that waited through a deploy runs the engine of the new one', async ({ page, site, context }) => {
  deploy(site, 1);
  await serveIn(page, site);
  const waiting = await context.newPage();
  await serveIn(waiting, site);
  deploy(site, 2);
  await page.close();
  expect(await chat(waiting, question)).toHaveLength(8);
  expect(await chat(waiting, question, 'server')).toHaveLength(8);
  expect(lastOf(site)).toBe('/llamatab/build-of-2.js');
});

test('a tab that can’t run the engine of a new deploy says at once to reload it', async ({ page, site, context }) => {
  deploy(site, 1);
  await serveIn(page, site);
  await chat(page, question);
  const waiting = await context.newPage();
  await serveIn(waiting, site);
  deploy(site, 2, { protocol: readManifest().protocol + 1, version: '9.9.9' });
  expect(await chat(waiting, question)).toHaveLength(8);
  await page.close();
  const reload = {
    type: 'unavailable_error',
    reload: true,
    message: expect.stringMatching(/9\.9\.9.*deployed anew.*Reload the page\.$/),
  };
  // Of a service worker that waits for a host, and gives up after half a minute, and of the page itself.
  test.setTimeout(25_000);
  for (const via of ['service-worker', 'server'] as const) {
    const { status, json } = await fetchIn(waiting, '/v1/chat/completions', question, via);
    expect([status, json.error]).toEqual([503, expect.objectContaining(reload)]);
  }
  expect(await waiting.evaluate(() => server.status.reload)).toEqual(reload.message);
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
