import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { createTestServer } from '../testing/test-server.ts';

// The fake model's tokens are bytes.
const ask = async (path: string, body: unknown, server = createTestServer()) => {
  const response = await server.send(path, body);
  return { status: response.status, json: (await response.json()) as Json };
};
const fault = (type: string, message: string, param: string | null) => ({
  error: expect.objectContaining({ type, message, param }),
});

describe('/tokenize', () => {
  test.each(['/tokenize', '/v1/tokenize'])('%s gives ids', async (path) => {
    expect(await ask(path, { content: 'hé' })).toEqual({ status: 200, json: { tokens: [104, 195, 169] } });
  });

  test('gives text, or bytes of partial characters', async () => {
    const { json } = await ask('/tokenize', { content: 'hé', with_pieces: true });
    expect(json.tokens).toEqual([
      { id: 104, piece: 'h' },
      { id: 195, piece: [195] },
      { id: 169, piece: [169] },
    ]);
  });

  test('takes texts and ids mixed; without content there are no tokens', async () => {
    expect((await ask('/tokenize', { content: ['a', 5, 'b', true] })).json).toEqual({ tokens: [97, 5, 98, 1] });
    expect((await ask('/tokenize', {})).json).toEqual({ tokens: [] });
  });

  test.each([
    [5, '[json.exception.type_error.302] type must be string, but is number'],
    [null, '[json.exception.type_error.302] type must be string, but is null'],
    [[{}], '[json.exception.type_error.302] type must be number, but is object'],
  ])('content %j is refused', async (content, message) => {
    expect(await ask('/tokenize', { content })).toEqual({
      status: 500,
      json: fault('server_error', message, 'content'),
    });
  });

  test('a text of more than 2 Mi characters is refused', async () => {
    const content = 'a'.repeat(2 ** 21 + 1);
    const message = "'content' has 2097153 characters; the limit is 2097152. Send it in parts.";
    expect(await ask('/tokenize', { content })).toEqual({
      status: 400,
      json: fault('invalid_request_error', message, 'content'),
    });
  });

  test('knows models by name', async () => {
    expect((await ask('/tokenize', { content: 'a', model: 'nobody' })).status).toBe(404);
    expect((await ask('/tokenize', { content: 'a', model: 'all-minilm-l6-v2' })).json).toEqual({ tokens: [97] });
  });
});

describe('/detokenize', () => {
  test.each(['/detokenize', '/v1/detokenize'])('%s gives text', async (path) => {
    expect((await ask(path, { tokens: [104, 195, 169] })).json).toEqual({ content: 'hé' });
  });

  test('bytes that are no text become U+FFFD; without tokens there is no text', async () => {
    expect((await ask('/detokenize', { tokens: [195] })).json).toEqual({ content: '\ufffd' });
    expect((await ask('/detokenize', {})).json).toEqual({ content: '' });
  });

  test.each([
    ['x', '[json.exception.type_error.302] type must be array, but is string'],
    [['x'], '[json.exception.type_error.302] type must be number, but is string'],
  ])('tokens %j are refused', async (tokens, message) => {
    expect(await ask('/detokenize', { tokens })).toEqual({
      status: 500,
      json: fault('server_error', message, 'tokens'),
    });
  });
});

const CHAT = { messages: [{ role: 'user', content: 'a' }] };

describe('/apply-template', () => {
  test.each(['/apply-template', '/v1/apply-template'])('%s asks the engine', async (path) => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield { __verbose: { prompt: '<|im_start|>user\na' } };
    };
    const { json } = await ask(path, { ...CHAT, stream: true, max_tokens: 100 }, server);
    expect(json).toEqual({ prompt: '<|im_start|>user\na' });
    expect(server.engine.completions[0]).toMatchObject({
      kind: 'chat',
      body: { ...CHAT, stream: false, n_predict: 1, verbose: true },
    });
  });

  test('of a chat that is longer than the context, without its long texts at first', async () => {
    const server = createTestServer();
    server.engine.onComplete = async function* ({ body }) {
      const [{ content }] = body.messages as [{ content: string }];
      if (content.length > 1000) {
        throw new LlamatabError('exceed_context_size_error', 'too long', { n_prompt_tokens: 9999, n_ctx: 2048 });
      }
      yield { __verbose: { prompt: `<user>${content.trim()}<assistant>` } };
    };
    const story = `${'word '.repeat(2000)}The end.`;
    const send = (content: string) => ask('/apply-template', { messages: [{ role: 'user', content }] }, server);
    expect((await send(`\n${story}\n`)).json).toEqual({ prompt: `<user>${story}<assistant>` });
    // Nothing in it is long.
    expect(await send('<a>'.repeat(400))).toMatchObject({ status: 400, json: { error: { n_prompt_tokens: 9999 } } });
  });

  test('refuses what chat refuses', async () => {
    expect(await ask('/apply-template', {})).toEqual({
      status: 400,
      json: fault('invalid_request_error', "'messages' is required", 'messages'),
    });
  });
});

describe('counting', () => {
  const counting = (total: number) => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield { choices: [], prompt_progress: { total, cache: 0, processed: 0, time_ms: 0 } };
      throw new Error('asked for more than was needed');
    };
    return server;
  };

  test.each([
    ['/chat/completions/input_tokens', CHAT],
    ['/v1/chat/completions/input_tokens', CHAT],
    ['/responses/input_tokens', { input: 'a' }],
    ['/v1/responses/input_tokens', { input: 'a' }],
  ])('%s leaves the engine as soon as it knows', async (path, body) => {
    const server = counting(43);
    expect((await ask(path, body, server)).json).toEqual({ input_tokens: 43, object: 'response.input_tokens' });
    expect(server.engine.left).toBe(1);
  });

  test('/v1/messages/count_tokens has no object', async () => {
    const body = { ...CHAT, max_tokens: 1 };
    expect((await ask('/v1/messages/count_tokens', body, counting(31))).json).toEqual({ input_tokens: 31 });
  });

  test('counts even a prompt that is too long for the model', async () => {
    const server = createTestServer();
    // biome-ignore lint/correctness/useYield: it fails before it yields
    server.engine.onComplete = async function* () {
      throw new LlamatabError('exceed_context_size_error', 'too long', { n_prompt_tokens: 9999, n_ctx: 2048 });
    };
    expect((await ask('/chat/completions/input_tokens', CHAT, server)).json).toMatchObject({ input_tokens: 9999 });
  });

  test('a model that only embeds has llama.cpp’s own template', async () => {
    const chat = {
      model: 'all-minilm-l6-v2',
      messages: [
        { role: 'system', content: 'S' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
      ],
    };
    const prompt = '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n';
    expect((await ask('/apply-template', chat)).json).toEqual({ prompt });
    // The fake model's tokens are bytes.
    expect((await ask('/v1/chat/completions/input_tokens', chat)).json.input_tokens).toBe(prompt.length);
  });
});
