/** Several sites share one origin, as the project pages of one account do. Each has its own engine, models and settings. */
import type { ServeOptions } from '../../src/index.ts';
import type { Tab } from '../support/engines/tab.ts';
import { expect, test } from '../support/everywhere.ts';
import { chat, fetchIn, putTinyModels, user } from '../support/fixtures.ts';
import type { SiteServer } from '../support/site-server.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** A site below the root of the origin, with one model of its own. */
function putSite(site: SiteServer, base: string, model: string, seed: number): void {
  site.mount(base);
  putTinyModels(site, { [model]: { seed } }, base);
}

async function serveAt(tab: Tab, site: SiteServer, base: string, options: ServeOptions = {}): Promise<void> {
  await tab.goto(new URL(`${base}test/app.html`, site.url).href);
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  await tab.evaluate(
    async (options) => {
      globalThis.server = await llamatab.serve(options);
    },
    { base, ...options },
  );
}

const modelsOf = async (tab: Tab, base: string, via?: 'server') =>
  (await fetchIn(tab, `${base}v1/models`, undefined, via)).json.data.map(({ id }: { id: string }) => id);
const role = (tab: Tab) => tab.evaluate(() => server.status.role);
const status = async (tab: Tab, path: string, body?: object) => (await fetchIn(tab, path, body)).status;

test('two folders of an origin are two sites', async ({ tab, site, newTab }) => {
  putSite(site, '/a/', 'alpha', 3);
  putSite(site, '/b/', 'beta', 4);
  await serveAt(tab, site, '/a/', { apiKey: 'secret', aliases: { gpt: 'alpha' } });
  const second = await newTab();
  await serveAt(second, site, '/b/');

  expect([await role(tab), await role(second)]).toEqual(['host', 'host']);
  expect(await modelsOf(second, '/b/')).toEqual(['beta']);
  expect(await modelsOf(second, '/b/', 'server')).toEqual(['beta']);
  expect(await modelsOf(tab, '/a/')).toEqual(['alpha']);
  // No key is asked for, and no alias known, but the site's own.
  const { json } = await fetchIn(second, '/b/v1/chat/completions', { model: 'beta', ...question });
  expect(json.model).toBe('beta');
  expect(await status(second, '/b/v1/chat/completions', { model: 'gpt', ...question })).toBe(404);
  expect(await status(tab, '/a/v1/chat/completions', question)).toBe(401);

  // The last page of a site takes its engine with it: another site's is no replacement.
  const other = await newTab();
  await other.goto(`${site.url}b/test/plain.html`);
  await second.close();
  expect(await status(other, '/b/v1/chat/completions', question)).toBe(503);
  expect(await role(tab)).toBe('host');
});

test('a second tab of a site joins its own site’s engine', async ({ tab, site, newTab }) => {
  putSite(site, '/a/', 'alpha', 3);
  putSite(site, '/b/', 'beta', 4);
  await serveAt(tab, site, '/a/');
  const second = await newTab();
  await serveAt(second, site, '/b/');
  const third = await newTab();
  await serveAt(third, site, '/b/');
  expect(await role(third)).toBe('guest');
  expect(await modelsOf(third, '/b/')).toEqual(['beta']);
  await second.close();
  expect(await modelsOf(third, '/b/')).toEqual(['beta']);
  await expect.poll(() => role(third)).toBe('host');
});

test('a site inside another’s folder is a site of its own', async ({ tab, site, newTab }) => {
  putSite(site, '/b/', 'beta', 4);
  await serveAt(tab, site, '/');
  const second = await newTab();
  await serveAt(second, site, '/b/');
  expect([await role(tab), await role(second)]).toEqual(['host', 'host']);
  expect(await modelsOf(tab, '/')).toEqual(['tiny', 'tiny-2']);
  expect(await modelsOf(second, '/b/')).toEqual(['beta']);
  // Each answers for its own folder: what lies beside it, or in the other's, is for the origin's host.
  expect(await status(second, '/v1/models')).toBe(404);
  expect(await status(tab, '/b/v1/models')).toBe(404);
  expect(await chat(tab, question)).toHaveLength(8);
});

test('beside a site that is a folder, the origin’s own paths are left alone', async ({ tab, site }) => {
  putSite(site, '/a/', 'alpha', 3);
  for (const path of ['/models', '/health', '/v1/models']) site.put(path, { from: 'the origin' });
  await serveAt(tab, site, '/a/', { nativeRoutes: true });
  for (const path of ['/models', '/health', '/v1/models']) {
    expect((await fetchIn(tab, path)).json).toEqual({ from: 'the origin' });
    expect((await fetchIn(tab, path, undefined, 'server')).json).toEqual({ from: 'the origin' });
  }
  expect((await fetchIn(tab, '/a/health')).json).toEqual({ status: 'ok' });
});

test('models that two sites share are fetched once, and outlive their deletion by one of them', async ({
  tab,
  site,
  newTab,
}) => {
  putSite(site, '/a/', 'alpha', 3);
  putSite(site, '/b/', 'beta', 3);
  await serveAt(tab, site, '/a/');
  await tab.evaluate(() => server.models.download('alpha'));
  const second = await newTab();
  await serveAt(second, site, '/b/', { preload: false });
  const weights = () => site.requests.filter((path) => path.includes('.gguf')).length;
  const fetched = weights();
  await second.evaluate(() => server.models.download('beta'));
  await tab.evaluate(() => server.models.remove('alpha'));
  expect(await second.evaluate(() => server.models.verify('beta'))).toMatchObject({ ok: true });
  await second.evaluate(() => server.models.load('beta'));
  expect(weights()).toBe(fetched);
});

test('a page that another site’s service worker controls is told so, and served by server.fetch', async ({
  tab,
  site,
}) => {
  putSite(site, '/b/', 'beta', 4);
  await serveAt(tab, site, '/b/');
  await tab.evaluate(async () => {
    await server.stop();
    globalThis.server = await llamatab.serve({ base: '/' });
  });
  const { intercepts, interceptsNot } = await tab.evaluate(() => server.status);
  expect([intercepts, interceptsNot]).toEqual([false, expect.stringContaining('/b/llamatab-sw.js')]);
  expect(await modelsOf(tab, '/', 'server')).toEqual(['tiny', 'tiny-2']);
});
