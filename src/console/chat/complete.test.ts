import { describe, expect, it } from 'vitest';
import { type CompletionEvent, type CompletionRequest, complete } from './complete.ts';

const request: CompletionRequest = { model: 'local', messages: [{ role: 'user', content: 'Hi' }] };
const chunk = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const stream = (...parts: string[]) =>
  new Response(parts.join(''), { headers: { 'Content-Type': 'text/event-stream' } });

/** Runs one completion against `response`; returns its events, and the error that ended it. */
async function run(response: Response) {
  const sent: { url: string; body: Record<string, unknown> }[] = [];
  const fetch: typeof globalThis.fetch = async (url, init) => {
    sent.push({ url: String(url), body: JSON.parse(String(init?.body)) });
    return response;
  };
  const events: CompletionEvent[] = [];
  const error = await (async () => {
    for await (const event of complete(fetch, 'https://site/v1', request, new AbortController().signal)) {
      events.push(event);
    }
  })().catch((reason: unknown) => reason);
  return { sent, events, error };
}

describe('complete', () => {
  it("asks for a stream with usage, and tells llama-server's chunks apart", async () => {
    const { sent, events, error } = await run(
      stream(
        chunk({ choices: [{ index: 0, finish_reason: null, delta: { role: 'assistant', content: null } }] }),
        chunk({ choices: [{ index: 0, finish_reason: null, delta: { reasoning_content: 'Hm.' } }] }),
        chunk({ choices: [{ index: 0, finish_reason: null, delta: { content: 'Hello' } }] }),
        ':\n\n',
        chunk({ choices: [{ index: 0, finish_reason: 'stop', delta: {} }] }),
        chunk({
          choices: [],
          usage: { prompt_tokens: 9, completion_tokens: 2 },
          timings: { predicted_per_second: 41.5 },
        }),
        'data: [DONE]\n\n',
      ),
    );
    expect(error).toBeUndefined();
    expect(sent).toEqual([
      {
        url: 'https://site/v1/chat/completions',
        body: { ...request, stream: true, stream_options: { include_usage: true } },
      },
    ]);
    expect(events).toEqual([
      { type: 'reasoning', text: 'Hm.' },
      { type: 'text', text: 'Hello' },
      { type: 'finish', reason: 'stop' },
      { type: 'usage', promptTokens: 9, tokens: 2, rate: 41.5 },
    ]);
  });

  it('throws the error envelope of a refused request', async () => {
    const error = { code: 400, message: 'request (300 tokens) exceeds …', type: 'exceed_context_size_error' };
    const result = await run(Response.json({ error }, { status: 400 }));
    expect(result.error).toMatchObject({ name: 'ApiError', type: error.type, message: error.message });
  });

  it('tells when another server answered', async () => {
    const by = async (name: string) => {
      const response = stream(chunk({ choices: [{ delta: { content: 'Far' } }] }), 'data: [DONE]\n\n');
      response.headers.set('X-Llamatab-Answered-By', name);
      return (await run(response)).events;
    };
    const text = { type: 'text', text: 'Far' };
    expect(await by('device')).toEqual([text]);
    expect(await by('https://llm.example/v1')).toEqual([{ type: 'elsewhere', host: 'llm.example' }, text]);
  });

  it('keeps what came before an error within the stream', async () => {
    const { events, error } = await run(
      stream(
        chunk({ choices: [{ delta: { content: 'Hel' } }] }),
        chunk({ error: { code: 500, message: 'Context size has been exceeded.', type: 'server_error' } }),
      ),
    );
    expect(events).toEqual([{ type: 'text', text: 'Hel' }]);
    expect(error).toMatchObject({ type: 'server_error', message: 'Context size has been exceeded.' });
  });

  it('notices a stream that breaks off', async () => {
    const { error } = await run(stream(chunk({ choices: [{ delta: { content: 'Hel' } }] })));
    expect(error).toMatchObject({ type: 'incomplete' });
  });

  it("tells a static host's page from an answer", async () => {
    for (const status of [200, 404]) {
      const { error } = await run(new Response('<h1>Hi</h1>', { status, headers: { 'Content-Type': 'text/html' } }));
      expect(error).toMatchObject({ type: 'not_an_answer', message: expect.stringContaining(`HTTP ${status}`) });
    }
  });
});
