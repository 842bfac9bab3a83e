/** After one visit everything is on the device: no byte of a model is fetched twice, and no network is needed. */
import { chat, ENGINE_WASM, expect, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('a second visit fetches no weights', async ({ page, site }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  site.requests.length = 0;
  await page.reload();
  await page.waitForFunction(() => 'llamatab' in globalThis);
  await page.evaluate(async () => {
    globalThis.server = await llamatab.serve();
  });
  expect(await chat(page, question)).toBe(expected);
  expect(site.requests.filter((path) => path.includes('.gguf'))).toEqual([]);
});

test('with the host gone, a page of the site opens and answers', async ({ page, site, context }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  // What the service worker keeps, it keeps in the background.
  await expect
    .poll(() => page.evaluate(async (wasm) => (await caches.match(wasm)) !== undefined, ENGINE_WASM))
    .toBe(true);
  await page.reload();
  await page.waitForFunction(() => 'llamatab' in globalThis);
  await page.close();

  await site.goOffline();
  const offline = await context.newPage();
  await offline.goto(`${site.url}test/app.html`);
  await offline.waitForFunction(() => 'llamatab' in globalThis);
  await offline.evaluate(async () => {
    globalThis.server = await llamatab.serve();
  });
  expect(await chat(offline, question)).toBe(expected);
});
