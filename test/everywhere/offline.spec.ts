/** After one visit everything is on the device: no byte of a model is fetched twice, and no network is needed. */
import { expect, test, untilKept } from '../support/everywhere.ts';
import { chat, serveIn, user } from '../support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('a second visit fetches no weights', async ({ tab, site }) => {
  await serveIn(tab, site);
  const expected = await chat(tab, question);
  site.requests.length = 0;
  await tab.reload();
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  await tab.evaluate(async () => {
    globalThis.server = await llamatab.serve();
  });
  expect(await chat(tab, question)).toBe(expected);
  expect(site.requests.filter((path) => path.includes('.gguf'))).toEqual([]);
});

test('with the host gone, a page of the site opens and answers', async ({ tab, site, newTab }) => {
  await serveIn(tab, site);
  const expected = await chat(tab, question);
  await untilKept(tab, site);
  await tab.reload();
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  await tab.close();

  await site.goOffline();
  const offline = await newTab();
  await offline.goto(`${site.url}test/app.html`);
  await offline.waitForFunction(() => 'llamatab' in globalThis);
  await offline.evaluate(async () => {
    globalThis.server = await llamatab.serve();
  });
  expect(await chat(offline, question)).toBe(expected);
});
