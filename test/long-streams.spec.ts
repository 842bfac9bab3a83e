/**
 * Streams and silences of many minutes: `LLAMATAB_MINUTES=7` in front of it, as it is not worth that to every run. Without DevTools at the
 * service worker, with which it would live for ever.
 */
import { Chromium } from './chaos/chromium.ts';
import { answerOf, type ChaosRequest, type Outcome } from './chaos/requests.ts';
import { Tab } from './chaos/tab.ts';
import { expect, putNewServiceWorker, putTinyModels, test, user } from './support/fixtures.ts';

const minutes = Number(process.env.LLAMATAB_MINUTES ?? 0);

test.skip(minutes === 0, 'LLAMATAB_MINUTES says for how long.');

const question = (max_tokens: number, stream: boolean): ChaosRequest => ({
  path: '/v1/chat/completions',
  body: { messages: user('Tell me a story.'), max_tokens, ignore_eos: true, temperature: 1, seed: 8, stream },
});

test(`a stream of ${minutes} minutes, a new version meanwhile, and requests that wait for its end`, async ({
  site,
}) => {
  test.setTimeout((minutes + 3) * 2 * 60_000);
  putTinyModels(site, { tiny: { contextLength: 2048 } });
  const browser = new Chromium();
  try {
    const options = JSON.stringify({ engine: { slots: 1, contextShift: true, measure: false } });
    const tab = await Tab.open(browser, `${site.url}test/chaos.html?options=${encodeURIComponent(options)}`, 1);
    await tab.ready();
    const ask = (from: 'page' | 'worker', { path, body }: ChaosRequest) =>
      tab.evaluate<Outcome>(`ask('${from}', ${JSON.stringify(path)}, ${JSON.stringify(body)}, false)`);

    const short = [question(40, true), question(40, false)];
    const expected = [];
    for (const request of short) expected.push(answerOf(request, await ask('page', request)));
    expect(expected).not.toContain(null);

    // How many tokens take so long here.
    const trial = 4000;
    const began = performance.now();
    expect(answerOf(question(trial, true), await ask('page', question(trial, true)))).not.toBeNull();
    const long = question(Math.ceil((trial / (performance.now() - began)) * minutes * 60_000), true);

    const since = performance.now();
    const streamed = ask('page', long);
    await expect.poll(() => tab.evaluate('underWay().some(({ text }) => text !== "")')).toBe(true);
    const waiting = short.flatMap((request) => [ask('page', request), ask('worker', request)]);
    putNewServiceWorker(site);
    await tab.evaluate('navigator.serviceWorker.ready.then((registration) => registration.update())');

    const outcome = await streamed;
    const elapsed = performance.now() - since;
    expect(outcome.failure).toBeNull();
    expect(answerOf(long, outcome)).not.toBeNull();
    const waited = await Promise.all(waiting);
    const answers = waited.map((each, index) => answerOf(short[index >> 1] as ChaosRequest, each));
    expect(answers).toEqual([expected[0], expected[0], expected[1], expected[1]]);
    // Not before all this is over.
    await expect
      .poll(() => tab.evaluate(`navigator.serviceWorker.ready.then(({ waiting }) => waiting?.state ?? null)`))
      .toBeNull();
    expect(answerOf(question(40, true), await ask('page', question(40, true)))).toBe(expected[0]);
    const silences = waited.map(({ silence }) => Math.round(silence / 1000));
    console.log(
      `${long.body.max_tokens} tokens in ${Math.round(elapsed / 1000)} s, ${Math.round(outcome.text.length / 2 ** 20)} MiB; ` +
        `the longest silence of those that waited: ${silences.join(', ')} s`,
    );
  } finally {
    await browser.close();
  }
});
