/**
 * A tab that the browser has frozen, to save energy, keeps its locks and its place in their queues. Playwright can't freeze one: this
 * speaks to a browser of its own.
 */
import { Chromium } from './chaos/chromium.ts';
import { answerOf, type ChaosRequest, type Outcome } from './chaos/requests.ts';
import { Tab } from './chaos/tab.ts';
import { expect, putTinyModels, test, user } from './support/fixtures.ts';

const request: ChaosRequest = {
  path: '/v1/chat/completions',
  body: {
    messages: user('Tell me a story.'),
    max_tokens: 1500,
    ignore_eos: true,
    temperature: 1,
    seed: 8,
    stream: true,
  },
};
const ask = (tab: Tab, from: 'page' | 'frame' | 'server') =>
  tab.evaluate<Outcome>(`ask('${from}', ${JSON.stringify(request.path)}, ${JSON.stringify(request.body)}, false)`);
const role = (tab: Tab) => tab.evaluate<string>('server.status.role');

let browser: Chromium;
test.beforeEach(() => {
  browser = new Chromium();
});
test.afterEach(() => browser.close());

const hosts = async (tabs: Tab[]) => (await Promise.all(tabs.map(role))).filter((role) => role === 'host').length;

const WAYS: [what: string, lose: (host: Tab, next: Tab) => Promise<void>, gone: 'host' | null][] = [
  ['the host is frozen', (host) => host.freeze(), null],
  [
    'the host is closed, and the next in the queue is frozen',
    async (host, next) => {
      await next.freeze();
      await host.close();
    },
    'host',
  ],
];

test('an answer that a page was reading when it was frozen breaks off when it runs again', async ({ site }) => {
  putTinyModels(site, { tiny: { contextLength: 2048 } });
  const tab = await Tab.open(browser, `${site.url}test/chaos.html`, 1);
  await tab.ready();
  const [page, frame, server] = [ask(tab, 'page'), ask(tab, 'frame'), ask(tab, 'server')];
  await expect.poll(() => tab.evaluate('underWay().filter(({ text }) => text !== "").length')).toBe(2);
  const processing = `server.fetch('/v1/props').then((answer) => answer.json()).then(({ engine }) => engine.requests.processing)`;
  await expect.poll(() => tab.evaluate(processing)).toBe(3);
  await tab.freeze();
  await tab.thaw();
  // Chromium would not give them the rest.
  for (const answer of [page, frame])
    expect(await answer).toMatchObject({ status: 200, failure: 'TypeError: network error' });
  expect(answerOf(request, await server)).not.toBeNull();
  // What is asked now is answered.
  expect(answerOf(request, await ask(tab, 'page'))).toBe(answerOf(request, await server));
});

for (const [what, lose, gone] of WAYS) {
  test(`when ${what}, what was asked is answered by a tab that runs`, async ({ site }) => {
    putTinyModels(site, { tiny: { contextLength: 2048 } });
    let tabs = 0;
    const open = async () => {
      const tab = await Tab.open(browser, `${site.url}test/chaos.html`, ++tabs);
      await tab.ready();
      return tab;
    };
    const host = await open();
    const next = await open();
    const caller = await open();
    const expected = answerOf(request, await ask(caller, 'page'));
    expect(expected).not.toBeNull();
    const asked = [ask(caller, 'server'), ask(caller, 'page')];
    await expect.poll(() => caller.evaluate('underWay().filter(({ text }) => text !== "").length')).toBe(2);
    await lose(host, next);
    for (const outcome of await Promise.all(asked)) expect(answerOf(request, outcome)).toBe(expected);
    const frozen = gone === 'host' ? next : host;
    await frozen.thaw();
    // It ends its engine, and asks the one that took its place.
    await expect.poll(() => role(frozen)).toBe('guest');
    expect(answerOf(request, await ask(frozen, 'server'))).toBe(expected);
    expect(await hosts([host, next, caller].filter(({ isGone }) => !isGone))).toBe(1);
  });
}
