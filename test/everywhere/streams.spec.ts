/** A stream comes as it is written, ends what it cost when nobody reads it, and is never cut short unseen. */

import type { Tab } from '../support/engines/tab.ts';
import { expect, IDLE_LIMIT, test } from '../support/everywhere.ts';
import { chat, ENDLESS, fetchIn, serveEndless, user } from '../support/fixtures.ts';

declare global {
  /** Of a test's own stream. */
  var abort: AbortController;
  var reader: ReadableStreamDefaultReader<Uint8Array>;
}

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const processing = async (tab: Tab) =>
  (await fetchIn(tab, '/v1/props', undefined, 'server')).json.engine.requests.processing;

/** Asks for an answer without end, and reads until its first text is there. @returns how many events came with it */
function beginStream(tab: Tab): Promise<number> {
  return tab.evaluate(async (max_tokens) => {
    globalThis.abort = new AbortController();
    const body = JSON.stringify({ prompt: 'a long one', max_tokens, stream: true });
    const response = await fetch('/v1/completions', { method: 'POST', body, signal: abort.signal });
    globalThis.reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('data: ')) text += new TextDecoder().decode((await reader.read()).value);
    return text.split('\n\n').length;
  }, ENDLESS);
}

test('comes chunk by chunk, while the rest is being written', async ({ tab, site }) => {
  await serveEndless(tab, site);
  expect(await beginStream(tab)).toBeLessThan(ENDLESS / 2);
  expect(await processing(tab)).toBe(1);
  await tab.evaluate(() => reader.cancel());
});

for (const [how, end] of [
  ['its fetch is aborted', () => abort.abort()],
  ['its body is cancelled', () => void reader.cancel()],
] as const) {
  test(`frees its slot when ${how}`, async ({ tab, site }) => {
    await serveEndless(tab, site);
    await beginStream(tab);
    await tab.evaluate(end);
    await expect.poll(() => processing(tab)).toBe(0);
    expect(await chat(tab, question)).toHaveLength(8);
  });
}

test('frees its slot when its tab is closed, or loads another page', async ({ tab, site, newTab }) => {
  await serveEndless(tab, site);
  const other = await newTab();
  for (const leave of [() => other.goto(`${site.url}test/plain.html?2`), () => other.close()]) {
    await other.goto(`${site.url}test/plain.html`);
    await beginStream(other);
    expect(await processing(tab)).toBe(1);
    await leave();
    await expect.poll(() => processing(tab)).toBe(0);
  }
});

test('outlives the time after which a browser ends an idle service worker', async ({ tab, site, newTab }) => {
  await serveEndless(tab, site);
  const other = await newTab();
  await other.goto(`${site.url}test/plain.html`);
  await beginStream(other);
  const end = await other.evaluate(async (milliseconds) => {
    const decoder = new TextDecoder();
    const begun = performance.now();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text.slice(-14);
      text += decoder.decode(value, { stream: true });
      if (performance.now() - begun > milliseconds) {
        abort.abort();
        return 'still under way';
      }
    }
  }, IDLE_LIMIT * 1.5);
  expect(['still under way', 'data: [DONE]\n\n']).toContain(end);
});
