/** Embeddings: each request that a native llama-server was sent, on the same model. Scores: a tiny reranker's. */
import { readFileSync } from 'node:fs';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';
import { path } from './support/paths.ts';

test.use({ siteOptions: { models: 'embedded' } });

interface Vector {
  length: number;
  /** Euclidean. */
  norm: number;
  /** The first values. */
  begin: number[];
}

interface Recorded {
  path: string;
  request: { encoding_format?: string; dimensions?: number; model?: string };
  status: number;
  error?: Record<string, unknown>;
  native?: true;
  usage?: object;
  vectors?: Vector[];
}

const RECORDED: Recorded[] = JSON.parse(readFileSync(path('test/golden/embedding-routes.json'), 'utf8'));

/** The engine sums in another order than the native one; int8 weights make that show in the third digit. */
const SAME_DIRECTION = 0.999;
const SAME_LENGTH = 0.01;

function decoded(embedding: number[] | string): number[] {
  if (typeof embedding !== 'string') return embedding;
  const bytes = Buffer.from(embedding, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

function cosine(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

test('every recorded request', async ({ page, site }) => {
  // The recorded server held this model only; any name meant it.
  await serveIn(page, site, { model: 'all-minilm-l6-v2', aliases: { '*': 'local' } });
  expect((await fetchIn(page, '/props')).json).toMatchObject({
    model_alias: 'all-minilm-l6-v2',
    model_ftype: 'Q8_0',
    default_generation_settings: { n_ctx: 512 },
    total_slots: 4,
    bos_token: '[CLS]',
    eos_token: '[SEP]',
  });
  for (const { path, request, status, error, native, usage, vectors = [] } of RECORDED) {
    const what = `${path} ${JSON.stringify(request).slice(0, 80)}`;
    const answer = await fetchIn(page, path, request);
    if (error && /too large to process/.test(String(error.message))) {
      const message = expect.stringContaining(`${error.message}. That is 'input'`);
      expect([answer.status, answer.json.error], what).toMatchObject([400, { type: 'invalid_request_error', message }]);
      continue;
    }
    // What is wrong with the inputs is a 400 since llama.cpp b11434.
    if (status === 500) {
      expect([what, answer.status, answer.json.error.type]).toEqual([what, 400, 'invalid_request_error']);
      continue;
    }
    expect([what, answer.status]).toEqual([what, status]);
    if (error) {
      expect(answer.json.error, what).toMatchObject(error);
      continue;
    }
    const entries: { index: number; embedding: unknown }[] = native ? answer.json : answer.json.data;
    expect(entries.map(({ index }) => index)).toEqual(vectors.map((_, index) => index));
    if (!native) expect(answer.json.usage, what).toEqual(usage);
    vectors.forEach((expected, index) => {
      const { embedding } = entries[index] as { embedding: number[] & number[][] };
      const values = decoded(native ? (embedding[0] as number[]) : embedding);
      // Here the issue asks for more than llama-server gives.
      const cut = native ? undefined : request.dimensions;
      expect(values.length, what).toBe(cut ?? expected.length);
      expect(cosine(values.slice(0, expected.begin.length), expected.begin), what).toBeGreaterThan(SAME_DIRECTION);
      expect(Math.abs(Math.hypot(...values) / expected.norm - 1), what).toBeLessThan(SAME_LENGTH);
    });
  }
});

test.describe('reranking', () => {
  test.use({ siteOptions: { models: 'tiny' } });

  test('scores documents, the best first', async ({ page, site }) => {
    putTinyModels(site, { reranker: { pooling: 'rank' } });
    await serveIn(page, site);
    const query = 'which animal purrs';
    const documents = ['a dog barks', 'cats purr', 'it rains', 'cats purr', 'the cat'];
    const { status, json } = await fetchIn(page, '/v1/rerank', { query, documents });
    expect([status, json.model, json.object]).toEqual([200, 'reranker', 'list']);
    const results: { index: number; relevance_score: number }[] = json.results;
    expect(results.map(({ index }) => index).toSorted()).toEqual([0, 1, 2, 3, 4]);
    const scores = results.map(({ relevance_score }) => relevance_score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    const scoreOf = (document: number) => results.find(({ index }) => index === document)?.relevance_score as number;
    // The same document scores the same but for the order of summing, which what runs beside it decides; another does not.
    expect(scoreOf(1)).toBeCloseTo(scoreOf(3), 2);
    expect(Math.abs(scoreOf(0) - scoreOf(2))).toBeGreaterThan(0.05);
    expect(json.usage.total_tokens).toBeGreaterThan(query.length * documents.length * 0.8);

    // One by one, and in TEI's shape.
    for (const [index, document] of documents.entries()) {
      const alone = (await fetchIn(page, '/rerank', { query, texts: [document], return_text: true })).json;
      expect(alone).toEqual([{ index: 0, score: expect.closeTo(scoreOf(index), 2), text: document }]);
    }
    const best = (await fetchIn(page, '/reranking', { query, documents, top_n: 2 })).json;
    expect(best.results).toHaveLength(2);
    const other = (await fetchIn(page, '/v1/reranking', { query: 'rain', documents })).json;
    expect(other.results[0].relevance_score).not.toBeCloseTo(scores[0] as number, 2);

    const long = await fetchIn(page, '/rerank', { query, documents: ['short', 'a b c d '.repeat(60)] });
    expect([long.status, long.json.error.message]).toEqual([
      400,
      expect.stringMatching(
        /^input \(\d+ tokens\) is too large to process.* That is documents\[1\], one of 2: send it/,
      ),
    ]);
    expect((await fetchIn(page, '/v1/embeddings', { input: 'x' })).status).toBe(501);
    expect((await fetchIn(page, '/rerank', { query, documents })).status).toBe(200);
  });

  test('pooling none: no vector of a text', async ({ page, site }) => {
    putTinyModels(site, { pieces: { pooling: 'none' }, mean: { pooling: 'mean' } });
    await serveIn(page, site);
    const { status, json } = await fetchIn(page, '/v1/embeddings', { input: 'cat' });
    expect([status, json.error.message]).toEqual([
      400,
      "Pooling type 'none' is not OAI compatible. Please use a different pooling type",
    ]);
    expect((await fetchIn(page, '/embedding', { input: 'cat' })).status).toBe(501);
    expect((await fetchIn(page, '/embedding', { input: 'cat', model: 'mean' })).json[0].embedding[0]).toHaveLength(64);
    expect((await fetchIn(page, '/rerank', { query: 'cat', documents: ['cat'] })).status).toBe(501);
  });
});
