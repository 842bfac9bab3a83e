/** The console, as a person meets it: a first visit, a chat, stop, and a second visit without a network. */
import type { Tab } from '../support/engines/tab.ts';
import { expect, test, untilKept } from '../support/everywhere.ts';

/** An attribute, or the text, of the last element of this test id; null if there is none. */
const look = (tab: Tab, testId: string, attribute?: string) =>
  tab.evaluate(
    ([testId, attribute]) => {
      const element = Array.from(document.querySelectorAll(`[data-testid="${testId}"]`)).at(-1);
      return (attribute === null ? element?.textContent : element?.getAttribute(attribute)) ?? null;
    },
    [testId, attribute ?? null] as const,
  );
const ready = (tab: Tab, limits = {}) =>
  expect.poll(() => look(tab, 'model-state', 'data-state'), limits).toBe('ready');
const ask = (tab: Tab, question: string) => tab.type('[aria-label="Your message"]', `${question}\n`);

test('a question is answered as it is written; stop keeps what was said', async ({ tab, site }) => {
  await tab.goto(site.url);
  await ready(tab);
  // In the page, because an answer may be complete before a driver has looked twice.
  await tab.evaluate(() => {
    const observer = new MutationObserver(() => {
      const stop = document.querySelector<HTMLButtonElement>('[aria-label="Stop"]');
      if (!stop || !document.querySelector('[data-testid="answer"][data-state="streaming"]')) return;
      observer.disconnect();
      stop.click();
    });
    observer.observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await ask(tab, 'hello');
  await expect.poll(() => look(tab, 'answer', 'data-state')).toBe('stopped');
  expect(await look(tab, 'answer')).toContain('Stopped');
  const screenshot = await tab.screenshot();
  await test.info().attach('console.png', { body: screenshot, contentType: 'image/png' });
  // A page that is not painted is one colour: some kilobytes.
  expect(screenshot.length).toBeGreaterThan(10_000);
});

test('a model that can’t be had is said in place, with a way on', async ({ tab, site }) => {
  const [model] = (await (await fetch(`${site.url}models/catalog.json`)).json()).models;
  const path = `/models/${model.files[0].pieces[0].url}`;
  const bytes = new Uint8Array(await (await fetch(site.url + path.slice(1))).arrayBuffer());
  site.route(path, (_, response) => {
    response.statusCode = 404;
    response.end();
  });
  await tab.goto(site.url);
  const alert = () => tab.evaluate(() => document.querySelector('[role="alert"]')?.textContent ?? '');
  await expect.poll(alert).toContain('404');
  site.put(path, bytes);
  await tab.click('[role="alert"] button');
  await ready(tab);
});

test.describe('with the embedded model', () => {
  test.use({ siteOptions: { models: 'embedded' } });
  test.slow();
  /** For a load, and for an answer: an idle machine takes 10 seconds in WebKit's one thread, a busy one many times that. */
  const limits = { timeout: 150_000 };

  test('a first visit answers, and a second one without a network', async ({ tab, site, newTab }) => {
    const question = 'What is the capital of France? Answer in one short sentence.';
    await tab.goto(site.url);
    await ready(tab, limits);
    await ask(tab, question);
    await expect.poll(() => look(tab, 'answer', 'data-state'), limits).toBe('done');
    expect(await look(tab, 'answer')).toContain('Paris');
    await untilKept(tab, site);
    await tab.close();

    await site.goOffline();
    const second = await newTab();
    await second.goto(site.url);
    await ready(second, limits);
    await ask(second, question);
    await expect.poll(() => look(second, 'answer', 'data-state'), limits).toBe('done');
    expect(await look(second, 'answer')).toContain('Paris');
  });
});
