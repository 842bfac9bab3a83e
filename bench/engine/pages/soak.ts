/** Sends requests to the built site through its service worker, as a user would. */
import { serve } from 'llamatab';
import type { SoakAnswer, SoakPage, SoakRequest } from '../protocol.ts';
import { answerCalls } from './answer-calls.ts';

const MODEL = 'local';
const EMBEDDING_MODEL = 'all-minilm-l6-v2';

async function post(route: string, body: object, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(`/v1/${route}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response;
}

async function send(request: SoakRequest): Promise<SoakAnswer> {
  switch (request.type) {
    case 'chat': {
      const response = await post('chat/completions', { model: MODEL, messages: request.messages, max_tokens: 2 });
      const { choices, usage } = await response.json();
      const cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0;
      return { text: choices[0].message.content ?? '', promptTokens: usage.prompt_tokens, cachedTokens };
    }
    case 'embedding': {
      const response = await post('embeddings', { model: EMBEDDING_MODEL, input: request.input });
      const { usage } = await response.json();
      return { text: '', promptTokens: usage.prompt_tokens, cachedTokens: 0 };
    }
    case 'abort': {
      const abort = new AbortController();
      const body = { model: MODEL, messages: request.messages, stream: true };
      const response = await post('chat/completions', body, abort.signal);
      await response.body?.getReader().read();
      abort.abort();
      return { text: '', promptTokens: 0, cachedTokens: 0 };
    }
  }
}

answerCalls<SoakPage>({
  async start() {
    const { status } = await serve();
    if (!status.intercepts) throw new Error(status.interceptsNot);
    const response = await fetch(`/v1/props?model=${MODEL}`);
    const { engine } = await response.json();
    return engine.wasm;
  },
  async send(requests) {
    const answers = [];
    for (const request of requests) answers.push(await send(request));
    return answers;
  },
});
