/** Code for people to copy. `path` is the path of the server's base URL, `/v1`. */

export function fetchSnippet(path: string): string {
  return `const response = await fetch('${path}/chat/completions', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    model: 'local',
    messages: [{ role: 'user', content: 'What is the capital of France?' }],
  }),
});
(await response.json()).choices[0].message.content;`;
}

export function embeddingsSnippet(path: string, model: string): string {
  return `const response = await fetch('${path}/embeddings', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ model: '${model}', input: ['a llama', 'a browser tab'] }),
});
(await response.json()).data.map(({ embedding }) => embedding);`;
}

export const sdkSnippet = `import OpenAI from 'openai';
import { serve } from 'llamatab';

const server = await serve();
const openai = new OpenAI({
  baseURL: server.baseURL,
  fetch: server.fetch, // works on the first visit too, before the service worker controls the page
  apiKey: 'local',
  dangerouslyAllowBrowser: true, // there is no secret key
});

const stream = await openai.chat.completions.create({
  model: 'local',
  stream: true,
  messages: [{ role: 'user', content: 'What is the capital of France?' }],
});
for await (const chunk of stream) {
  console.log(chunk.choices[0]?.delta.content ?? '');
}`;
