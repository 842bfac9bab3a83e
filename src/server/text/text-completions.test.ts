import { test as base, describe, expect } from 'vitest';
import type { CompletionRequest, Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { CHAT_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';
import { MAX_PROMPTS } from './text-completions.ts';

const COMPLETIONS = '/v1/completions';
const CHAT = '/v1/chat/completions';

const usage = (prompt_tokens: number, completion_tokens: number, cached_tokens = 0) => ({
  completion_tokens,
  prompt_tokens,
  total_tokens: prompt_tokens + completion_tokens,
  prompt_tokens_details: { cached_tokens },
});
const textResult = (text: string, finish_reason: string | null, more: Json = {}): Json => ({
  choices: [{ text, index: 0, logprobs: null, finish_reason }],
  object: 'text_completion',
  ...more,
});

/** Answers with its prompt and its seed, as many prompt tokens as there are characters; streamed, in two chunks. */
async function* echoPrompt({ body }: CompletionRequest): AsyncGenerator<Json> {
  const prompt = `${body.prompt}`;
  const end = { usage: usage(prompt.length, 2, 1), timings: { prompt_n: prompt.length } };
  const seed = ` ${(body.seed as number) % 1000}`;
  if (body.stream !== true) {
    yield textResult(`${prompt}${seed}`, 'length', end);
    return;
  }
  yield textResult(prompt, null);
  yield textResult(seed, null);
  yield textResult('', 'length', end);
}

const test = base.extend<{ server: TestServer }>({
  // biome-ignore lint/correctness/noEmptyPattern: Vitest's way
  server: async ({}, use) => {
    const server = createTestServer();
    server.engine.onComplete = echoPrompt;
    await use(server);
  },
});

async function answer(server: TestServer, body: Json, path = COMPLETIONS): Promise<{ status: number; json: Json }> {
  const response = await server.send(path, body);
  return { status: response.status, json: (await response.json()) as Json };
}

async function stream(server: TestServer, body: Json, path = COMPLETIONS): Promise<(Json | '[DONE]')[]> {
  const response = await server.send(path, { ...body, stream: true });
  return parseEvents(await response.text()) as (Json | '[DONE]')[];
}

const texts = (json: Json) => (json.choices as Json[]).map(({ index, text }) => [index, text]);

describe('several answers', () => {
  test('n: choices in order, each with a seed of its own, the prompt counted once', async ({ server }) => {
    const { json } = await answer(server, { prompt: 'abc', seed: 5, n: 3 });
    expect(texts(json)).toEqual([
      [0, 'abc 5'],
      [1, 'abc 6'],
      [2, 'abc 7'],
    ]);
    expect(json).toMatchObject({
      usage: usage(3, 6, 1),
      timings: { prompt_n: 3 },
      id: expect.stringMatching(/^chatcmpl-/),
    });
    expect(server.engine.completions.every(({ body }) => body.n_cmpl === undefined && body.n === undefined)).toBe(true);
  });

  test('without a seed, every answer has another', async ({ server }) => {
    await answer(server, { prompt: ['a', 'a'], n_cmpl: 2 });
    expect(new Set(server.engine.completions.map(({ body }) => body.seed)).size).toBe(4);
  });

  test('prompts and n: the answers of a prompt side by side', async ({ server }) => {
    const { json } = await answer(server, { prompt: ['a', 'bcd'], seed: 5, n: 2 });
    expect(texts(json)).toEqual([
      [0, 'a 5'],
      [1, 'a 6'],
      [2, 'bcd 5'],
      [3, 'bcd 6'],
    ]);
    expect(json.usage).toEqual(usage(4, 8, 2));
  });

  test('more prompts than slots: as many at once as there are slots', async ({ server }) => {
    let underWay = 0;
    let most = 0;
    server.engine.onComplete = async function* (request) {
      most = Math.max(most, ++underWay);
      await Promise.resolve();
      yield* echoPrompt(request);
      underWay--;
    };
    const prompt = Array.from({ length: 11 }, (_, index) => `${index}.`);
    const { json } = await answer(server, { prompt, seed: 1 });
    expect(texts(json)).toEqual(prompt.map((text, index) => [index, `${text} 1`]));
    expect(most).toBe(4);
  });

  test('streamed: chunks of all, one usage at the end, one [DONE]', async ({ server }) => {
    const events = await stream(server, { prompt: ['a', 'bc'], seed: 5, n: 2 });
    expect(events.filter((event) => event === '[DONE]')).toHaveLength(1);
    const chunks = events.slice(0, -1) as Json[];
    expect(events.at(-1)).toBe('[DONE]');
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    const joined = ['', '', '', ''];
    for (const chunk of chunks)
      for (const [index, text] of texts(chunk)) joined[index as number] = `${joined[index as number]}${text}`;
    expect(joined).toEqual(['a 5', 'a 6', 'bc 5', 'bc 6']);
    // They take turns.
    expect(
      chunks
        .slice(0, 4)
        .map((chunk) => texts(chunk)[0]?.[0])
        .sort(),
    ).toEqual([0, 1, 2, 3]);
    expect(chunks.filter((chunk) => chunk.usage !== undefined)).toEqual([chunks.at(-1)]);
    expect(chunks.at(-1)?.usage).toEqual(usage(3, 8, 2));
    expect(chunks.filter(({ choices }) => (choices as Json[])[0]?.finish_reason === 'length')).toHaveLength(4);
  });

  test('of a chat, and streamed with one usage chunk', async ({ server }) => {
    const messages = [{ role: 'user', content: 'Hi' }];
    server.engine.onComplete = async function* ({ body }) {
      const content = `${body.seed}`;
      const end = { usage: usage(7, 1), timings: {} };
      if (body.stream !== true) {
        const choices = [{ finish_reason: 'stop', index: 0, message: { role: 'assistant', content } }];
        yield { choices, object: 'chat.completion', ...end };
        return;
      }
      const object = 'chat.completion.chunk';
      yield { choices: [{ finish_reason: null, index: 0, delta: { content } }], object };
      yield { choices: [{ finish_reason: 'stop', index: 0, delta: {} }], object };
      yield { choices: [], object, ...end };
    };
    const { json } = await answer(server, { messages, seed: 3, n: 2 }, CHAT);
    expect(json).toMatchObject({
      choices: [
        { index: 0, message: { content: '3', refusal: null }, logprobs: null },
        { index: 1, message: { content: '4', refusal: null }, logprobs: null },
      ],
      usage: usage(7, 2),
    });
    const events = await stream(server, { messages, seed: 3, n: 2, stream_options: { include_usage: true } }, CHAT);
    expect(events.map((event) => event !== '[DONE]' && (event.choices as Json[]).map(({ index }) => index))).toEqual([
      [0],
      [1],
      [0],
      [1],
      [],
      false,
    ]);
    expect((events.at(-2) as Json).usage).toEqual(usage(7, 2));
  });

  test('too many prompts are refused', async ({ server }) => {
    const { status, json } = await answer(server, { prompt: Array(MAX_PROMPTS + 1).fill('a') });
    expect([status, json]).toMatchObject([
      400,
      { error: { param: 'prompt', message: expect.stringContaining('2049') } },
    ]);
  });
});

describe('an error of one of several', () => {
  const failSecond = (error: Error, after: number) =>
    async function* (request: CompletionRequest): AsyncGenerator<Json> {
      if (request.body.prompt === 'b') {
        for (let chunk = 0; chunk < after; chunk++) yield textResult('b', null);
        throw error;
      }
      if (request.body.stream === true) yield textResult('a', null);
      await new Promise((_, reject) => {
        request.signal?.addEventListener('abort', () => reject(request.signal?.reason));
      });
    };

  test('before a result is the answer, and ends the others', async ({ server }) => {
    server.engine.onComplete = failSecond(new LlamatabError('server_error', 'lost'), 0);
    expect(await answer(server, { prompt: ['a', 'b'] })).toMatchObject({
      status: 500,
      json: { error: { message: 'lost' } },
    });
    await expect.poll(() => server.engine.left).toBe(2);
  });

  test('in mid-stream is an event, without [DONE], and ends the others', async ({ server }) => {
    server.engine.onComplete = failSecond(new LlamatabError('server_error', 'lost'), 1);
    const events = await stream(server, { prompt: ['a', 'b'] });
    expect(events.at(-1)).toMatchObject({ error: { code: 500, message: 'lost' } });
    expect(events).not.toContain('[DONE]');
    await expect.poll(() => server.engine.left).toBe(2);
  });

  test('a prompt too long is known before any is computed', async ({ server }) => {
    const response = await server.send(COMPLETIONS, { prompt: ['a', 'b'.repeat(3000)], stream: true });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { type: 'exceed_context_size_error', n_prompt_tokens: 3000, n_ctx: 2048 } },
    ]);
    expect(server.engine.completions).toEqual([]);
  });

  test('aborting ends all', async ({ server }) => {
    const gate = new Gate<Json>();
    server.engine.onComplete = async function* ({ signal }) {
      yield textResult('a', null);
      await new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
      yield await gate.promise;
    };
    const response = await server.send(COMPLETIONS, { prompt: ['a', 'b', 'c'], stream: true });
    await response.body?.cancel();
    await expect.poll(() => server.engine.left).toBe(3);
    expect(server.engine.completions.every(({ signal }) => signal?.aborted)).toBe(true);
  });
});

describe('prompts', () => {
  const prompts = ({ engine }: TestServer) => engine.completions.map(({ body }) => body.prompt);

  // The fake tokenizer's tokens are bytes.
  test.for<[unknown, string[]]>([
    ['Hi', ['Hi']],
    [[72, 105], ['Hi']],
    [['H', 105], ['Hi']],
    [[72, 'i', ' you'], ['Hi you']],
    [
      [[72], 'you', ['y', 111, 'u']],
      ['H', 'you', 'you'],
    ],
    [{ prompt_string: 'Hi' }, ['Hi']],
    [
      [{ prompt_string: ['H', 105] }, 'you'],
      ['Hi', 'you'],
    ],
    [[[]], ['']],
    [[195, 164], ['ä']],
  ])('%j', async ([prompt, expected], { server }) => {
    const { status } = await answer(server, { prompt });
    expect([status, prompts(server)]).toEqual([200, expected]);
  });

  test.for<[unknown, string]>([
    [[72, 49152], 'Prompt contains invalid tokens'],
    [[-1], 'Prompt contains invalid tokens'],
    [[72, null], '"prompt" elements must be a string'],
    [['a', 5, null], '[json.exception.type_error.302] type must be number, but is null'],
    [{ prompt_string: 5 }, '[json.exception.type_error.302] type must be string, but is number'],
    [
      { prompt_string: 'a', multimodal_data: [] },
      'Multimodal data provided, but model does not support multimodal requests.',
    ],
    // Half a character.
    [[72, 195], "the prompt [72, 195] can't be given to it so: no text is tokenized to just these ids"],
  ])('%j is refused', async ([prompt, message], { server }) => {
    expect(await answer(server, { prompt })).toMatchObject({
      status: 400,
      json: { error: { type: 'invalid_request_error', param: 'prompt', message: expect.stringContaining(message) } },
    });
    expect(server.engine.completions).toEqual([]);
  });

  test('a model that wants BOS gets it where a text comes first, and else it must be there', async ({ server }) => {
    server.engine.tokenizer = { ...server.engine.tokenizer, added: { before: [1], after: [] } };
    const { encode, decode } = server.engine.tokenizer;
    server.engine.tokenizer.encode = (text, { addSpecial } = {}) => [...(addSpecial ? [1] : []), ...encode(text)];
    server.engine.tokenizer.decode = (tokens) => decode(tokens);
    await answer(server, { prompt: [1, 72, 105] });
    await answer(server, { prompt: ['H', 105] });
    expect(prompts(server)).toEqual(['Hi', 'Hi']);
    expect(await answer(server, { prompt: [72, 105] })).toMatchObject({
      status: 400,
      json: { error: { message: expect.stringContaining("this model's prompts begin with 1") } },
    });
  });

  test('with images, for a model that sees', async () => {
    const server = createTestServer({}, seeing());
    server.engine.onComplete = echoPrompt;
    server.engine.media = { image: true };
    const { media_marker } = (await (await server.send('/props')).json()) as { media_marker: string };
    const prompt = { prompt_string: `See ${media_marker}: `, multimodal_data: [btoa('image')] };
    expect((await answer(server, { prompt })).status).toBe(200);
    expect(server.engine.completions).toMatchObject([
      { body: { prompt: 'See <__media__>: ' }, files: [new TextEncoder().encode('image')] },
    ]);
  });
});

/** A catalog of one model that sees. */
function seeing(): Catalog {
  const model: CatalogModel = { ...CHAT_MODEL, capabilities: ['completion', 'vision'] };
  return { version: 1, default: model.id, models: [model] };
}

describe('echo', () => {
  test('puts the prompt before the text', async ({ server }) => {
    server.engine.onComplete = async function* () {
      yield textResult(' you', 'stop', { usage: usage(2, 1) });
    };
    const { json } = await answer(server, { prompt: ['Hi', [111, 104]], echo: true });
    expect(texts(json)).toEqual([
      [0, 'Hi you'],
      [1, 'oh you'],
    ]);
  });

  test('streamed: once, at the beginning of each', async ({ server }) => {
    const events = (await stream(server, { prompt: 'Hi', seed: 5, echo: true })).slice(0, -1) as Json[];
    expect(events.map((event) => texts(event)[0]?.[1])).toEqual(['HiHi', ' 5', '']);
  });

  test('alone, with max_tokens 0', async ({ server }) => {
    const { json } = await answer(server, { prompt: 'Hi', echo: true, max_tokens: 0 });
    expect(texts(json)).toEqual([[0, 'Hi']]);
  });

  test('not with logprobs', async ({ server }) => {
    expect(await answer(server, { prompt: 'Hi', echo: true, logprobs: 1 })).toMatchObject({
      status: 400,
      json: { error: { param: 'echo', message: expect.stringContaining('logprobs') } },
    });
  });
});

describe('best_of', () => {
  /** The third answer to a prompt is the best, the first the second best. */
  const MEANS = [-2, -3, -1, -9];
  const scored = (server: TestServer) => {
    server.engine.onComplete = async function* ({ body }) {
      const place = (body.seed as number) - 100;
      const content = [0, 2 * (MEANS[place] ?? 0)].map((logprob) => ({ logprob }));
      const choices = [{ text: `${body.prompt}${place}`, index: 0, logprobs: { content }, finish_reason: 'stop' }];
      yield { choices, object: 'text_completion', usage: usage(5, 2) };
    };
  };

  test('gives the n answers with the highest mean log probability, and counts all', async ({ server }) => {
    scored(server);
    const { json } = await answer(server, { prompt: ['a', 'b'], seed: 100, best_of: 4, n: 2 });
    expect(json.choices).toEqual([
      { text: 'a2', index: 0, logprobs: null, finish_reason: 'stop' },
      { text: 'a0', index: 1, logprobs: null, finish_reason: 'stop' },
      { text: 'b2', index: 2, logprobs: null, finish_reason: 'stop' },
      { text: 'b0', index: 3, logprobs: null, finish_reason: 'stop' },
    ]);
    expect(json.usage).toEqual(usage(10, 16));
    expect(server.engine.completions.every(({ body }) => body.n_probs === 1)).toBe(true);
  });

  test('keeps the log probabilities that were asked for', async ({ server }) => {
    scored(server);
    const { json } = await answer(server, { prompt: 'a', seed: 100, best_of: 3, logprobs: 2 });
    expect(json.choices).toMatchObject([{ text: 'a2', logprobs: { content: [{ logprob: 0 }, { logprob: -2 }] } }]);
    expect(server.engine.completions.every(({ body }) => body.n_probs === 2)).toBe(true);
  });

  test('as many as n is nothing more', async ({ server }) => {
    const { json } = await answer(server, { prompt: 'a', seed: 5, best_of: 1, stream: false });
    expect(texts(json)).toEqual([[0, 'a 5']]);
  });

  test.for<[Json, string]>([
    [{ best_of: 'x' }, "Field 'best_of': [json.exception.type_error.302] type must be number, but is string"],
    [{ best_of: 21 }, "Field 'best_of': Value must be between 1 <= value <= 20, but got 21"],
    [{ best_of: 1, n: 2 }, "'best_of' must be at least 'n', which is 2, but is 1"],
    [
      { best_of: 2, stream: true },
      "'best_of' can't be streamed: which answer is best is known at the end. Leave out 'stream'.",
    ],
  ])('%j is refused', async ([body, message], { server }) => {
    expect(await answer(server, { prompt: 'a', ...body })).toMatchObject({
      status: 400,
      json: { error: { param: 'best_of', message } },
    });
  });
});
