/** A stream goes on when its page reloads, and the page takes it up where it was; it outlives the tab with the engine. */
import type { EngineName, Tab } from '../support/engines/tab.ts';
import { expect, test } from '../support/everywhere.ts';
import { chat, ENDLESS, fetchIn, serveEndless, user } from '../support/fixtures.ts';

const CONVERSATION = 'conversation-1';
const question = { messages: user('a long story'), max_tokens: ENDLESS, temperature: 1, seed: 7, stream: true };
/** Long enough for a page to reload meanwhile, and all of its events fit the buffer. WebKit computes a tenth of what the others do. */
const storyIn = (engine: EngineName) => ({ ...question, max_tokens: engine === 'webkit' ? 600 : 4000 });

/** Asks, and notes in `sessionStorage` what comes; resolves when some of it is there. */
async function ask(tab: Tab, asked = question): Promise<void> {
  await tab.evaluate(
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

const received = (tab: Tab) => tab.evaluate(() => sessionStorage.getItem('received') ?? '');
const resume = (tab: Tab, from = 0) => fetchIn(tab, `/v1/stream?conv_id=${CONVERSATION}&from=${from}`);
const lookup = async (tab: Tab) =>
  (await fetchIn(tab, '/v1/streams/lookup', { conversation_ids: [CONVERSATION] })).json;
const processing = async (tab: Tab) => (await fetchIn(tab, '/v1/props')).json.engine.requests.processing;

function textOf(events: string): string {
  const lines = events.split('\n\n').filter((event) => event.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? '').join('');
}

test('a page that reloads mid-answer takes it up where it was', async ({ tab, site, newTab, engine }) => {
  const story = storyIn(engine);
  await serveEndless(tab, site);
  const whole = await chat(tab, { ...story, stream: false });
  const asking = await newTab();
  await asking.goto(`${site.url}test/plain.html`);
  await ask(asking, story);
  expect(await lookup(asking)).toMatchObject([{ conversation_id: CONVERSATION, is_done: false, completed_at: 0 }]);
  await asking.reload();

  const before = await received(asking);
  expect(before).not.toContain('[DONE]');
  // Events of this model are ASCII: as many bytes as characters.
  const { status, headers, text: rest } = await resume(asking, before.length);
  expect([status, headers['content-type']]).toEqual([200, 'text/event-stream']);
  expect(textOf(before + rest)).toBe(whole);
  expect(rest.endsWith('data: [DONE]\n\n')).toBe(true);

  // Not a byte lost or doubled, and all of it there for another reader.
  expect((await resume(asking)).text).toBe(before + rest);
  const [stream] = await lookup(asking);
  expect(stream).toMatchObject({ is_done: true, total_bytes: (before + rest).length });
  expect(stream.completed_at).toBeGreaterThanOrEqual(stream.started_at);
});

test('DELETE stops a stream that its page has left, and frees the slot', async ({ tab, site, newTab }) => {
  await serveEndless(tab, site);
  const asking = await newTab();
  await asking.goto(`${site.url}test/plain.html`);
  await ask(asking);
  await asking.close();
  expect(await processing(tab)).toBe(1);
  const stop = () =>
    tab.evaluate(async (id) => (await fetch(`/v1/stream?conv_id=${id}`, { method: 'DELETE' })).status, CONVERSATION);
  expect(await stop()).toBe(204);
  await expect.poll(() => processing(tab)).toBe(0);
  expect(await stop()).toBe(204);
  expect((await resume(tab)).status).toBe(404);
  expect(await lookup(tab)).toEqual([]);
});

test('a page that reloads the only engine takes its stream up where it was', async ({ tab, site, engine }) => {
  const story = storyIn(engine);
  await serveEndless(tab, site);
  const whole = await chat(tab, { ...story, stream: false });
  await ask(tab, story);
  // The only tab there is. Its next engine goes on with what was stored: nearly all that the page had.
  await serveEndless(tab, site);
  const before = await received(tab);
  expect(before).not.toContain('[DONE]');
  expect(await lookup(tab)).toMatchObject([{ conversation_id: CONVERSATION, is_done: false }]);
  const { status, text: rest } = await resume(tab, before.length);
  expect(status).toBe(200);
  expect(textOf(before + rest)).toBe(whole);
  expect((await resume(tab)).text).toBe(before + rest);
});
