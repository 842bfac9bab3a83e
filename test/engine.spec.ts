/** The real engine under load: order, seeds, aborts, errors of one request that must stay that request's. */
import type { Page } from '@playwright/test';
import { addFile, chat, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';
import { tinyArchitecture } from './tiny-model/tiny-architectures.ts';

const SLOTS = 4;

/** Requests that hold a slot or wait for one. */
const load = (page: Page) =>
  page.evaluate(async () => {
    const props = await (await fetch('/v1/props')).json();
    return props.engine.requests as { processing: number; deferred: number };
  });

test('the same seed gives the same text, alone and four at a time', async ({ page, site }) => {
  await serveIn(page, site);
  const requests = Array.from({ length: 12 }, (_, index) => ({
    messages: user(`question ${index}: ${'word '.repeat(index * 3)}`),
    temperature: 1,
    seed: 1000 + index,
    max_tokens: 60,
  }));
  const alone: string[] = [];
  for (const request of requests) alone.push(await chat(page, request));
  expect(new Set(alone).size).toBe(12);

  const together: string[] = [];
  for (let first = 0; first < requests.length; first += SLOTS) {
    together.push(...(await Promise.all(requests.slice(first, first + SLOTS).map((request) => chat(page, request)))));
  }
  expect(together).toEqual(alone);
});

test('without a seed, texts differ', async ({ page, site }) => {
  await serveIn(page, site);
  const request = { messages: user('hello'), temperature: 1.5, max_tokens: 40 };
  expect(await chat(page, request)).not.toBe(await chat(page, request));
});

test('20 requests at once are all answered, in order of arrival', async ({ page, site }) => {
  await serveIn(page, site);
  await page.evaluate(() => server.models.load());
  const finished = await page.evaluate(async () => {
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const body = { prompt: `request ${index}`, max_tokens: 12, stream: true };
        const response = await server.fetch('/v1/completions', { method: 'POST', body: JSON.stringify(body) });
        // The head comes with the first token.
        order.push(index);
        const text = await response.text();
        if (response.status !== 200 || !text.endsWith('data: [DONE]\n\n')) throw new Error(`${index}: ${text}`);
      }),
    );
    return order;
  });
  expect(finished).toHaveLength(20);
  // Equally long answers begin in waves of as many as there are slots; within a wave they begin together.
  finished.forEach((index, place) => {
    expect(Math.abs(index - place)).toBeLessThan(SLOTS);
  });
});

for (const [moment, chunks, stream] of [
  ['before its first token', 0, true],
  ['mid-stream', 3, true],
  ['before its only answer', 0, false],
] as const) {
  test(`a request aborted ${moment} frees its slot: more of them than slots, then a normal request`, async ({
    page,
    site,
  }) => {
    await serveIn(page, site);
    await page.evaluate(() => server.models.load());
    await page.evaluate(
      async ({ count, chunks, stream }) => {
        await Promise.all(
          Array.from({ length: count }, async (_, index) => {
            const abort = new AbortController();
            const body = { prompt: `${index} ${'long '.repeat(100)}`, max_tokens: 1500, stream };
            const request = fetch('/v1/completions', {
              method: 'POST',
              body: JSON.stringify(body),
              signal: abort.signal,
            });
            if (chunks === 0) {
              // Under way: the engine has it, and has not answered.
              for (;;) {
                const { engine } = await (await fetch('/v1/props')).json();
                if (engine.requests.processing > 0) break;
              }
              abort.abort();
              await request.catch(() => {});
              return;
            }
            const reader = (await request).body?.getReader();
            for (let read = 0; read < chunks; read++) await reader?.read();
            abort.abort();
            await reader?.read().catch(() => {});
          }),
        );
      },
      { count: SLOTS + 1, chunks, stream },
    );
    await expect.poll(() => load(page)).toEqual({ processing: 0, deferred: 0 });
    expect(await chat(page, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
  });
}

test('a request that llama.cpp refuses does not touch the others', async ({ page, site }) => {
  await serveIn(page, site);
  const long = { messages: user('hello'), max_tokens: 200, seed: 7 };
  const expected = await chat(page, long);
  const [content, ...refused] = await Promise.all([
    chat(page, long),
    ...Array.from({ length: SLOTS }, () =>
      fetchIn(page, '/v1/completions', { prompt: 'x', grammar: 'root ::= nowhere', max_tokens: 4 }),
    ),
  ]);
  expect(content).toBe(expected);
  for (const { status, json } of refused) {
    expect(status).toBe(400);
    expect(json.error).toMatchObject({
      type: 'invalid_request_error',
      message: expect.stringContaining('failed to parse grammar'),
    });
  }
});

test('a prompt longer than the context: the numbers, plain JSON even for a stream, and no harm done', async ({
  page,
  site,
}) => {
  await serveIn(page, site);
  for (const stream of [false, true]) {
    const { status, headers, json } = await fetchIn(page, '/v1/chat/completions', {
      messages: user('x'.repeat(3000)),
      stream,
    });
    expect(status).toBe(400);
    expect(headers['content-type']).toContain('application/json');
    expect(json.error).toMatchObject({ type: 'exceed_context_size_error', code: 400, n_ctx: 2048 });
    expect(json.error.n_prompt_tokens).toBeGreaterThan(3000);
  }
  expect(await chat(page, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
});

test('an answer that fills the context ends there', async ({ page, site }) => {
  await serveIn(page, site, { engine: { contextSize: 256 } });
  const { json } = await fetchIn(page, '/v1/completions', { prompt: 'hello' });
  expect(json.choices[0].finish_reason).toBe('length');
  expect(json.usage.total_tokens).toBeLessThanOrEqual(256);
});

test('with a context that shifts it goes on, and is told to be truncated', async ({ page, site }) => {
  await serveIn(page, site, { engine: { contextSize: 256, contextShift: true } });
  const { json } = await fetchIn(page, '/completion', { prompt: 'hello', n_predict: 300, ignore_eos: true });
  expect(json).toMatchObject({ tokens_predicted: 300, truncated: true, stop_type: 'limit' });
  const short = (await fetchIn(page, '/completion', { prompt: 'hello', n_predict: 8, ignore_eos: true })).json;
  expect(short).toMatchObject({ tokens_predicted: 8, truncated: false });
});

test('a context that is larger than the model was trained for is cut, with a word', async ({ page, site }) => {
  await serveIn(page, site, { engine: { contextSize: 100_000 } });
  const { json: props } = await fetchIn(page, '/props');
  expect(props.engine.contextSize).toBeLessThan(100_000);
  expect(props.engine.contextNote).toContain('asks for 100000 tokens of context');
});

test.describe('every parameter takes effect', () => {
  const base = { prompt: 'the quick brown fox', max_tokens: 40, seed: 11, temperature: 1 };
  const cases: [name: string, change: object][] = [
    ['max_tokens', { max_tokens: 5 }],
    ['temperature', { temperature: 0 }],
    ['top_p', { top_p: 0.05 }],
    ['top_k', { top_k: 1 }],
    ['min_p', { min_p: 0.9 }],
    ['repeat_penalty', { repeat_penalty: 1.8, repeat_last_n: 40 }],
    ['presence_penalty', { presence_penalty: 2 }],
    ['frequency_penalty', { frequency_penalty: 2 }],
    ['seed', { seed: 12 }],
    ['model', { model: 'tiny-2' }],
    ['prompt', { prompt: 'another prompt' }],
  ];
  test('on the text', async ({ page, site }) => {
    await serveIn(page, site);
    const text = async (body: object) => (await fetchIn(page, '/v1/completions', body)).json.choices[0].text;
    const expected = await text(base);
    expect(await text({ ...base, model: 'local' })).toBe(expected);
    expect(await text({ ...base, model: 'tiny' })).toBe(expected);
    for (const [name, change] of cases) {
      expect(await text({ ...base, ...change }), name).not.toBe(expected);
    }
  });

  test('stop, as string and array, is not part of the text', async ({ page, site }) => {
    await serveIn(page, site);
    const { json } = await fetchIn(page, '/v1/completions', base);
    const text: string = json.choices[0].text;
    const stop = text.slice(10, 12);
    for (const value of [stop, ['never there', stop]]) {
      for (const stream of [false, true]) {
        const answer = await fetchIn(page, '/v1/completions', { ...base, stop: value, stream });
        const chunks = stream
          ? answer.text
              .split('\n\n')
              .filter((event) => event.startsWith('data: {'))
              .map((event) => JSON.parse(event.slice(6)).choices[0])
          : answer.json.choices;
        expect(chunks.map((choice: { text: string }) => choice.text).join('')).toBe(text.slice(0, text.indexOf(stop)));
        expect(chunks.at(-1).finish_reason).toBe('stop');
      }
    }
  });
});

test('a model of a family that came to llama.cpp with this version of wllama loads and answers', async ({
  page,
  site,
}) => {
  await serveIn(page, site);
  const model = await addFile(page, 'newcomer.gguf', tinyArchitecture({ architecture: 'maion-coder' }));
  // Longer than its first layer's window.
  const request = { model, messages: user('Once upon a time. '.repeat(8)), temperature: 0, ignore_eos: true };
  const { status, json } = await fetchIn(page, '/v1/chat/completions', { ...request, max_tokens: 24 });
  expect(status, json?.error?.message).toBe(200);
  expect(json).toMatchObject({ model, usage: { completion_tokens: 24 } });
  expect(await chat(page, { ...request, max_tokens: 24 })).toBe(json.choices[0].message.content);
});
