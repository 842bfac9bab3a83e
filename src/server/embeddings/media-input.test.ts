import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CATALOG, EMBEDDING_MODEL } from '../testing/catalog.ts';
import { createTestServer } from '../testing/test-server.ts';

const SEER = { ...EMBEDDING_MODEL, id: 'seer', aliases: [], capabilities: ['embedding' as const, 'vision' as const] };
const RED = { type: 'image_url', image_url: { url: 'data:image/png;base64,AQID' } };
const text = (text: string) => ({ type: 'text', text });

function seeing(media = { image: true }) {
  const server = createTestServer({}, { ...CATALOG, models: [SEER, EMBEDDING_MODEL] });
  server.engine.media = media;
  return server;
}

async function embed(input: unknown, server = seeing(), model = 'seer') {
  const response = await server.send('/v1/embeddings', { model, input });
  return { status: response.status, json: (await response.json()) as { error: Json; data: Json[] }, server };
}

test('each content is one embedding: its texts and markers joined, and its images', async () => {
  const { json, server } = await embed([
    { content: [text('a'), RED, text('b')] },
    'only text',
    [5, 6],
    { content: [RED] },
  ]);
  expect(json.data.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  expect(server.engine.embeddings.map(({ input, files }) => [input, files?.map((file) => [...file])])).toEqual([
    ['only text', undefined],
    [[5, 6], undefined],
    ['a<__media__>b', [[1, 2, 3]]],
    ['<__media__>', [[1, 2, 3]]],
  ]);
});

test('one content alone, and llama-server’s own route', async () => {
  const { json } = await embed({ content: [RED] });
  expect(json.data).toHaveLength(1);
  const server = seeing();
  const native = await server.send('/embedding', { model: 'seer', content: [{ content: [text('x'), RED] }] });
  expect(await native.json()).toEqual([{ index: 0, embedding: [[0.6, 0.8, 0, 0]] }]);
  expect(server.engine.embeddings[0]).toMatchObject({ input: 'x<__media__>' });
});

test.each([
  [[], 400, '"input" must not be empty'],
  [{ content: 'x' }, 400, '"content" must be an array'],
  [{ content: [] }, 400, 'Input content cannot be empty'],
  [{ content: [text('')] }, 400, 'Input content cannot be empty'],
  [{ content: [{ type: 'smell' }] }, 400, 'unsupported content[].type'],
  [{ content: [5] }, 400, 'unsupported content[].type'],
  [{ content: [{ type: 'image_url', image_url: { url: 'file:///x' } }] }, 400, 'file:// URLs are not allowed'],
  [{ content: [{ type: 'input_audio', input_audio: { data: 'AAAA' } }] }, 500, 'audio input is not supported'],
])('%j', async (input, status, message) => {
  const answer = await embed(input);
  expect([answer.status, answer.json.error]).toMatchObject([
    status,
    { param: 'input', message: expect.stringContaining(message) },
  ]);
  expect(answer.server.engine.embeddings).toEqual([]);
});

test('a model that is blind, by its catalog entry or in fact', async () => {
  const message = expect.stringContaining('image input is not supported');
  const blind = await embed({ content: [RED] }, seeing(), EMBEDDING_MODEL.id);
  expect([blind.status, blind.json.error]).toMatchObject([500, { message, param: 'input' }]);
  const inFact = await embed({ content: [RED] }, seeing({ image: false }));
  expect([inFact.status, inFact.json.error]).toMatchObject([500, { message, param: 'input' }]);
});
