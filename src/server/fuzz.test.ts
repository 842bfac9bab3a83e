/**
 * Bodies at random, of values that are likely to matter. Whatever comes: the answer is JSON with a sensible status, and what
 * reaches the engine keeps the promises that wllama's C++ needs (an exception there ends every request in flight).
 */
import { expect, test } from 'vitest';
import type { Json } from '../engine/engine.ts';
import { CHAT_RESULT, createTestServer, seededRandom } from './fakes.ts';
import { PARAMETER_NAMES } from './params.ts';

const CASES = 2000;
const STATUSES = [200, 400, 404, 500, 501];

const random = seededRandom(20261123);
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

const SCALARS = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  0.5,
  -0,
  1e9,
  2 ** 31,
  2 ** 32,
  1e21,
  -1e300,
  5e-324,
  '',
  'x',
  'local',
  'none',
  '\ud800',
  'a\0b',
  '__proto__',
  'root ::= "a"',
  'required',
  'function',
  'function_call_output',
  'user',
  'assistant',
  'input_text',
  'tool_use',
  'tool_result',
  'image_url',
];
const KEYS = [
  'role',
  'content',
  'type',
  'text',
  'function',
  'name',
  'arguments',
  'tool_calls',
  'schema',
  'properties',
  'include_usage',
  '__proto__',
  '5',
  'enable_thinking',
  'effort',
  'format',
  'call_id',
  'output',
  'input',
  'source',
  'url',
];
const FIELDS = [
  ...PARAMETER_NAMES,
  'model',
  'messages',
  'prompt',
  'input',
  'encoding_format',
  'dimensions',
  'embd_normalize',
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'response_format',
  'top_logprobs',
  'chat_template_kwargs',
  'continue_final_message',
  'add_generation_prompt',
  'reasoning_effort',
  'thinking_budget_tokens',
  'suffix',
  'best_of',
  'constructor',
  'grammar_lazy',
  'instructions',
  'max_output_tokens',
  'reasoning',
  'text',
  'system',
  'stop_sequences',
  'thinking',
  'content',
  'query',
  'documents',
  'texts',
  'top_n',
  'conversation_ids',
  'input_prefix',
  'input_suffix',
  'input_extra',
];
const TEXT_RESULT: Json = {
  choices: [{ text: 'Paris', index: 0, logprobs: null, finish_reason: 'stop' }],
  object: 'text_completion',
  usage: { completion_tokens: 1, prompt_tokens: 1, total_tokens: 2 },
  __verbose: { index: 0, content: 'Paris', stop: true },
};
const PATHS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/completion',
  '/infill',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/messages',
  '/embedding',
  '/rerank',
  '/lora-adapters',
  '/v1/streams/lookup',
];
const LAST_EVENT: Record<string, RegExp> = {
  '/v1/responses': /\n\nevent: response\.completed\n.*\n\n$/,
  '/completion': /"stop":true\}\n\n$/,
  '/infill': /"stop":true\}\n\n$/,
  '/v1/messages': /\n\nevent: message_stop\n.*\n\n$/,
};
const TOOL = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
const PLAUSIBLE: Json = {
  messages: [{ role: 'user', content: 'Hi' }],
  prompt: 'Hi',
  input: 'Hi',
  model: 'local',
  tools: [TOOL],
  response_format: { type: 'json_object' },
  temperature: 1,
  max_tokens: 5,
  stream: true,
  stop: ['a', ''],
  query: 'Hi',
  documents: ['Hi', 'you'],
  input_prefix: 'Hi',
  input_suffix: 'you',
  logit_bias: { 5: 1 },
};

function value(depth = 0): unknown {
  const kind = random();
  if (depth > 3 || kind < 0.6) return pick(SCALARS);
  const size = Math.floor(random() * 4);
  if (kind < 0.8) return Array.from({ length: size }, () => value(depth + 1));
  return Object.fromEntries(Array.from({ length: size }, () => [pick(KEYS), value(depth + 1)]));
}

function body(): unknown {
  if (random() < 0.02) return value();
  const fields = Object.entries(PLAUSIBLE).filter(() => random() < 0.5);
  const count = Math.floor(random() * 4);
  const odd = Array.from({ length: count }, () => [pick(FIELDS), value()]);
  return Object.fromEntries([['messages', PLAUSIBLE.messages], ['prompt', 'Hi'], ...fields, ...odd]);
}

/** The promises. */
function check(request: Json, isChat: boolean): void {
  const text = JSON.stringify(request);
  expect(text).not.toMatch(/\\ud[89a-f]/);
  expect(JSON.parse(text)).toEqual(
    JSON.parse(text, (_, leaf) => (typeof leaf === 'number' && !Number.isFinite(leaf) ? 'bad' : leaf)),
  );
  for (const internal of [
    'grammar_lazy',
    'echo',
    'n',
    'n_cmpl',
    'logprobs',
    'lora',
    'id_slot',
    'model',
    'sse_ping_interval',
  ]) {
    expect(request).not.toHaveProperty(internal);
  }
  const seed = request.seed as number;
  expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32 - 1).toBe(true);
  for (const [name, given] of Object.entries(request)) {
    expect(given).not.toBe(null);
    expect(given).not.toBe(undefined);
    if (typeof given === 'number') expect(Number.isFinite(Math.fround(given)), name).toBe(true);
  }
  if (request.repeat_penalty !== undefined) expect(request.repeat_penalty).toBeGreaterThan(0);
  for (const name of ['repeat_last_n', 'dry_penalty_last_n'])
    expect((request[name] as number) ?? 0).toBeLessThanOrEqual(2 ** 17);
  expect(((request.stop as unknown[]) ?? []).every((entry) => typeof entry === 'string')).toBe(true);
  expect((request.n_predict as number) ?? 0).toBeGreaterThanOrEqual(-1);
  if (!isChat) {
    expect(typeof request.prompt).toBe('string');
    return;
  }
  for (const message of request.messages as Json[]) {
    expect(typeof message.role).toBe('string');
    expect('content' in message || 'tool_calls' in message).toBe(true);
  }
  for (const tool of (request.tools as Json[]) ?? []) {
    expect(tool.function).toMatchObject({ name: expect.any(String), description: expect.any(String) });
  }
  expect(['auto', 'none', 'required', undefined]).toContain(request.tool_choice);
}

test(`${CASES} bodies`, async () => {
  const server = createTestServer();
  server.engine.tokenizer = { ...server.engine.tokenizer, infill: { prefix: 1, suffix: 2, middle: 3 } };
  server.engine.onComplete = async function* ({ kind }) {
    yield kind === 'chat' ? CHAT_RESULT : TEXT_RESULT;
  };
  const seen = new Map<number, number>();
  for (let index = 0; index < CASES; index++) {
    const path = pick(PATHS);
    const text = JSON.stringify(body());
    const sent = random() < 0.02 ? text.slice(0, Math.floor(random() * text.length)) : text;
    const before = server.engine.completions.length;
    const response = await server.send(path, sent);
    const answer = await response.text();
    expect(STATUSES, `${path} ${sent}`).toContain(response.status);
    seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
    if (response.headers.get('Content-Type') === 'text/event-stream') {
      expect(answer).toMatch(LAST_EVENT[path] ?? /data: \[DONE\]\n\n$/);
    } else {
      const json = JSON.parse(answer);
      if (response.status !== 200)
        expect(json.error).toMatchObject({ code: response.status, message: expect.any(String) });
    }
    for (const { body: request, kind } of server.engine.completions.slice(before)) check(request, kind === 'chat');
  }
  // Else the bodies would prove little.
  for (const status of STATUSES.filter((status) => status !== 404))
    expect(seen.get(status), `${status}`).toBeGreaterThan(20);
}, 60_000);
