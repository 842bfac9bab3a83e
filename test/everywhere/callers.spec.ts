/** Whoever calls `/v1` on the site gets an answer: pages, the OpenAI client, iframes, workers. */
import { expect, test } from '../support/everywhere.ts';
import { chat, fetchIn, serveIn, user } from '../support/fixtures.ts';
import { startUpstreamServer } from '../support/upstream-server.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('fetch in the page that serves', async ({ tab, site }) => {
  await serveIn(tab, site);
  expect(await tab.evaluate(() => server.status.intercepts)).toBe(true);
  const { status, headers, json } = await fetchIn(tab, '/v1/chat/completions', question);
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/json; charset=utf-8');
  expect(headers['x-llamatab']).toMatch(/^\d+\.\d+\.\d+$/);
  expect(json).toMatchObject({
    id: expect.stringMatching(/^chatcmpl-[A-Za-z0-9]{32}$/),
    object: 'chat.completion',
    created: expect.any(Number),
    model: 'tiny',
    system_fingerprint: expect.stringMatching(/^b\d+-[0-9a-f]+$/),
    choices: [{ index: 0, finish_reason: 'length', message: { role: 'assistant', content: expect.any(String) } }],
    usage: { completion_tokens: 8, prompt_tokens: expect.any(Number), total_tokens: expect.any(Number) },
    timings: { predicted_n: 8 },
  });
  expect(json.choices[0].message.content).toHaveLength(8);
  expect(json.usage.total_tokens).toBe(json.usage.prompt_tokens + 8);
});

test('a stream, event by event', async ({ tab, site }) => {
  await serveIn(tab, site);
  const whole = await chat(tab, question);
  const { headers, text } = await fetchIn(tab, '/v1/chat/completions', {
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(headers['content-type']).toBe('text/event-stream');
  const events = text.split('\n\n').filter(Boolean);
  expect(events.every((event) => event.startsWith('data: '))).toBe(true);
  expect(events.at(-1)).toBe('data: [DONE]');
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)));
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(whole);
  expect(chunks.at(-2).choices[0].finish_reason).toBe('length');
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
});

test('the OpenAI client, unmodified: chat, completions, models, errors, abort', async ({ tab, site }) => {
  await serveIn(tab, site);
  const result = await tab.evaluate(async () => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const messages = [{ role: 'user' as const, content: 'hello' }];
    const whole = await openai.chat.completions.create({ model: 'local', messages, max_tokens: 8, seed: 1 });
    let streamed = '';
    const stream = await openai.chat.completions.create({
      model: 'local',
      messages,
      max_tokens: 8,
      seed: 1,
      stream: true,
    });
    for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';

    const completion = await openai.completions.create({ model: 'tiny-2', prompt: 'once', max_tokens: 8, seed: 1 });
    let text = '';
    for await (const chunk of await openai.completions.create({
      model: 'tiny-2',
      prompt: 'once',
      max_tokens: 8,
      seed: 1,
      stream: true,
    })) {
      text += chunk.choices[0]?.text ?? '';
    }

    const models: string[] = [];
    for await (const model of openai.models.list()) models.push(model.id);
    const one = await openai.models.retrieve('tiny');

    const refused = await openai.chat.completions
      .create({ model: 'gpt-9', messages })
      .catch((error: { status: number; type: string; message: string; param: string }) => error);

    const long = await openai.chat.completions.create({ model: 'local', messages, max_tokens: 1500, stream: true });
    let chunks = 0;
    for await (const _ of long) if (++chunks === 5) long.controller.abort();

    return {
      whole: whole.choices[0]?.message.content,
      streamed,
      completion: completion.choices[0]?.text,
      text,
      models,
      one: one.id,
      refused: 'status' in refused && { ...refused, message: refused.message },
      chunks,
    };
  });
  expect(result.whole).toHaveLength(8);
  expect(result.streamed).toBe(result.whole);
  expect(result.completion).toHaveLength(8);
  expect(result.text).toBe(result.completion);
  expect(result.models).toEqual(['tiny', 'tiny-2']);
  expect(result.one).toBe('tiny');
  expect(result.refused).toMatchObject({ status: 404, type: 'model_not_found', param: 'model' });
  // What had come before the abort may still be read.
  expect(result.chunks).toBeGreaterThanOrEqual(5);
  expect(result.chunks).toBeLessThan(1500);
});

test('server.fetch on the very first load, before a service worker controls the page', async ({ tab, site }) => {
  await tab.goto(`${site.url}test/app.html`);
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  const content = await tab.evaluate(async () => {
    if (navigator.serviceWorker.controller) throw new Error('controlled already');
    const server = await llamatab.serve();
    const openai = new OpenAI({
      baseURL: server.baseURL,
      apiKey: 'local',
      dangerouslyAllowBrowser: true,
      fetch: server.fetch,
    });
    const answer = await openai.chat.completions.create({
      model: 'local',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 8,
    });
    return answer.choices[0]?.message.content;
  });
  expect(content).toHaveLength(8);
});

test('server.fetch sends what is not the server’s to the network', async ({ tab, site }) => {
  await serveIn(tab, site);
  const { status, text } = await fetchIn(tab, '/test/worker.js', undefined, 'server');
  expect(status).toBe(200);
  expect(text).toContain('A worker of the site');
});

test('any other page of the site, an iframe and a Web Worker', async ({ tab, site, newTab }) => {
  await serveIn(tab, site);
  const expected = await chat(tab, question);

  const other = await newTab();
  await other.goto(`${site.url}test/plain.html`);
  expect(await chat(other, question)).toBe(expected);

  const inFrame = await other.evaluate(async (question) => {
    const iframe = document.createElement('iframe');
    iframe.src = 'plain.html';
    const loaded = new Promise((resolve) => iframe.addEventListener('load', resolve));
    document.body.append(iframe);
    await loaded;
    const { fetch } = iframe.contentWindow as Window & typeof globalThis;
    const response = await fetch('/v1/chat/completions', { method: 'POST', body: JSON.stringify(question) });
    return (await response.json()).choices[0].message.content;
  }, question);
  expect(inFrame).toBe(expected);

  const inWorker = await other.evaluate(
    (question) =>
      new Promise<{ body: { choices: { message: { content: string } }[] } }>((resolve) => {
        const worker = new Worker('worker.js');
        worker.onmessage = ({ data }) => resolve(data);
        worker.postMessage(question);
      }),
    question,
  );
  expect(inWorker.body.choices[0]?.message.content).toBe(expected);
});

test('a site below the root of its origin', async ({ tab, site }) => {
  site.mount('/project/');
  await tab.goto(`${site.url}project/test/app.html`);
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  await tab.evaluate(async () => {
    globalThis.server = await llamatab.serve({ base: '/project/', catalog: '/models/catalog.json' });
  });
  expect(await tab.evaluate(() => server.baseURL)).toBe(`${site.url}project/v1`);
  const { status, json } = await fetchIn(tab, '/project/v1/chat/completions', question);
  expect([status, json.choices[0].message.content.length]).toEqual([200, 8]);
});

test('without a page that serves, the answer says what to do', async ({ tab, site, newTab }) => {
  await serveIn(tab, site);
  const other = await newTab();
  await other.goto(`${site.url}test/plain.html`);
  await other.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await tab.close();
  const { status, json } = await fetchIn(other, '/v1/chat/completions', question);
  expect(status).toBe(503);
  expect(json.error).toMatchObject({ type: 'unavailable_error', message: expect.stringContaining('calls serve()') });
});

test('a cloud’s address is answered here, and there only what the device can’t do', async ({ tab, site }) => {
  const cloud = await startUpstreamServer();
  try {
    await serveIn(tab, site, { intercept: [cloud.baseURL], upstream: { baseURL: cloud.baseURL } });
    const ask = (model: string) => fetchIn(tab, `${cloud.baseURL}/chat/completions`, { ...question, model });
    const here = await ask('tiny');
    expect([here.status, here.headers['x-llamatab-answered-by'], cloud.asked]).toEqual([200, 'device', []]);
    const there = await ask('gpt-9');
    expect(there.headers['x-llamatab-answered-by']).toBe(cloud.baseURL);
    expect(there.json.choices[0].message.content).toBe('From far away.');
    expect(cloud.asked.map(({ path }) => path)).toEqual(['/v1/chat/completions']);
  } finally {
    await cloud.close();
  }
});
