import { expect, it } from 'vitest';
import { embeddingsSnippet, fetchSnippet } from './snippets.ts';

/** Runs a snippet as the developer tools do: its last expression is its result. */
async function run(snippet: string, answer: unknown) {
  const sent: { url: string; body: unknown }[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    sent.push({ url, body: JSON.parse(String(init.body)) });
    return Response.json(answer);
  };
  const lastLine = snippet.lastIndexOf('\n') + 1;
  const body = `${snippet.slice(0, lastLine)}return ${snippet.slice(lastLine)}`;
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  return { sent, result: await new AsyncFunction('fetch', body)(fetch) };
}

it('asks for a chat completion and shows its text', async () => {
  const { sent, result } = await run(fetchSnippet('/v1'), { choices: [{ message: { content: 'Paris.' } }] });
  expect(result).toBe('Paris.');
  expect(sent).toMatchObject([{ url: '/v1/chat/completions', body: { model: 'local', messages: [{ role: 'user' }] } }]);
});

it('asks for embeddings and shows the vectors', async () => {
  const { sent, result } = await run(embeddingsSnippet('/app/v1', 'minilm'), { data: [{ embedding: [1, 2] }] });
  expect(result).toEqual([[1, 2]]);
  expect(sent).toMatchObject([{ url: '/app/v1/embeddings', body: { model: 'minilm' } }]);
});
