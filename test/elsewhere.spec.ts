/** Apps that were written for a cloud, answered on the device; and a server for what the device can't do. */
import type { Page } from '@playwright/test';
import { expect, serveIn, test } from './support/fixtures.ts';
import { startUpstreamServer, type UpstreamServer } from './support/upstream-server.ts';

declare global {
  var abort: AbortController;
}

let cloud: UpstreamServer;
test.beforeEach(async () => {
  cloud = await startUpstreamServer();
});
test.afterEach(() => cloud.close());

/** As an app does that knows of no llamatab: by OpenAI's client, with its key. */
const ask = (page: Page, model: string, via: 'fetch' | 'server' = 'fetch') =>
  page.evaluate(
    async ({ baseURL, model, via }) => {
      const openai = new OpenAI({
        baseURL,
        apiKey: 'sk-secret',
        dangerouslyAllowBrowser: true,
        maxRetries: 0,
        ...(via === 'server' ? { fetch: server.fetch } : {}),
      });
      const messages = [{ role: 'user' as const, content: 'hello' }];
      const { data, response } = await openai.chat.completions
        .create({ model, messages, max_tokens: 8, temperature: 0 })
        .withResponse();
      return [data.choices[0]?.message.content, response.headers.get('X-Llamatab-Answered-By')];
    },
    { baseURL: cloud.baseURL, model, via },
  );

test('a cloud’s address is answered on the device, also by a service worker that was just started', async ({
  page,
  site,
}) => {
  await serveIn(page, site, { intercept: [cloud.baseURL], aliases: { 'gpt-4o-mini': 'local' } });
  const answer = [expect.stringMatching(/^.{8}$/s), null];
  expect(await ask(page, 'gpt-4o-mini')).toEqual(answer);
  expect(await ask(page, 'gpt-4o-mini', 'server')).toEqual(answer);
  const session = await page.context().newCDPSession(page);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  expect(await ask(page, 'gpt-4o-mini')).toEqual(answer);
  // There is no answer for it here, and none from there.
  const status = (url: string) => page.evaluate(async (url) => (await fetch(url, { method: 'POST' })).status, url);
  expect(await status(`${cloud.baseURL}/images/generations`)).toBe(404);
  expect(cloud.asked).toEqual([]);

  // Beside that address, the cloud is the cloud.
  const beside = cloud.baseURL.replace('/v1', '/v2');
  await page.evaluate((url) => fetch(url, { method: 'POST', body: '{}' }), beside);
  expect(cloud.asked.map(({ path }) => path)).toEqual(['/v2']);
});

test('what the device can’t do goes to the upstream server, the intercepted one even, and the page can tell', async ({
  page,
  site,
}) => {
  const upstream = { baseURL: cloud.baseURL, apiKey: 'sk-of-the-site' };
  await serveIn(page, site, { intercept: [cloud.baseURL], upstream });
  expect(await ask(page, 'tiny')).toEqual([expect.stringMatching(/^.{8}$/s), 'device']);
  expect(cloud.asked).toEqual([]);
  expect(await ask(page, 'gpt-9')).toEqual(['From far away.', cloud.baseURL]);
  const [{ headers } = { headers: undefined }] = cloud.asked;
  expect([headers?.authorization, headers?.referer]).toEqual(['Bearer sk-of-the-site', undefined]);

  const text = await page.evaluate(async () => {
    const abort = new AbortController();
    const body = JSON.stringify({ model: 'gpt-9', stream: true, messages: [{ role: 'user', content: 'hello' }] });
    const response = await fetch('/v1/chat/completions', { method: 'POST', body, signal: abort.signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const text = (await reader?.read())?.value;
    abort.abort();
    return text;
  });
  expect(text).toContain('"content":"Far"');
  await cloud.abandoned;
  await expect
    .poll(() => page.evaluate(() => server.status.upstream))
    .toEqual({ baseURL: cloud.baseURL, answered: 2, lastReason: 'model_not_found' });
});

test('the console marks an answer that the upstream server gave', async ({ page, site, context }) => {
  const { host } = new URL(cloud.baseURL);
  await page.goto(site.url);
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
  // What the page says holds that was opened last.
  await serveIn(await context.newPage(), site, { upstream: { baseURL: cloud.baseURL } });
  await page.bringToFront();
  await expect(page.getByTestId('runtime')).toContainText(`else at ${host}`);
  const ask = async (question: string) => {
    await page.getByLabel('Your message').fill(question);
    await page.getByLabel('Your message').press('Enter');
    const answer = page.getByTestId('answer').last();
    await expect(answer).toHaveAttribute('data-state', /streaming|done/);
    return answer;
  };
  const near = await ask('hello');
  await expect(near).toHaveAttribute('data-state', /done|stopped/);
  await expect(near.getByText('Answered by')).toHaveCount(0);
  const far = await ask('a question that exceeds the context '.repeat(400));
  await expect(far).toContainText('Far');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(far.getByText(`Answered by ${host}`)).toBeVisible();
  // As a person finds it again.
  await page.reload();
  await expect(page.getByText(`Answered by ${host}`)).toBeVisible();
});

/** `http://127.0.0.1:8080/v1`, say: of a llama-server with one chat model, that is there for this and answers `/slots`. */
const LLAMA_SERVER = process.env.LLAMATAB_UPSTREAM;

test('a real llama-server as upstream: its answers, streams and errors, and its slot is free after an abort', async ({
  page,
  site,
}) => {
  test.skip(LLAMA_SERVER === undefined, 'LLAMATAB_UPSTREAM names none.');
  const baseURL = LLAMA_SERVER as string;
  await serveIn(page, site, { upstream: { baseURL } });
  const send = (body: object, path = 'chat/completions') =>
    page.evaluate(
      async ({ body, path }) => {
        const response = await fetch(`/v1/${path}`, { method: 'POST', body: JSON.stringify(body) });
        return {
          status: response.status,
          by: response.headers.get('X-Llamatab-Answered-By'),
          text: await response.text(),
        };
      },
      { body, path },
    );
  const messages = [{ role: 'user', content: 'What is the capital of France?' }];
  const body = { model: 'not-here', messages, max_tokens: 24, temperature: 0, seed: 1 };

  const there = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { choices, usage } = await there.json();
  const answer = await send(body);
  expect(answer).toMatchObject({ status: 200, by: baseURL });
  expect(JSON.parse(answer.text)).toMatchObject({ choices, usage: { completion_tokens: usage.completion_tokens } });

  const stream = await send({ ...body, stream: true });
  expect(stream).toMatchObject({ status: 200, by: baseURL });
  const events = stream.text.split('\n\n').filter((event) => event.startsWith('data: '));
  expect(events.pop()).toBe('data: [DONE]');
  const deltas = events.map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.delta?.content ?? '');
  expect(deltas.join('')).toBe(choices[0].message.content);

  const refused = await send({ ...body, messages: 'none' });
  expect(refused).toMatchObject({ status: 400 });

  const busy = async () => {
    const slots: { is_processing: boolean }[] = await (await fetch(new URL('/slots', baseURL))).json();
    return slots.filter((slot) => slot.is_processing).length;
  };
  await page.evaluate(
    async (body) => {
      const abort = new AbortController();
      const init = { method: 'POST', body: JSON.stringify(body), signal: abort.signal };
      const reader = (await fetch('/v1/chat/completions', init)).body?.getReader();
      await reader?.read();
      globalThis.abort = abort;
    },
    { ...body, max_tokens: 4000, ignore_eos: true, stream: true },
  );
  expect(await busy()).toBe(1);
  await page.evaluate(() => abort.abort());
  await expect.poll(busy).toBe(0);
});
