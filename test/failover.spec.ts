/** A request that was accepted is answered, in one and the same response, whatever happens to the tab that runs the engine. */
import type { Dialog, Page } from '@playwright/test';
import { ENDLESS, engineWasm, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { runtimeFile } from './support/paths.ts';

declare global {
  /** What `begin` asked for: how each request ended, and what of it has come so far. */
  var asked: { ended: Promise<{ status: number; text: string; error?: string }>; text: () => string }[];
}

const CONTEXT = { engine: { contextSize: 2048, slots: 2 }, preload: false };
const story = { prompt: 'Once upon a time', max_tokens: 400, temperature: 1, seed: 7 };
const role = (page: Page) => page.evaluate(() => server.status.role);

type Asked = [path: string, body: object];

/** Sends requests, and reads what comes. Resolves when there is something of `streams` of them. */
async function begin(
  page: Page,
  requests: Asked[],
  streams: number,
  via: 'service-worker' | 'server' = 'service-worker',
) {
  await page.evaluate(
    async ({ requests, streams, via }) => {
      const fetch = via === 'server' ? server.fetch : globalThis.fetch;
      let begun = 0;
      await new Promise<void>((resolve) => {
        globalThis.asked = requests.map(([path, body]) => {
          let text = '';
          const read = async () => {
            const response = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
            const reader = (response.body as ReadableStream<Uint8Array>).getReader();
            const decoder = new TextDecoder();
            let error: string | undefined;
            try {
              for (let first = true; ; first = false) {
                const { done, value } = await reader.read();
                if (done) break;
                text += decoder.decode(value, { stream: true });
                if (first && ++begun === streams) resolve();
              }
            } catch (reason) {
              error = (reason as Error).message;
            }
            return { status: response.status, text, ...(error === undefined ? {} : { error }) };
          };
          return { ended: read(), text: () => text };
        });
      });
    },
    { requests, streams, via },
  );
}

const ended = (page: Page) => page.evaluate(() => Promise.all(asked.map(({ ended }) => ended)));

interface Event {
  id: string;
  created: number;
  choices: { text?: string; delta?: { content?: string | null }; finish_reason: string | null }[];
  usage?: { completion_tokens: number; prompt_tokens: number };
  error?: { message: string; type: string };
}

function eventsOf(text: string): Event[] {
  const lines = text.split('\n').filter((line) => line.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice(6)));
}
const textOf = (events: Event[]) =>
  events.map(({ choices }) => choices?.[0]?.text ?? choices?.[0]?.delta?.content ?? '').join('');

const WAYS: [how: string, lose: (host: Page) => Promise<unknown>][] = [
  ['is closed', (host) => host.close()],
  [
    'crashes',
    async (host) => {
      const session = await host.context().newCDPSession(host);
      const crashed = new Promise((resolve) => host.on('crash', resolve));
      session.send('Page.crash').catch(() => {});
      await crashed;
    },
  ],
  ['is left for another page', (host) => host.goto(new URL('test/plain.html', host.url()).href)],
  ['calls stop()', (host) => host.evaluate(() => server.stop())],
];

for (const [how, lose] of WAYS) {
  test(`when the host ${how}, what it was asked is answered by the next`, async ({ page, site, context }) => {
    putTinyModels(site, { tiny: { contextLength: 2048 } });
    // Chromium runs the service worker in the process of the first tab, which must not be the one that crashes.
    await serveIn(page, site, CONTEXT);
    await page.goto(`${site.url}test/plain.html`);
    const caller = page;
    const host = await context.newPage();
    await serveIn(host, site, CONTEXT);
    const next = await context.newPage();
    await serveIn(next, site, CONTEXT);

    // Two are under way, and as many wait for a slot, with and without a stream, by either way.
    const chat = { messages: user('Tell me a story.'), max_tokens: 300, temperature: 1 };
    const plain = await fetchIn(caller, '/v1/completions', { ...story, stream: false });
    await begin(next, [['/v1/chat/completions', { ...chat, seed: 8, stream: true }]], 1, 'server');
    const wholeChat = textOf(eventsOf((await ended(next))[0]?.text ?? ''));
    expect(wholeChat.length).toBeGreaterThan(200);
    await begin(next, [['/v1/chat/completions', { ...chat, seed: 8, stream: true }]], 1, 'server');
    await begin(
      caller,
      [
        ['/v1/completions', { ...story, stream: true, stream_options: { include_usage: true } }],
        ['/v1/completions', story],
        ['/v1/completions', { ...story, stream: true }],
      ],
      1,
    );
    await lose(host);

    const [streamed, whole, queued] = await ended(caller);
    expect([streamed?.status, whole?.status, queued?.status]).toEqual([200, 200, 200]);
    const events = eventsOf(streamed?.text ?? '');
    expect(textOf(events)).toBe(plain.json.choices[0].text);
    expect([new Set(events.map(({ id }) => id)).size, new Set(events.map(({ created }) => created)).size]).toEqual([
      1, 1,
    ]);
    expect(events.at(-1)?.usage).toMatchObject({ completion_tokens: plain.json.usage.completion_tokens });
    expect(streamed?.text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(JSON.parse(whole?.text ?? '').choices).toEqual(plain.json.choices);
    expect(textOf(eventsOf(queued?.text ?? ''))).toBe(plain.json.choices[0].text);
    expect(textOf(eventsOf((await ended(next))[0]?.text ?? ''))).toBe(wholeChat);
    expect(await role(next)).toBe('host');
  });
}

test.describe('where the next host’s engine writes another text', () => {
  test('plain text is continued, and what can’t be ends with an error that says so', async ({
    page,
    site,
    context,
  }) => {
    putTinyModels(site, { tiny: { contextLength: 2048, seed: 1 } });
    await serveIn(page, site, CONTEXT);
    const next = await context.newPage();
    await serveIn(next, site, CONTEXT);
    const caller = await context.newPage();
    await caller.goto(`${site.url}test/plain.html`);
    const limits = { max_tokens: 600, temperature: 1, seed: 7, stream: true, ignore_eos: true };
    const usage = { stream_options: { include_usage: true } };
    await begin(
      caller,
      [
        ['/v1/completions', { prompt: 'Once', ...limits, ...usage }],
        ['/v1/chat/completions', { messages: user('Hello'), ...limits, grammar: 'root ::= [a-z]+' }],
      ],
      2,
    );
    const before = await caller.evaluate(() => asked.map(({ text }) => text()));
    // What the next host finds under the same name.
    putTinyModels(site, { tiny: { contextLength: 2048, seed: 2 } });
    await page.close();

    const [text, grammar] = await ended(caller);
    const events = eventsOf(text?.text ?? '');
    expect(text?.text.startsWith(before[0] ?? '')).toBe(true);
    expect(text?.text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
    expect(events.filter(({ choices }) => choices[0]?.finish_reason === 'length')).toHaveLength(1);
    const counted = await fetchIn(next, '/v1/tokenize', { content: textOf(events) });
    expect(events.at(-1)?.usage?.completion_tokens).toBeGreaterThan(500);
    expect(counted.json.tokens.length).toBeGreaterThan(500);
    expect(eventsOf(grammar?.text ?? '').at(-1)?.error).toMatchObject({ type: 'unavailable_error' });
    expect(grammar?.text).not.toContain('[DONE]');
  });
});

test('with no tab left, requests fail at once, and say why', async ({ page, site, context }) => {
  await serveIn(page, site, CONTEXT);
  const caller = await context.newPage();
  await caller.goto(`${site.url}test/plain.html`);
  await begin(caller, [['/v1/completions', { prompt: 'x', max_tokens: ENDLESS, stream: true }]], 1);
  await page.close();
  const [cut] = await ended(caller);
  expect(cut?.error).toBeDefined();
  const { status, json } = await fetchIn(caller, '/v1/completions', { prompt: 'x' });
  expect([status, json.error.type]).toEqual([503, 'unavailable_error']);
  expect(json.error.message).toContain('No open page of this site runs llamatab');
});

test('a host whose page is blocked is reached by way of another tab', async ({ page, site, context }) => {
  await serveIn(page, site, CONTEXT);
  const guest = await context.newPage();
  await serveIn(guest, site, CONTEXT);
  const blocked = new Promise<Dialog>((resolve) => page.on('dialog', resolve));
  const over = page.evaluate(() => alert('Nothing else runs on this page.'));
  const dialog = await blocked;
  // The next one knows nobody.
  const session = await context.newCDPSession(guest);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  expect((await fetchIn(guest, '/v1/models')).status).toBe(200);
  expect(await role(guest)).toBe('guest');
  await dialog.dismiss();
  await over;
});

test('two calls of serve() in a page share a worker, which ends with the last of them', async ({ page, site }) => {
  putTinyModels(site, { tiny: { contextLength: 2048 } });
  await serveIn(page, site, CONTEXT);
  const first = await page.evaluateHandle(() => server);
  await page.evaluate(async (options) => {
    globalThis.server = await llamatab.serve({ nativeRoutes: true, ...options });
  }, CONTEXT);
  expect(await role(page)).toBe('host');
  const plain = await fetchIn(page, '/v1/completions', story, 'server');
  await begin(page, [['/v1/completions', { ...story, stream: true }]], 1, 'server');
  await first.evaluate((first) => first.stop());
  const [streamed] = await ended(page);
  expect(textOf(eventsOf(streamed?.text ?? ''))).toBe(plain.json.choices[0].text);
  expect([await role(page), await first.evaluate((first) => first.status.state)]).toEqual(['host', 'stopped']);
  // One engine, which was loaded once.
  expect(site.requests.filter((path) => path === runtimeFile('worker.js'))).toHaveLength(1);
  expect(site.requests.filter((path) => path === engineWasm())).toHaveLength(1);
  await page.evaluate(() => server.stop());
  await expect.poll(() => page.workers().length).toBe(0);
});

test('pages and a service worker of different versions say so', async ({ page, site, context }) => {
  await serveIn(page, site, CONTEXT);
  const other = await context.newPage();
  await other.goto(`${site.url}test/plain.html`);
  await other.evaluate(() => {
    navigator.serviceWorker.onmessage = ({ data }) =>
      data.port?.postMessage({ type: 'hello', version: 3, host: 'old' });
    navigator.serviceWorker.startMessages();
  });
  await page.close();
  const { status, json } = await fetchIn(other, '/v1/models');
  expect([status, json.error.type]).toEqual([503, 'unavailable_error']);
  expect(json.error).toMatchObject({ message: expect.stringContaining('earlier version'), reload: true });
});

test('a service worker that is unregistered answers to the end, and is registered again', async ({
  page,
  site,
  context,
}) => {
  putTinyModels(site, { tiny: { contextLength: 2048 } });
  await serveIn(page, site, CONTEXT);
  const plain = await fetchIn(page, '/v1/completions', story);
  await begin(page, [['/v1/completions', { ...story, stream: true }]], 1);
  expect(await page.evaluate(async () => (await navigator.serviceWorker.ready).unregister())).toBe(true);
  const [streamed] = await ended(page);
  expect(textOf(eventsOf(streamed?.text ?? ''))).toBe(plain.json.choices[0].text);
  const next = await context.newPage();
  await serveIn(next, site, CONTEXT);
  for (const via of ['service-worker', 'server'] as const) {
    expect((await fetchIn(next, '/v1/completions', story, via)).json.choices).toEqual(plain.json.choices);
  }
  expect((await fetchIn(page, '/v1/completions', story, 'server')).json.choices).toEqual(plain.json.choices);
});
