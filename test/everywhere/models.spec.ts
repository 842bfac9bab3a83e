/** Models that a visitor adds, from a server that misbehaves and from the disk: they come whole, once, and answer. */
import { test as base, expect } from '../support/everywhere.ts';
import { addFile, chat, serveIn, user } from '../support/fixtures.ts';
import { damagePart, type WeightsFixture, weightsFixture } from '../support/weights-fixture.ts';
import { tinyModel } from '../tiny-model/tiny-model.ts';

const test = base.extend<WeightsFixture>(weightsFixture);
const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const REMOTE = tinyModel({ seed: 7 });
const remote = { size: REMOTE.length, read: (start: number, end: number) => REMOTE.subarray(start, end) };

test('a download that is cut off goes on, and what came is not fetched again', async ({ tab, site }) => {
  const { models } = await (await fetch(`${site.url}models/catalog.json`)).json();
  const pieces: string[] = models[0].files[0].pieces.map(({ url }: { url: string }) => `/models/${url}`);
  const last = pieces.at(-1) as string;
  const bytes = new Uint8Array(await (await fetch(site.url + last.slice(1))).arrayBuffer());
  // It begins and falls silent; the others come meanwhile.
  site.route(last, (_, response) => void response.write(bytes.subarray(0, 1000)));
  await serveIn(tab, site);
  const missing = () =>
    tab.evaluate(async () => {
      const model = (await server.models.list()).find((model) => model.default);
      return model && model.size - model.files.loaded;
    });
  await expect.poll(missing).toBe(bytes.length);

  site.put(last, bytes);
  site.requests.length = 0;
  await serveIn(tab, site);
  expect(await chat(tab, question)).toHaveLength(8);
  expect(site.requests.filter((path) => path.includes('.gguf'))).toEqual([last]);
});

test('one from a URL and one from the disk answer, also after a reload, and offline', async ({
  tab,
  site,
  weights,
  newTab,
}) => {
  weights.put('remote.gguf', remote);
  await serveIn(tab, site);
  await tab.evaluate((url) => server.models.download(url), `${weights.url}remote.gguf`);
  expect(await addFile(tab, 'disk.gguf', tinyModel({ seed: 8 }))).toBe('disk');
  const ids = ['tiny', 'remote', 'disk'];
  const texts: string[] = [];
  for (const model of ids) texts.push(await chat(tab, { ...question, model }));
  expect(new Set(texts).size).toBe(3);
  // Loaded under the service worker's eyes, the page is kept too.
  await serveIn(tab, site);
  await tab.evaluate(() => server.models.load());
  await tab.close();

  await Promise.all([site.goOffline(), weights.close()]);
  const second = await newTab();
  await serveIn(second, site);
  for (const [i, model] of ids.entries()) expect(await chat(second, { ...question, model })).toBe(texts[i]);
  const kept = await second.evaluate(async () => (await server.models.list()).map(({ files }) => files.kept));
  expect(new Set(kept)).toEqual(new Set(['disk']));
});

test('damage on the disk is found, and mended by fetching only what is damaged', async ({ tab, site, weights }) => {
  weights.put('remote.gguf', remote);
  await serveIn(tab, site, { preload: false });
  await tab.evaluate((url) => server.models.download(url), `${weights.url}remote.gguf`);
  await damagePart(tab);
  expect((await tab.evaluate(() => server.models.verify('remote'))).ok).toBe(false);
  weights.served.length = 0;
  await tab.evaluate(() => server.models.repair('remote'));
  expect((await tab.evaluate(() => server.models.verify('remote'))).ok).toBe(true);
  expect(await chat(tab, { ...question, model: 'remote' })).toHaveLength(8);
});
