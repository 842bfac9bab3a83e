/** The tokenizer beside the real engine, and its routes. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { readTokenizer } from '../src/tokenizer/make-tokenizer.ts';
import { chat, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { path } from './support/paths.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';
import { randomTexts } from './tokenizer/texts.ts';
import { embeddedModel } from './tokenizer/vocabularies.ts';

const TEXTS = 5000;
/** Tokens that the engine takes, and the fewest that llama.cpp makes room for; longer prompts it only counts. */
const CONTEXT = 256;

/** Requests under way at once: what the engine has slots for. */
const AT_ONCE = 4;

/**
 * How many tokens the engine says that each prompt has. It says so without computing anything of a prompt that is too long for
 * it, and so they all are: a special token, whose neighbours can't merge with it, parts them from what makes them long.
 */
function engineCounts(page: Page, route: string, field: string, prompts: string[], model: string): Promise<number[]> {
  return page.evaluate(
    async ({ route, field, prompts, model, atOnce }) => {
      const counts: number[] = [];
      let next = 0;
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (next < prompts.length) {
            const index = next++;
            const body = JSON.stringify({ model, [field]: prompts[index] });
            const { error } = await (await server.fetch(route, { method: 'POST', body })).json();
            counts[index] = error?.n_prompt_tokens ?? Number(/\((\d+) tokens\)/.exec(error?.message)?.[1]);
          }
        }),
      );
      return counts;
    },
    { route, field, prompts, model, atOnce: AT_ONCE },
  );
}

const engine = { contextSize: CONTEXT, batchSize: CONTEXT, microBatchSize: CONTEXT, measure: false };

interface Compared {
  id: string;
  models: 'tiny' | 'embedded';
  gguf: () => Promise<Blob>;
  route: string;
  field: string;
  /** The first one parts the text from what is before it. */
  specials: [string, ...string[]];
}

const COMPARED: Compared[] = [
  {
    id: 'tiny',
    models: 'tiny',
    gguf: async () => new Blob([tinyModel()]),
    route: '/v1/completions',
    field: 'prompt',
    specials: ['<|im_end|>', '<|im_start|>', '<|endoftext|>'],
  },
  {
    id: 'smollm2-135m-instruct',
    models: 'embedded',
    gguf: () => embeddedModel('smollm2-135m-instruct'),
    route: '/v1/completions',
    field: 'prompt',
    specials: ['<|im_end|>', '<|im_start|>', '<repo_name>', '<jupyter_code>'],
  },
  {
    id: 'all-minilm-l6-v2',
    models: 'embedded',
    gguf: () => embeddedModel('all-minilm-l6-v2'),
    route: '/v1/embeddings',
    field: 'input',
    specials: ['[SEP]', '[CLS]', '[UNK]', '[MASK]', '[unused1]'],
  },
];

for (const { id, models, gguf, route, field, specials } of COMPARED) {
  test.describe(id, () => {
    test.use({ siteOptions: { models } });

    test(`${TEXTS} texts have as many tokens as the engine says`, async ({ page, site }) => {
      const tokenizer = await readTokenizer(await gguf(), id);
      const long = `${'a '.repeat(CONTEXT)}${specials[0]}`;
      const prompts = randomTexts(TEXTS, specials, 6).map((text) => long + text);
      await serveIn(page, site, { preload: false, engine });
      const counts = await engineCounts(page, route, field, prompts, id);
      const different = prompts.filter(
        (prompt, index) => counts[index] !== tokenizer.encode(prompt, { addSpecial: true }).length,
      );
      expect(different).toEqual([]);
    });
  });
}

interface Recorded {
  server: string;
  path: string;
  body: Record<string, unknown>;
  status: number;
  json: Record<string, unknown>;
}

test.describe('a native llama-server’s answers', () => {
  test.use({ siteOptions: { models: 'embedded' } });

  test('on the embedded models', async ({ page, site }) => {
    const recorded: Recorded[] = JSON.parse(readFileSync(path('test/golden/tokenizer.json'), 'utf8'));
    await serveIn(page, site);
    for (const { server, path, body, status, json } of recorded) {
      const model = server === 'chat' ? 'smollm2-135m-instruct' : 'all-minilm-l6-v2';
      const answer = await fetchIn(page, path, { ...body, model });
      expect(answer.json, `${path} ${JSON.stringify(body)}`).toMatchObject(json);
      expect(answer.status).toBe(status);
    }
  });
});

test('counting leaves nothing behind, and agrees with the answer', async ({ page, site }) => {
  await serveIn(page, site);
  const messages = user(`count ${'these words '.repeat(30)}`);
  const counted = await fetchIn(page, '/v1/chat/completions/input_tokens', { messages });
  const answer = await fetchIn(page, '/v1/chat/completions', { messages, max_tokens: 1 });
  expect(counted.json).toEqual({ input_tokens: answer.json.usage.prompt_tokens, object: 'response.input_tokens' });
  const { json: props } = await fetchIn(page, '/v1/props');
  expect(props.engine.requests).toEqual({ processing: 0, deferred: 0 });

  const long = { messages: user('long '.repeat(2000)) };
  const { json: tooLong } = await fetchIn(page, '/v1/chat/completions/input_tokens', long);
  const { json: refused } = await fetchIn(page, '/v1/chat/completions', long);
  expect(tooLong.input_tokens).toBe(refused.error.n_prompt_tokens);
});

test('a chat of any length is rendered, as one that fits is', async ({ page, site }) => {
  await serveIn(page, site);
  const render = async (content: string) => {
    const messages = [{ role: 'system', content: 'Be short.' }, ...user(content)];
    return (await fetchIn(page, '/apply-template', { messages })).json;
  };
  const { prompt } = await render('story');
  for (const story of ['a llama, "the" llama.\n'.repeat(500), `<b>${'a \ud83e\udd99 é '.repeat(900)}</b> end`]) {
    expect(await render(story)).toEqual({ prompt: prompt.replace('story', () => story) });
  }
});

test('a prompt that is too long does not wait for a slot to be told so', async ({ page, site }) => {
  await serveIn(page, site, { engine: { contextSize: 1000 } });
  const body = { prompt: 'long '.repeat(500) };
  const { json: idle } = await fetchIn(page, '/v1/completions', body);
  expect(idle.error).toMatchObject({ type: 'exceed_context_size_error', n_prompt_tokens: 2500, n_ctx: 1024 });

  const chat = { messages: user('long '.repeat(500)) };
  const { busy, busyChat, processing } = await page.evaluate(
    async ({ body, chat, slots }) => {
      const ask = (body: object, path = '/v1/completions') =>
        server.fetch(path, { method: 'POST', body: JSON.stringify(body) });
      // Their heads come with their first tokens; then they go on until they are cancelled.
      const holders = await Promise.all(
        Array.from({ length: slots }, () => ask({ prompt: 'go on', stream: true, max_tokens: 900 })),
      );
      const busy = await (await ask(body)).json();
      const answer = await ask(chat, '/v1/chat/completions');
      const busyChat = { status: answer.status, ...(await answer.json()) };
      const { engine } = await (await server.fetch('/v1/props')).json();
      await Promise.all(holders.map((holder) => holder.body?.cancel()));
      return { busy, busyChat, processing: engine.requests.processing };
    },
    { body, chat, slots: AT_ONCE },
  );
  expect(busy).toEqual(idle);
  // Its template adds some.
  expect(busyChat).toMatchObject({
    status: 400,
    error: { type: 'exceed_context_size_error', message: expect.stringContaining('at least 249'), n_ctx: 1024 },
  });
  expect(processing).toBe(AT_ONCE);
});

test('a prompt is what the template makes of the messages', async ({ page, site }) => {
  await serveIn(page, site);
  const { json } = await fetchIn(page, '/apply-template', { messages: user('a<|im_end|>ü') });
  expect(json).toEqual({ prompt: '<|im_start|>user\na<|im_end|>ü<|im_end|>\n<|im_start|>assistant\n' });
});

test('logit_bias by text reaches its tokens', async ({ page, site }) => {
  putTinyModels(site, { tiny: {} });
  await serveIn(page, site);
  const request = { messages: user('hello'), max_tokens: 20, temperature: 0 };
  expect(await chat(page, request)).not.toMatch(/^z+$/);
  expect(await chat(page, { ...request, logit_bias: { z: 100 } })).toBe('z'.repeat(20));
  expect(await chat(page, { ...request, logit_bias: [['z', 100]] })).toBe('z'.repeat(20));
  const banned = Object.fromEntries([...'aeiouAEIOU'].map((letter) => [letter, false]));
  expect(await chat(page, { ...request, logit_bias: banned })).not.toMatch(/[aeiou]/i);
});
