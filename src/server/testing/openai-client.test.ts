/** The official client, unmodified, over `fetch`. */
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { CHAT_MODEL, EMBEDDING_MODEL } from './catalog.ts';
import { createTestServer } from './test-server.ts';

function connect() {
  const server = createTestServer();
  const openai = new OpenAI({
    baseURL: 'https://site/v1',
    apiKey: 'local',
    maxRetries: 0,
    fetch: (url, init) => server.fetch(new Request(url, init)),
  });
  return { server, openai };
}

const messages = [{ role: 'user' as const, content: 'Hi' }];

test('chat', async () => {
  const { openai } = connect();
  const completion = await openai.chat.completions.create({ model: 'local', messages });
  expect(completion.choices[0]?.message).toEqual({ role: 'assistant', content: 'Paris.', refusal: null });
});

test('streamed chat, and stopping it', async () => {
  const { openai, server } = connect();
  server.engine.onComplete = async function* () {
    for (;;) yield { choices: [{ index: 0, delta: { content: 'a' } }], object: 'chat.completion.chunk' };
  };
  const stream = await openai.chat.completions.create({ model: 'local', messages, stream: true });
  let text = '';
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content;
    if (text.length === 5) break;
  }
  expect(text).toBe('aaaaa');
  await expect.poll(() => server.engine.left).toBe(1);
});

test('embeddings, which it asks for in base64', async () => {
  const { openai } = connect();
  const { data } = await openai.embeddings.create({ model: 'all-minilm-l6-v2', input: ['a', 'b'] });
  expect(data.map(({ embedding }) => Array.from(embedding))).toEqual(Array(2).fill([0.6, 0.8, 0, 0].map(Math.fround)));
});

test('models', async () => {
  const { openai } = connect();
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  expect(ids).toEqual([CHAT_MODEL.id, EMBEDDING_MODEL.id]);
  expect((await openai.models.retrieve(EMBEDDING_MODEL.id)).id).toBe(EMBEDDING_MODEL.id);
});

test('errors', async () => {
  const { openai } = connect();
  const asked = openai.chat.completions.create({ model: 'gpt-4', messages });
  await expect(asked).rejects.toMatchObject({ status: 404, type: 'model_not_found', param: 'model' });
});
