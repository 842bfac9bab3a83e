/** One engine for all tabs of the origin, which outlives the tab that started it. */
import type { Tab } from '../support/engines/tab.ts';
import { engineFiles, expect, test } from '../support/everywhere.ts';
import { chat, serveIn, user } from '../support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const role = (tab: Tab) => tab.evaluate(() => server.status.role);

test('a second tab is answered by the first one’s engine', async ({ tab, site, newTab }) => {
  await serveIn(tab, site);
  const expected = await chat(tab, question);
  const second = await newTab();
  await serveIn(second, site);
  site.requests.length = 0;

  expect(await role(tab)).toBe('host');
  expect(await role(second)).toBe('guest');
  expect(await chat(second, question)).toBe(expected);
  expect(await chat(second, question, 'server')).toBe(expected);
  // Its model is the first tab's: loaded already, and no second engine fetched its wasm.
  expect(await second.evaluate(() => server.status.models.find((model) => model.default)?.state)).toBe('loaded');
  expect(engineFiles(site)).toEqual([]);
});

for (const via of ['service-worker', 'server'] as const) {
  test(`when the first tab closes, the second takes over (${via})`, async ({ tab, site, newTab }) => {
    await serveIn(tab, site);
    const expected = await chat(tab, question);
    const second = await newTab();
    await serveIn(second, site);
    await tab.close();
    expect(await chat(second, question, via)).toBe(expected);
    expect(await role(second)).toBe('host');
  });
}

test('a request that waits when its host dies is answered by the next', async ({ tab, site, newTab }) => {
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

  await serveIn(tab, site);
  const second = await newTab();
  await serveIn(second, site);
  const answer = chat(second, question);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await tab.close();
  release();
  expect(await answer).toHaveLength(8);
});

test('stop() hands the engine on, and ends what it answered', async ({ tab, site, newTab }) => {
  await serveIn(tab, site);
  await chat(tab, question);
  const second = await newTab();
  await serveIn(second, site);
  const afterStop = await tab.evaluate(async () => {
    await server.stop();
    return server.fetch('/v1/models').then(
      () => 'answered',
      (error) => error.message,
    );
  });
  expect(afterStop).toContain('stopped');
  expect(await tab.evaluate(() => server.status.state)).toBe('stopped');
  await expect.poll(() => role(second)).toBe('host');
  expect(await chat(second, question)).toHaveLength(8);
});

test('without a service worker each tab runs its own engine, and says why', async ({ tab, site, newTab }) => {
  await serveIn(tab, site, { serviceWorker: false });
  const second = await newTab();
  await serveIn(second, site, { serviceWorker: false });
  for (const each of [tab, second]) {
    expect(await chat(each, question, 'server')).toHaveLength(8);
    expect(await role(each)).toBe('host');
    expect(await each.evaluate(() => [server.status.intercepts, server.status.interceptsNot])).toEqual([
      false,
      expect.stringContaining('server.fetch'),
    ]);
  }
});

test('the API key is that of the page that was opened last; a page without it says to reload', async ({
  tab,
  site,
  newTab,
}) => {
  await serveIn(tab, site);
  await chat(tab, question);
  const second = await newTab();
  await serveIn(second, site, { apiKey: 'secret' });
  const load = (tab: Tab) =>
    tab.evaluate(() =>
      server.models.load().then(
        () => 'loaded',
        (error) => error.message,
      ),
    );
  expect(await role(tab)).toBe('host');
  expect(await load(second)).toBe('loaded');
  expect(await load(tab)).toBe('Invalid API Key');
  expect(await tab.evaluate(() => server.status.reload)).toMatch(/another API key.*Reload the page\.$/);
});
