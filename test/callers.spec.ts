/** A hard reload, which keeps the service worker out: `serve()` has it take control again. */
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

for (const lost of [0, 1]) {
  test(`after a hard reload, which keeps the service worker out${lost > 0 ? ', also where it loses the first message' : ''}`, async ({
    page,
    site,
  }) => {
    await serveIn(page, site);
    await page.evaluate(() => server.models.load());
    const session = await page.context().newCDPSession(page);
    const loaded = page.waitForEvent('load');
    await session.send('Page.reload', { ignoreCache: true });
    await loaded;
    await page.waitForFunction(() => 'llamatab' in globalThis);
    expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBeNull();
    await page.evaluate(async (lost) => {
      const { postMessage } = ServiceWorker.prototype;
      let claims = 0;
      ServiceWorker.prototype.postMessage = function (message: { type: string }, options: never) {
        if (message.type !== 'claim' || claims++ >= lost) postMessage.call(this, message, options);
      };
      globalThis.server = await llamatab.serve();
    }, lost);
    expect(await chat(page, question, 'server')).toHaveLength(8);
    expect(await page.evaluate(() => server.status.intercepts)).toBe(true);
    expect(await chat(page, question)).toHaveLength(8);
  });
}
