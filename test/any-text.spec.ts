/**
 * Text that is not English, on the real engine. A token of the tiny model is a byte, so that an answer can stop in the middle of
 * each character, and a grammar makes it say what we want.
 */
import type { Page } from '@playwright/test';
import { expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

const SCRIPTS = ['Καλημέρα', 'Привет', 'नमस्ते', 'مرحبا', '日本語', '안녕'];
/** One of two, three and four bytes each, a combining mark, and people who are joined to one sign. */
const MIXED = 'é日🦙ا̂👩🏽‍🦰';
const LLAMAS = '🦙🦙🦙🦙';

const saying = (text: string) => ({ grammar: `root ::= ${JSON.stringify(text)}`, temperature: 0 });
const bytesOf = (text: string) => [...new TextEncoder().encode(text)];
/** What of a text is whole in its first bytes. */
const wholeIn = (text: string, bytes: number) =>
  new TextDecoder().decode(Uint8Array.from(bytesOf(text).slice(0, bytes)), { stream: true });

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, gap: { infill: true } });
  await serveIn(page, site);
});

/** Messages take no grammar: they are a chat's answers in another shape, tested with a fake engine. */
interface Route {
  path: string;
  /** Of `limit` tokens. */
  ask: (limit: number) => object;
  // biome-ignore lint/suspicious/noExplicitAny: answers are of many shapes
  text: (answer: any) => string;
  // biome-ignore lint/suspicious/noExplicitAny: so are events
  delta: (event: any) => string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: answers are of many shapes
  cut: (answer: any) => boolean;
}

const ROUTES: Route[] = [
  {
    path: '/v1/chat/completions',
    ask: (max_tokens) => ({ messages: user('x'), max_tokens }),
    text: ({ choices }) => choices[0].message.content,
    delta: ({ choices }) => choices[0]?.delta.content,
    cut: ({ choices }) => choices[0].finish_reason === 'length',
  },
  {
    path: '/v1/completions',
    ask: (max_tokens) => ({ prompt: 'x', max_tokens }),
    text: ({ choices }) => choices[0].text,
    delta: ({ choices }) => choices[0]?.text,
    cut: ({ choices }) => choices[0].finish_reason === 'length',
  },
  {
    path: '/completion',
    ask: (n_predict) => ({ prompt: 'x', n_predict }),
    text: ({ content }) => content,
    delta: ({ content }) => content,
    cut: ({ stop_type }) => stop_type === 'limit',
  },
  {
    path: '/infill',
    ask: (n_predict) => ({ model: 'gap', input_prefix: 'x', input_suffix: 'y', n_predict }),
    text: ({ content }) => content,
    delta: ({ content }) => content,
    cut: ({ stop_type }) => stop_type === 'limit',
  },
  {
    path: '/v1/responses',
    ask: (max_output_tokens) => ({ input: 'x', max_output_tokens }),
    text: ({ output }) => output[0]?.content[0].text ?? '',
    delta: ({ type, delta }) => (type === 'response.output_text.delta' ? delta : undefined),
    cut: ({ output, usage }) => output.length < 2 && usage.output_tokens > 0,
  },
];

async function expectWhole(page: Page, { path, ask, text, delta, cut }: Route, said: string): Promise<void> {
  for (let limit = 1; limit <= bytesOf(said).length; limit++) {
    const request = { ...ask(limit), ...saying(said) };
    const { status, json } = await fetchIn(page, path, request);
    const what = `${path}, ${limit} of ${said}`;
    expect(status, what).toBe(200);
    expect([text(json), cut(json)], what).toEqual([wholeIn(said, limit), true]);

    const stream = await fetchIn(page, path, { ...request, stream: true });
    const events = [...stream.text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''));
    expect(events.map(delta).join(''), `${what}, streamed`).toBe(wholeIn(said, limit));
  }
}

for (const route of ROUTES) {
  test(`${route.path} stops after each token`, async ({ page }) => {
    await expectWhole(page, route, MIXED);
  });
}

test('a chat stops after each token of five scripts and more', async ({ page }) => {
  const [chat] = ROUTES as [Route];
  for (const script of [...SCRIPTS, LLAMAS]) await expectWhole(page, chat, script);
});

test('several answers, of which each is whole', async ({ page }) => {
  const request = { prompt: ['x', 'y'], n: 2, max_tokens: 6, ...saying(LLAMAS) };
  const { status, json } = await fetchIn(page, '/v1/completions', request);
  expect([status, json.choices.map(({ text }: { text: string }) => text)]).toEqual([200, ['🦙', '🦙', '🦙', '🦙']]);
});

interface Named {
  token: string;
  bytes: number[];
  logprob: number;
  top_logprobs: Named[];
}

/** Each entry is a token that made characters whole, and what came before it of them. */
function expectEntries(entries: Named[], said: string, alternatives: number): void {
  expect(entries.flatMap(({ bytes }) => bytes)).toEqual(bytesOf(said));
  for (const entry of entries) {
    expect(entry.logprob).toBeLessThanOrEqual(0);
    expect(entry.token).toBe(new TextDecoder().decode(Uint8Array.from(entry.bytes)));
    expect(entry.top_logprobs).toHaveLength(alternatives);
    for (const { token, bytes } of entry.top_logprobs) {
      expect(token).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    }
  }
}

test('logprobs of a chat: no alternatives unless asked for', async ({ page }) => {
  const said = '日本🦙é';
  for (const [top_logprobs, alternatives] of [
    [undefined, 0],
    [0, 0],
    [1, 1],
    [20, 20],
  ] as const) {
    const request = { messages: user('x'), logprobs: true, top_logprobs, ...saying(said) };
    const { status, json } = await fetchIn(page, '/v1/chat/completions', request);
    expect([status, json.choices[0].message.content]).toEqual([200, said]);
    expectEntries(json.choices[0].logprobs.content, said, alternatives);

    const { text } = await fetchIn(page, '/v1/chat/completions', { ...request, stream: true });
    const streamed = [...text.matchAll(/^data: (\{.*)$/gm)].flatMap(
      ([, data]) => JSON.parse(data ?? '').choices[0]?.logprobs?.content ?? [],
    );
    // The token that ends an answer has no chunk.
    expect(streamed).toEqual(json.choices[0].logprobs.content.slice(0, -1));
  }
});

test('logprobs where a part of a character is likely', async ({ page }) => {
  // All of the vocabulary, whose upper half are parts of characters.
  const request = { messages: user('x'), logprobs: true, top_logprobs: 259, ...saying('é') };
  const { status, json } = await fetchIn(page, '/v1/chat/completions', request);
  expect(status).toBe(200);
  const [{ top_logprobs }] = json.choices[0].logprobs.content as [Named];
  expect(top_logprobs.filter(({ token }) => token === '\uFFFD')).toHaveLength(128);
});

for (const prompt of ['Τι κάνεις;', 'hello 👩‍👩‍👧‍👦', 'e\u0301']) {
  test(`logprobs of the answer to ${prompt}`, async ({ page }) => {
    for (const [path, request] of [
      ['/v1/chat/completions', { messages: user(prompt), logprobs: true }],
      ['/v1/chat/completions', { messages: user(prompt), logprobs: true, top_logprobs: 20 }],
      ['/v1/completions', { prompt, logprobs: 5 }],
      ['/completion', { prompt, n_probs: 5 }],
      ['/completion', { prompt, n_probs: 5, post_sampling_probs: true }],
    ] as const) {
      const { status, json } = await fetchIn(page, path, { ...request, max_tokens: 3, seed: 1 });
      expect([status, json.error], path).toEqual([200, undefined]);
      const entries = json.completion_probabilities ?? json.choices[0].logprobs.content;
      expect(entries, path).toHaveLength(3);
      const stream = await fetchIn(page, path, { ...request, max_tokens: 3, seed: 1, stream: true });
      expect(stream.text, path).not.toContain('"error"');
    }
  });
}
