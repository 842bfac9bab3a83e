/** What the site's owner deploys is what visitors get, whatever is cached, and whatever stays open. */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Page } from '@playwright/test';
import { deploy, lastOf } from './support/deploys.ts';
import { chat, expect, fetchIn, KERNELS, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { path, readManifest } from './support/paths.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** Paths, with queries, of what the service worker keeps. */
const kept = (page: Page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('llamatab/files'));
    const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return lists.flat().map(({ url }) => url.replace(location.origin, ''));
  });

test('a tab that stays open loads another model, though its files are gone from the host', async ({ page, site }) => {
  const loaded = (file: string) => page.evaluate(async (file) => (await caches.match(file)) !== undefined, file);
  const wasm = `/llamatab/wllama-${KERNELS ? 'relaxed-' : ''}of-1.wasm`;
  deploy(site, 1, {}, 'no-cache');
  await serveIn(page, site);
  await chat(page, question);
  await expect.poll(() => loaded(wasm)).toBe(true);
  deploy(site, 2, {}, 'no-cache');
  // From the copy for offline use.
  expect(await chat(page, { ...question, model: 'tiny-2' })).toHaveLength(8);
  expect(lastOf(site)).toBe('/llamatab/build-of-1.js');

  await page.evaluate(async (file) => {
    for (const name of await caches.keys()) await (await caches.open(name)).delete(file);
  }, wasm);
  await page.evaluate(() => server.models.unload('tiny'));
  const { status, json } = await fetchIn(page, '/v1/chat/completions', { ...question, model: 'tiny' });
  expect([status, json.error]).toEqual([503, expect.objectContaining({ reload: true })]);
  // By the engine of the new deploy.
  await expect.poll(async () => (await fetchIn(page, '/v1/chat/completions', question)).status).toBe(200);
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

test('a page waits for its version of the service worker, where an earlier one is active', async ({ page, site }) => {
  // It answers what an earlier version would, and finds no host of this one.
  const EARLIER = `
    self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
    self.addEventListener('fetch', (event) => {
      if (event.request.url.includes('/v1/')) event.respondWith(new Response('no host', { status: 503 }));
    });
    self.addEventListener('message', ({ data }) => {
      if (data.type === 'configure') data.port.postMessage({ options: {}, replaced: [] });
      if (data.type === 'when-idle') data.port.postMessage('idle');
    });`;
  const answers: ServerResponse[] = [];
  const send = (response: ServerResponse, script: string) => {
    response.setHeader('Content-Type', 'text/javascript');
    response.end(script);
  };
  site.route('/llamatab-sw.js', (_, response) => {
    if (answers.push(response) === 1) send(response, EARLIER);
  });
  await page.goto(`${site.url}test/app.html`);
  await page.evaluate(async () => {
    const controlled = new Promise((resolve) => {
      navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
    });
    await navigator.serviceWorker.register('/llamatab-sw.js', { updateViaCache: 'none' });
    await controlled;
  });
  const served = serveIn(page, site);
  await expect.poll(() => answers.length).toBeGreaterThan(1);
  const current = readFileSync(path('dist/site/llamatab-sw.js'), 'utf8');
  site.route('/llamatab-sw.js', (_, response) => send(response, current));
  for (const response of answers.slice(1)) send(response, current);
  await served;
  expect(await chat(page, question)).toHaveLength(8);
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

test.describe('after a deploy with other options, all tabs get what the new one says', () => {
  const modelOf = async (tab: Page, model: string) => {
    const { status, json } = await fetchIn(tab, '/v1/chat/completions', { ...question, model });
    return status === 200 ? json.model : status;
  };

  test('of names at once, from the engine that an old tab runs', async ({ page, site, context }) => {
    await serveIn(page, site, { model: 'tiny', aliases: { before: 'tiny', both: 'tiny' } });
    expect(await modelOf(page, 'local')).toBe('tiny');
    const newer = await context.newPage();
    await serveIn(newer, site, { model: 'tiny-2', aliases: { after: 'tiny', both: 'tiny-2' } });
    expect(await page.evaluate(() => server.status.role)).toBe('host');
    for (const tab of [newer, page]) {
      const models = ['local', 'after', 'both', 'before'].map((model) => modelOf(tab, model));
      expect(await Promise.all(models)).toEqual(['tiny-2', 'tiny', 'tiny-2', 404]);
    }
    // One that waited longer than the new one is elected, and goes by it too.
    const third = await context.newPage();
    await serveIn(third, site, { model: 'tiny', aliases: { third: 'tiny' } });
    await page.close();
    expect(await modelOf(newer, 'third')).toBe('tiny');
    expect(await newer.evaluate(() => server.status.role)).toBe('host');
  });

  test('of the engine itself, from a new one, once the old one is idle', async ({ page, site, context }) => {
    deploy(site, 1);
    await serveIn(page, site, { engine: { contextSize: 128 } });
    await chat(page, question);
    const contextOf = (tab: Page) =>
      tab.evaluate(async () => (await server.models.list()).find((model) => model.default)?.runtime?.contextSize);
    expect(await contextOf(page)).toBe(128);
    deploy(site, 2);
    const newer = await context.newPage();
    await serveIn(newer, site, { engine: { contextSize: 64 } });
    for (const tab of [newer, page]) {
      expect(await chat(tab, question)).toHaveLength(8);
      expect(await contextOf(tab)).toBe(64);
    }
    expect(lastOf(site)).toBe('/llamatab/build-of-2.js');
  });
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

test('of an update of llamatab, the last version is no longer kept', async ({ page, site }) => {
  const ofVersion = async (version: number) => (await kept(page)).filter((file) => file.includes(`-of-${version}.`));
  deploy(site, 1);
  await serveIn(page, site);
  await chat(page, question);
  await expect.poll(() => ofVersion(1)).toContainEqual(expect.stringContaining('.wasm'));
  deploy(site, 2);
  await serveIn(page, site);
  await chat(page, question);
  await expect.poll(() => ofVersion(2)).toContainEqual(expect.stringContaining('.wasm'));
  await expect.poll(() => ofVersion(1)).toEqual([]);
});

test('of other files, as many bytes are kept as the site says; nothing, if it says so', async ({ page, site }) => {
  const script = `'${'x'.repeat(10_000)}'`;
  for (let i = 0; i < 20; i++) site.put(`/scripts/${i}.js`, script);
  site.put('/llamatab/files.json', { files: [], otherBytes: 50_000 });
  await serveIn(page, site);
  await expect.poll(() => kept(page)).toContain('/llamatab/files.json');
  for (let i = 0; i < 20; i++) await page.evaluate((i) => import(`/scripts/${i}.js`), i);
  await expect.poll(() => kept(page)).toContain('/scripts/19.js');
  await expect.poll(async () => (await kept(page)).filter((file) => file.startsWith('/scripts/')).length).toBe(4);
  site.put('/llamatab/files.json', 'false');
  await serveIn(page, site);
  await expect.poll(() => kept(page)).toEqual(['/llamatab/files.json']);
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
