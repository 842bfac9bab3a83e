/** The models that ship with the project make sense. `conformance.spec.ts` holds them against a native llama-server. */
import { readFileSync } from 'node:fs';
import { chat, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';
import { cosine } from './support/golden.ts';
import { path } from './support/paths.ts';

test.use({ siteOptions: { models: 'embedded' } });
// Two slow cores need minutes for a few dozen answers of 135 million parameters.
test.slow();

interface RecordedEmbeddings {
  request: { input: string | string[] };
  answer: { usage: object; embeddings: number[][] };
}

const read = (name: string) => JSON.parse(readFileSync(path(`test/golden/${name}`), 'utf8'));

test('Paris', async ({ page, site }) => {
  await serveIn(page, site);
  const { json } = await fetchIn(page, '/v1/completions', {
    model: 'smollm2-135m',
    prompt: 'The capital of France is',
    temperature: 0,
    max_tokens: 4,
  });
  expect(json.choices[0].text).toContain('Paris');
  // The embedding model was not asked for, so it was not downloaded.
  expect(site.requests.filter((path) => path.includes('MiniLM'))).toEqual([]);
});

test('SmolLM2 gives the same text for the same seed, alone and four at a time', async ({ page, site }) => {
  await serveIn(page, site);
  const requests = Array.from({ length: 8 }, (_, index) => ({
    messages: user(`Tell me ${'very '.repeat(index)}briefly about the number ${index}.`),
    temperature: 1,
    seed: 100 + index,
    max_tokens: 32,
  }));
  const alone: string[] = [];
  for (const request of requests) alone.push(await chat(page, request));
  const together = [
    ...(await Promise.all(requests.slice(0, 4).map((request) => chat(page, request)))),
    ...(await Promise.all(requests.slice(4).map((request) => chat(page, request)))),
  ];
  expect(together).toEqual(alone);
});

test('MiniLM embeds as a native llama-server does, beside a chat', async ({ page, site }) => {
  await serveIn(page, site);
  await page.evaluate(() => server.models.load());
  const story = fetchIn(page, '/v1/completions', { prompt: 'Once upon a time', max_tokens: 60, stream: true });
  for (const { request, answer } of read('embeddings.json') as RecordedEmbeddings[]) {
    const { status, json } = await fetchIn(page, '/v1/embeddings', { ...request, model: 'all-minilm-l6-v2' });
    expect(status).toBe(200);
    expect(json.usage).toEqual(answer.usage);
    expect(json.data).toHaveLength(answer.embeddings.length);
    answer.embeddings.forEach((expected, index) => {
      expect(json.data[index].index).toBe(index);
      expect(cosine(json.data[index].embedding, expected), JSON.stringify(request.input)).toBeGreaterThan(
        SAME_DIRECTION,
      );
    });
  }
  expect((await story).text).toContain('data: [DONE]');

  // The OpenAI client asks for base64 and decodes it.
  const [recorded] = read('embeddings.json') as RecordedEmbeddings[];
  const embedding = await page.evaluate(async (input) => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const answer = await openai.embeddings.create({ model: 'all-MiniLM-L6-v2', input: input as string });
    return answer.data[0]?.embedding;
  }, recorded?.request.input);
  expect(cosine(embedding as number[], recorded?.answer.embeddings[0] as number[])).toBeGreaterThan(SAME_DIRECTION);

  const refused = await fetchIn(page, '/v1/embeddings', { input: 'hello' });
  expect(refused.status).toBe(501);
  expect(refused.json.error.message).toContain('This server does not support embeddings.');
});

/** Cosine of two embeddings that are the same but for the order of summing. */
const SAME_DIRECTION = 0.9995;
