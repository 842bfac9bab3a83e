/** Requests to a native llama-server and what it answered, replayed: see recorded-answers/README.md. */
import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { CATALOG, EMBEDDING_MODEL } from './catalog.ts';
import { parseEvents } from './parse-events.ts';
import accepted from './recorded-answers/accepted.json' with { type: 'json' };
import answers from './recorded-answers/answers.json' with { type: 'json' };
import errors from './recorded-answers/errors.json' with { type: 'json' };
import { createTestServer, type TestServer } from './test-server.ts';

interface Recorded {
  server?: string;
  method: string;
  path: string;
  body?: unknown;
  raw?: string;
}

/** The recorded servers held one model each; any name meant it. */
function serverOf(recorded: Recorded): TestServer {
  const catalog = recorded.server === 'embeddings' ? { ...CATALOG, default: EMBEDDING_MODEL.id } : CATALOG;
  const server = createTestServer({ aliases: { '*': 'local' } }, catalog);
  server.engine.tokenizer = CODE_POINTS;
  return server;
}

/** A token for each character, so that any ids in the transcripts stand for a text. */
const CODE_POINTS: Tokenizer = {
  size: 0x110000,
  added: { before: [], after: [] },
  infill: {},
  parts: (text) => [text],
  encode: (text) => Array.from(text, (character) => character.codePointAt(0) as number),
  decode: (tokens) => String.fromCodePoint(...tokens),
  piece: (token) => new TextEncoder().encode(String.fromCodePoint(token)),
};

function replay(server: TestServer, { method, path, body, raw }: Recorded): Promise<Response> {
  return server.send(path, raw ?? body, { method });
}

const nameOf = ({ method, path, body, raw }: Recorded) => `${method} ${path} ${raw ?? JSON.stringify(body) ?? ''}`;

/** Where an issue asks for more than llama-server gives. */
const UNSUPPORTED_EMBEDDINGS = 'This server does not support embeddings. Start it with `--embeddings`';

/** llama.cpp b11434 made the fault of the prompt one of the request's, as it is for completions. */
const SINCE_B11434: Record<string, Json> = {
  '"prompt" must not be empty': { code: 400, type: 'invalid_request_error', message: '"input" must not be empty' },
  '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of mixed strings & tokens.':
    { code: 400, type: 'invalid_request_error' },
};

/** What is said today. */
function current({ path, status, error }: (typeof errors)[number]): { status: number; error: Json } {
  // A 500 there, which clients repeat; what was sent is at fault.
  if (error.message.startsWith('Failed to parse messages: ')) {
    return { status: 400, error: { ...error, code: 400, type: 'invalid_request_error' } };
  }
  const change = path.endsWith('/embeddings') ? SINCE_B11434[error.message] : undefined;
  return change ? { status: 400, error: { ...error, ...change } } : { status, error };
}

describe('errors are llama-server’s', () => {
  test.each(errors.map((recorded) => [nameOf(recorded), recorded] as const))('%s', async (_, recorded) => {
    const server = serverOf(recorded);
    const response = await replay(server, recorded);
    const { error } = (await response.json()) as { error: Json };
    const expected = current(recorded);
    expect(response.status).toBe(expected.status);
    expect(response.headers.get('Content-Type')).toBe('application/json; charset=utf-8');
    if (expected.error.message === UNSUPPORTED_EMBEDDINGS) {
      expect(error.message).toContain(UNSUPPORTED_EMBEDDINGS);
      error.message = UNSUPPORTED_EMBEDDINGS;
    }
    expect(error).toMatchObject(expected.error);
    expect(error).toHaveProperty('param');
    expect(server.engine.completions).toEqual([]);
  });
});

describe('what llama-server accepts reaches the engine', () => {
  test.each(accepted.map((recorded) => [nameOf(recorded), recorded] as const))('%s', async (_, recorded) => {
    const server = serverOf(recorded);
    const response = await replay(server, recorded);
    const text = await response.text();
    if ('suffix' in recorded.body) {
      // Ignored there.
      expect([response.status, JSON.parse(text).error]).toMatchObject([400, { param: 'suffix' }]);
    } else if ('dimensions' in recorded.body) {
      expect(JSON.parse(text).error).toMatchObject({ param: 'dimensions' });
    } else {
      expect([response.status, text]).toEqual([200, expect.any(String)]);
      expect(server.engine.completions.length + server.engine.embeddings.length).toBeGreaterThan(0);
    }
  });
});

describe('answers have llama-server’s shape', () => {
  test.each(answers.map((recorded) => [nameOf(recorded), recorded] as const))('%s', async (_, recorded) => {
    const { json, events } = recorded.response as { json?: Json | Json[]; events?: string };
    const isNative = !recorded.path.startsWith('/v1/');
    const wanted = json ? [json].flat() : (parseEvents(events ?? '').filter((event) => event !== '[DONE]') as Json[]);
    const server = serverOf(recorded);
    server.engine.onComplete = async function* ({ body }) {
      const results = isNative ? wanted.map(nativeResult) : wanted;
      // A prompt of several has its own.
      const own = results.filter((_, index) => !Array.isArray(json) || wanted[index]?.prompt === body.prompt);
      for (const result of own) yield { ...result, id: '', model: '', system_fingerprint: 'wllama', created: 1 };
    };
    const response = await replay(server, recorded);
    const text = await response.text();
    if (events) expect(text.endsWith('data: [DONE]\n\n')).toBe(!isNative);
    if (isNative) {
      expect(json ? JSON.parse(text) : parseEvents(text)).toEqual(json ?? wanted);
      return;
    }
    const got = (json ? [JSON.parse(text)] : parseEvents(text).slice(0, -1)) as Json[];
    expect(got).toEqual(wanted.map((result) => completed(result, got[0]?.id)));
    expect(Object.keys(got[0] ?? {})).toEqual(Object.keys(wanted[0] ?? {}));
  });
});

/** llama.cpp's result in OpenAI's shape, of which llama-server's own is a part. */
function nativeResult(wanted: Json): Json {
  return {
    choices: [{ text: wanted.content, index: 0, logprobs: null, finish_reason: wanted.stop ? 'length' : null }],
    object: 'text_completion',
    ...(wanted.stop ? { usage: { completion_tokens: 1, prompt_tokens: 1, total_tokens: 2 } } : {}),
    __verbose: { ...wanted, index: 0, ...(wanted.model === undefined ? {} : { model: '' }) },
  };
}

function completed(result: Json, id: unknown): Json {
  const identity = {
    id: expect.stringMatching(/^chatcmpl-[A-Za-z0-9]{32}$/),
    created: 1_700_000_000,
    model: 'smollm2-135m-instruct',
    system_fingerprint: 'b11364-46ca246',
  };
  expect(id).toEqual(identity.id);
  const choices = (result.choices as Json[]).map((choice) => {
    const isWhole = result.object === 'chat.completion';
    if (!isWhole && (result.object !== 'chat.completion.chunk' || !choice.logprobs)) return choice;
    return {
      ...choice,
      ...(isWhole ? { message: { ...(choice.message as Json), refusal: null } } : {}),
      logprobs: choice.logprobs ? { ...(choice.logprobs as Json), refusal: null } : null,
    };
  });
  return { ...result, ...identity, id, choices };
}
