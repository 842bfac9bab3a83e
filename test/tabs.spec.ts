/** One engine for all tabs of the origin, which outlives the tab that started it. */
import type { Page } from '@playwright/test';
import { chat, ENGINE_WASM, expect, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const role = (page: Page) => page.evaluate(() => server.status.role);

test('a second tab is answered by the first one’s engine', async ({ page, site, context }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  const second = await context.newPage();
  await serveIn(second, site);
  const fetchedBefore = site.requests.filter((path) => path === ENGINE_WASM).length;

  expect(await role(page)).toBe('host');
  expect(await role(second)).toBe('guest');
  expect(await chat(second, question)).toBe(expected);
  expect(await chat(second, question, 'server')).toBe(expected);
  // Its model is the first tab's: loaded already, and no second engine fetched its wasm.
  expect(await second.evaluate(() => server.status.models.find((model) => model.default)?.state)).toBe('loaded');
  expect(site.requests.filter((path) => path === ENGINE_WASM)).toHaveLength(fetchedBefore);
});

for (const via of ['service-worker', 'server'] as const) {
  test(`when the first tab closes, the second takes over (${via})`, async ({ page, site, context }) => {
    await serveIn(page, site);
    const expected = await chat(page, question);
    const second = await context.newPage();
    await serveIn(second, site);
    await page.close();
    expect(await chat(second, question, via)).toBe(expected);
    expect(await role(second)).toBe('host');
  });
}

test('a request that waits when its host dies is answered by the next', async ({ page, site, context }) => {
  // The first tab's model never comes: its catalog is held back.
  const catalog = await (await fetch(`${site.url}models/catalog.json`)).json();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let asked = 0;
  site.route('/models/catalog.json', async (_, response) => {
    asked++;
    await held;
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(catalog));
  });

  await serveIn(page, site);
  const second = await context.newPage();
  await serveIn(second, site);
  const answer = chat(second, question);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await page.close();
  release();
  expect(await answer).toHaveLength(8);
});

test('the engine goes to the next tab when a page is left, and comes back with it', async ({ page, site, context }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  const second = await context.newPage();
  await serveIn(second, site);
  await page.goto(`${site.url}test/plain.html`);
  await expect.poll(() => role(second)).toBe('host');
  expect(await chat(page, question)).toBe(expected);

  await page.goBack();
  if (await page.evaluate(() => 'server' in globalThis)) {
    // From the back/forward cache, as it was: a guest now.
    expect(await role(page)).toBe('guest');
    expect(await chat(page, question, 'server')).toBe(expected);
  }
});

test('stop() hands the engine on, and ends what it answered', async ({ page, site, context }) => {
  await serveIn(page, site);
  await chat(page, question);
  const second = await context.newPage();
  await serveIn(second, site);
  const afterStop = await page.evaluate(async () => {
    await server.stop();
    return server.fetch('/v1/models').then(
      () => 'answered',
      (error) => error.message,
    );
  });
  expect(afterStop).toContain('stopped');
  expect(await page.evaluate(() => server.status.state)).toBe('stopped');
  await expect.poll(() => role(second)).toBe('host');
  expect(await chat(second, question)).toHaveLength(8);
});

test('without a service worker each tab runs its own engine, and says why', async ({ page, site, context }) => {
  await serveIn(page, site, { serviceWorker: false });
  const second = await context.newPage();
  await serveIn(second, site, { serviceWorker: false });
  for (const tab of [page, second]) {
    expect(await chat(tab, question, 'server')).toHaveLength(8);
    expect(await role(tab)).toBe('host');
    expect(await tab.evaluate(() => [server.status.intercepts, server.status.interceptsNot])).toEqual([
      false,
      expect.stringContaining('server.fetch'),
    ]);
  }
});

test('a tab that lacks the API key of the host says so, and lists the models again as the next host', async ({
  page,
  site,
  context,
}) => {
  await serveIn(page, site, { apiKey: 'secret' });
  const second = await context.newPage();
  await serveIn(second, site);
  const modelsError = () => second.evaluate(() => server.status.modelsError);
  await expect.poll(modelsError).toBe('Invalid API Key');
  await page.evaluate(() => server.stop());
  await expect.poll(modelsError).toBe(null);
  expect(await role(second)).toBe('host');
  expect(await second.evaluate(() => server.status.models.length)).toBe(2);
});
