/** A hard reload, which keeps the service worker out: `serve()` has it take control again. */
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('after a hard reload, which keeps the service worker out', async ({ page, site }) => {
  await serveIn(page, site);
  await page.evaluate(() => server.models.load());
  const session = await page.context().newCDPSession(page);
  const loaded = page.waitForEvent('load');
  await session.send('Page.reload', { ignoreCache: true });
  await loaded;
  await page.waitForFunction(() => 'llamatab' in globalThis);
  expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBeNull();
  await page.evaluate(async () => {
    globalThis.server = await llamatab.serve();
  });
  expect(await chat(page, question, 'server')).toHaveLength(8);
  expect(await page.evaluate(() => server.status.intercepts)).toBe(true);
  expect(await chat(page, question)).toHaveLength(8);
});
