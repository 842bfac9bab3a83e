/** A stream goes on when its page reloads, and the page takes it up where it was; it lives as long as the tab with the engine. */
import type { Page } from '@playwright/test';
import { chat, ENDLESS, expect, fetchIn, serveEndless, test, user } from './support/fixtures.ts';

const CONVERSATION = 'conversation-1';
const question = { messages: user('a long story'), max_tokens: ENDLESS, temperature: 1, seed: 7, stream: true };
/** Long enough for a page to reload meanwhile, and all of its events fit the buffer. */
const story = { ...question, max_tokens: 4000 };

/** Asks, and notes in `sessionStorage` what comes; resolves when some of it is there. */
async function ask(page: Page, asked = question): Promise<void> {
  await page.evaluate(
    async ({ question, id }) => {
      const response = await fetch('/v1/chat/completions', {
        method: 'POST',
        headers: { 'X-Conversation-Id': id },
        body: JSON.stringify(question),
      });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      sessionStorage.setItem('received', '');
      const some = new Promise<void>((resolve) => {
        (async () => {
          for (let count = 1; ; count++) {
            const { done, value } = await reader.read();
            if (done) return;
            const received = sessionStorage.getItem('received') + decoder.decode(value, { stream: true });
            sessionStorage.setItem('received', received);
            if (count === 20) resolve();
          }
        })();
      });
      await some;
    },
    { question: asked, id: CONVERSATION },
  );
}

const received = (page: Page) => page.evaluate(() => sessionStorage.getItem('received') ?? '');
const resume = (page: Page, from = 0) => fetchIn(page, `/v1/stream?conv_id=${CONVERSATION}&from=${from}`);
const lookup = async (page: Page) =>
  (await fetchIn(page, '/v1/streams/lookup', { conversation_ids: [CONVERSATION] })).json;
const processing = async (page: Page) => (await fetchIn(page, '/v1/props')).json.engine.requests.processing;

function textOf(events: string): string {
  const lines = events.split('\n\n').filter((event) => event.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? '').join('');
}

test('a page that reloads mid-answer takes it up where it was', async ({ page, site, context }) => {
  await serveEndless(page, site);
  const whole = await chat(page, { ...story, stream: false });
  const tab = await context.newPage();
  await tab.goto(`${site.url}test/plain.html`);
  await ask(tab, story);
  expect(await lookup(tab)).toMatchObject([{ conversation_id: CONVERSATION, is_done: false, completed_at: 0 }]);
  await tab.reload();

  const before = await received(tab);
  expect(before).not.toContain('[DONE]');
  // Events of this model are ASCII: as many bytes as characters.
  const { status, headers, text: rest } = await resume(tab, before.length);
  expect([status, headers['content-type']]).toEqual([200, 'text/event-stream']);
  expect(textOf(before + rest)).toBe(whole);
  expect(rest.endsWith('data: [DONE]\n\n')).toBe(true);

  // Not a byte lost or doubled, and all of it there for another reader.
  expect((await resume(tab)).text).toBe(before + rest);
  const [stream] = await lookup(tab);
  expect(stream).toMatchObject({ is_done: true, total_bytes: (before + rest).length });
  expect(stream.completed_at).toBeGreaterThanOrEqual(stream.started_at);
});

test('DELETE stops a stream that its page has left, and frees the slot', async ({ page, site, context }) => {
  await serveEndless(page, site);
  const tab = await context.newPage();
  await tab.goto(`${site.url}test/plain.html`);
  await ask(tab);
  await tab.close();
  expect(await processing(page)).toBe(1);
  const stop = () =>
    page.evaluate(async (id) => (await fetch(`/v1/stream?conv_id=${id}`, { method: 'DELETE' })).status, CONVERSATION);
  expect(await stop()).toBe(204);
  await expect.poll(() => processing(page)).toBe(0);
  expect(await stop()).toBe(204);
  expect((await resume(page)).status).toBe(404);
  expect(await lookup(page)).toEqual([]);
});

test('a stream is gone with the tab that runs the engine', async ({ page, site }) => {
  await serveEndless(page, site);
  await ask(page);
  await serveEndless(page, site);
  const { status, json } = await resume(page);
  expect([status, json.error.message]).toEqual([404, 'Stream not found or expired']);
  expect(await chat(page, { ...question, stream: false, max_tokens: 8 })).toHaveLength(8);
});
