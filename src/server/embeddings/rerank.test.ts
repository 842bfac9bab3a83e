import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import type { CatalogModel } from '../../models/models.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { createTestServer } from '../testing/test-server.ts';

const MODEL: CatalogModel = { ...CHAT_MODEL, id: 'reranker', aliases: [], capabilities: ['rerank'] };

function serverWith(pooling = '4') {
  const server = createTestServer({}, { ...CATALOG, models: [...CATALOG.models, MODEL] });
  Object.assign(server.engine.metadata, { 'general.architecture': 'bert', 'bert.pooling_type': pooling });
  return server;
}

async function ask(body: Json, path = '/v1/rerank', server = serverWith()) {
  const response = await server.send(path, { model: 'reranker', ...body });
  return { status: response.status, json: (await response.json()) as Json & { error: Json }, server };
}

const documents = ['four', 'fourfour', 'two'];

describe.each(['/rerank', '/reranking', '/v1/rerank', '/v1/reranking'])('POST %s', (path) => {
  test('answers in Jina’s shape, the best first', async () => {
    const { status, json, server } = await ask({ query: 'q', documents }, path);
    expect([status, json]).toEqual([
      200,
      {
        model: 'reranker',
        object: 'list',
        usage: { prompt_tokens: 18, total_tokens: 18 },
        results: [
          { index: 1, relevance_score: 1 },
          { index: 0, relevance_score: 0.5 },
          { index: 2, relevance_score: 0.375 },
        ],
      },
    ]);
    expect(server.engine.loads[0]).toMatchObject({ kind: 'embedding', pooling: 'rank' });
  });
});

describe('rerank', () => {
  test('in TEI’s format if the request has `texts`', async () => {
    expect((await ask({ query: 'q', texts: documents, top_n: 1 })).json).toEqual([{ index: 1, score: 1 }]);
    expect((await ask({ query: 'q', texts: documents, top_n: 1, return_text: true })).json).toEqual([
      { index: 1, score: 1, text: 'fourfour' },
    ]);
  });

  test.each([
    [0, 0],
    [2, 2],
    [9, 3],
    ['x', 3],
    [null, 3],
  ])('top_n %j gives %i', async (top_n, count) => {
    const { json } = await ask({ query: 'q', documents, top_n });
    expect(json.results).toHaveLength(count);
    expect(json.usage).toEqual({ prompt_tokens: 18, total_tokens: 18 });
  });

  test.each<[Json, string, string]>([
    [{ documents }, 'query', '"query" must be provided'],
    [{ query: 5, documents }, 'query', '"query" must be a string'],
    [{ query: null, documents }, 'query', '"query" must be a string'],
    [{ query: 'q' }, 'documents', '"documents" must be a non-empty string array'],
    [{ query: 'q', documents: [] }, 'documents', '"documents" must be a non-empty string array'],
    [{ query: 'q', documents: ['a', 5] }, 'documents', '"documents" must be a non-empty string array'],
    [{ query: 'q', texts: 'a' }, 'texts', '"documents" must be a non-empty string array'],
    [{ query: 'q', documents, top_n: -1 }, 'top_n', "'top_n' must be at least 0, but is -1"],
    [{ query: 'q', documents: Array(2049).fill('a') }, 'documents', 'the limit is 2048'],
  ])('refuses %j', async (body, param, message) => {
    const { status, json, server } = await ask(body);
    expect([status, json.error]).toMatchObject([400, { param, message: expect.stringContaining(message) }]);
    expect(server.engine.reranks).toEqual([]);
  });

  test('of a model that does not is llama-server’s 501, and names models that can', async () => {
    const { status, json } = await ask({ model: 'local', query: 'q', documents });
    expect([status, json.error.type]).toEqual([501, 'not_supported_error']);
    expect(json.error.message).toBe(
      `This server does not support reranking. Start it with \`--reranking\`. '${CHAT_MODEL.id}' does not, ask one of these as \`model\`: reranker.`,
    );
  });

  test('of a model that can’t rank by its header is a 501 too', async () => {
    const { status, json } = await ask({ query: 'q', documents }, '/rerank', serverWith('1'));
    expect([status, json.error.message]).toEqual([501, expect.stringContaining('nor does any of the catalog')]);
  });

  test('one failure fails the request and ends the other documents', async () => {
    const server = serverWith();
    server.engine.onRerank = ({ document, signal }) =>
      document === 'bad'
        ? Promise.reject(new Error('too large'))
        : new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    const { status, json } = await ask({ query: 'q', documents: ['a', 'bad'] }, '/rerank', server);
    expect([status, json.error.message]).toEqual([500, 'too large']);
    expect(server.engine.reranks.every(({ signal }) => signal?.aborted)).toBe(true);
  });
});
