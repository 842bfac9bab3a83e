/** The engine crashes, hangs, or is drowned in requests: what was accepted is answered all the same, or fails with its reason. */
import type { Page } from '@playwright/test';
import { BLOCKS, type EngineFault, FAULTS_CHANNEL, openToFaults } from './support/engine-faults.ts';
import {
  chat,
  ENDLESS,
  expect,
  fetchIn,
  putTinyModels,
  serveEndless,
  serveIn,
  test,
  user,
} from './support/fixtures.ts';
import { AVIF } from './support/pictures.ts';

/** Seconds: what a tiny model computes in a step is a thousandth of it, however busy the machine is. */
const HANG_AFTER = 10;

const inflict = (page: Page, fault: EngineFault) =>
  page.evaluate(
    ({ fault, channel }) => {
      const faults = new BroadcastChannel(channel);
      faults.postMessage(fault);
      faults.close();
    },
    { fault, channel: FAULTS_CHANNEL },
  );

/** Begins a stream, and leaves it in the page's `streams`, where its text gathers. Resolves with its first token. */
const begin = (page: Page, name: string, body: object) =>
  page.evaluate(
    async ({ name, body }) => {
      const response = await fetch('/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify({ ...body, stream: true }),
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      const first = (await reader?.read())?.value ?? '';
      const rest = async () => {
        let text = first;
        for (;;) {
          const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
          if (done) return text;
          text += value;
        }
      };
      Object.assign(globalThis, { [name]: rest() });
    },
    { name, body },
  );

/** What its events say: the text, or the error. */
async function ended(page: Page, name: string) {
  const events: string = await page.evaluate((name) => Reflect.get(globalThis, name), name);
  const data = events
    .split('\n\n')
    .flatMap((event) => (event.startsWith('data: {') ? [JSON.parse(event.slice(6))] : []));
  return {
    text: data.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join(''),
    error: data.find(({ error }) => error)?.error.message,
    done: events.endsWith('data: [DONE]\n\n'),
  };
}

test('an engine that crashes under streams and plain requests is started again, and all of them are answered', async ({
  page,
  site,
}) => {
  openToFaults(site);
  await serveIn(page, site);
  const ask = (seed: number) => ({ messages: user(`tell me ${seed}`), max_tokens: 1200, temperature: 1, seed });
  const expected = [await chat(page, ask(1)), await chat(page, ask(2)), await chat(page, ask(3))];

  await begin(page, 'first', ask(1));
  await begin(page, 'second', ask(2));
  const plain = chat(page, ask(3));
  await inflict(page, { type: 'crash', reason: 'unreachable' });
  expect(await ended(page, 'first')).toEqual({ text: expected[0], error: undefined, done: true });
  expect(await ended(page, 'second')).toEqual({ text: expected[1], error: undefined, done: true });
  expect(await plain).toBe(expected[2]);
  const { json } = await fetchIn(page, '/v1/health');
  expect(json).toEqual({
    status: 'ok',
    restarts: [{ model: 'tiny', time: expect.any(Number), reason: expect.stringContaining('unreachable') }],
  });
});

test('a picture outlives an engine that crashes under it: the next one sees the same', async ({ page, site }) => {
  openToFaults(site);
  putTinyModels(site, { seer: { sense: 'vision' } });
  await serveIn(page, site);
  const picture = { type: 'image_url', image_url: { url: AVIF } };
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'What?' }, picture] }];
  const ask = { messages, max_tokens: 1000, temperature: 1, seed: 1 };
  const expected = await chat(page, ask);
  await begin(page, 'stream', ask);
  const plain = chat(page, ask);
  await inflict(page, { type: 'crash', reason: 'unreachable' });
  expect(await ended(page, 'stream')).toEqual({ text: expected, error: undefined, done: true });
  expect(await plain).toBe(expected);
  expect((await fetchIn(page, '/v1/health')).json.restarts).toHaveLength(1);
});

test('an engine that runs out of memory is started again with less, and says so', async ({ page, site }) => {
  openToFaults(site);
  await serveIn(page, site);
  const ask = { messages: user('tell me'), max_tokens: 1000, temperature: 1, seed: 1 };
  const expected = await chat(page, ask);
  await begin(page, 'stream', ask);
  await inflict(page, { type: 'crash', reason: 'Uncaught RuntimeError: Aborted(OOM)' });
  expect(await ended(page, 'stream')).toEqual({ text: expected, error: undefined, done: true });
  const runtime = await page.evaluate(() => server.status.models.find((model) => model.default)?.runtime);
  expect(runtime).toMatchObject({ slots: 2, contextNote: expect.stringMatching(/2 requests at a time.*OOM/) });
});

test('an engine that is silent is started again; a request that it hangs on is failed, the others go on', async ({
  page,
  site,
}) => {
  openToFaults(site);
  await serveIn(page, site, { engine: { hangAfter: HANG_AFTER } });
  const ask = { messages: user('tell me'), max_tokens: 1000, temperature: 1, seed: 1 };
  const expected = await chat(page, ask);

  await begin(page, 'stream', ask);
  await inflict(page, { type: 'end' });
  expect(await ended(page, 'stream')).toEqual({ text: expected, error: undefined, done: true });

  await begin(page, 'other', ask);
  const { status, json } = await fetchIn(page, '/v1/chat/completions', { messages: user(BLOCKS), max_tokens: 4 });
  expect(status).toBe(500);
  expect(json.error.message).toMatch(/This request was given up: .*within 10 seconds/);
  expect(await ended(page, 'other')).toEqual({ text: expected, error: undefined, done: true });
});

test('200 requests may wait, more are refused with 503; one that waits can be aborted; then all are answered', async ({
  page,
  site,
}) => {
  await serveEndless(page, site);
  await page.evaluate(() => server.models.load());
  const outcome = await page.evaluate(
    async ({ endless, slots, waiting, more }) => {
      const ask = (max_tokens: number, signal?: AbortSignal) =>
        fetch('/v1/completions', {
          method: 'POST',
          body: JSON.stringify({ prompt: 'go on', max_tokens, stream: max_tokens > 1 }),
          signal: signal ?? null,
        });
      const holders = await Promise.all(Array.from({ length: slots }, () => ask(endless)));
      const abort = new AbortController();
      const queued = Array.from({ length: waiting - 1 }, () => ask(1).then(({ status }) => status));
      const aborted = ask(1, abort.signal).catch((error) => error.name as string);
      const until = async (deferred: number) => {
        for (;;) {
          const { engine } = await (await fetch('/v1/props')).json();
          if (engine.requests.deferred === deferred) return;
        }
      };
      await until(waiting);
      const refused = await Promise.all(
        Array.from({ length: more }, async () => {
          const response = await ask(1);
          return [response.status, (await response.json()).error.message] as const;
        }),
      );
      abort.abort();
      const name = await aborted;
      await until(waiting - 1);
      for (const holder of holders) await holder.body?.cancel();
      return { refused, name, statuses: [...new Set(await Promise.all(queued))] };
    },
    { endless: ENDLESS, slots: 4, waiting: 200, more: 5 },
  );
  expect(outcome.name).toBe('AbortError');
  expect(outcome.refused).toEqual(
    Array.from({ length: 5 }, () => [503, expect.stringContaining('The queue is full: 200 requests wait')]),
  );
  expect(outcome.statuses).toEqual([200]);
});
