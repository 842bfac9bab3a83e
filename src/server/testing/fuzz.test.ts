/**
 * Bodies at random, of values that are likely to matter. Whatever comes: the answer is JSON with a sensible status, and what
 * reaches the engine keeps the promises that wllama's C++ needs (an exception there ends every request in flight).
 * `test/fuzz.spec.ts` sends the same to the real engine.
 */
import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import type { Catalog } from '../../models/models.ts';
import { CATALOG, CHAT_MODEL, EMBEDDING_MODEL } from './catalog.ts';
import { CHAT_RESULT } from './fake-engine.ts';
import {
  createFuzzer,
  FUZZ_KINDS,
  FUZZ_ROUTES,
  type FuzzKind,
  type FuzzRequest,
  type FuzzRoute,
  kindsOf,
} from './fuzz.ts';
import { seededRandom } from './seeded-random.ts';
import { createTestServer } from './test-server.ts';

const SEED = 20261123;
const BODIES_PER_ROUTE = 200;
/** Spread over the routes that take them; `LLAMATAB_FUZZ` says otherwise. */
const BODIES_PER_KIND = Number(process.env.LLAMATAB_FUZZ ?? 400);
/** Of features that the engine has not: 403 and 501. */
const STATUSES = [200, 400, 403, 404, 500, 501];
/** Statuses that every run must see often, or the bodies prove little. */
const COMMON = [200, 400, 500, 501];

const MODELS: Catalog = {
  ...CATALOG,
  models: [
    CHAT_MODEL,
    { ...EMBEDDING_MODEL, id: 'embedder', aliases: [] },
    { ...EMBEDDING_MODEL, id: 'ranker', aliases: [], capabilities: ['rerank'] },
  ],
};
const TEXT_RESULT: Json = {
  choices: [{ text: 'Paris', index: 0, logprobs: null, finish_reason: 'stop' }],
  object: 'text_completion',
  usage: { completion_tokens: 1, prompt_tokens: 1, total_tokens: 2 },
  __verbose: { index: 0, content: 'Paris', stop: true },
};
const LAST_EVENT: [RegExp, RegExp][] = [
  [/responses$/, /\n\nevent: response\.(completed|incomplete)\n[^\n]*\n\n$/],
  [/messages$/, /\n\nevent: message_stop\n[^\n]*\n\n$/],
  [/\/(infill|completion)$|^\/completions$/, /"stop":true\}\n\n$/],
  [/./, /data: \[DONE\]\n\n$/],
];

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

test('the table has every POST route', () => {
  const routes = createTestServer().routes.filter(({ method, path }) => method === 'POST' && path !== '*');
  const table = FUZZ_ROUTES.flatMap(({ paths }) => paths);
  expect(table.toSorted()).toEqual([...new Set(routes.map(({ path }) => path))].sort());
});

function createFuzzedServer() {
  const server = createTestServer({}, MODELS);
  server.engine.tokenizer = { ...server.engine.tokenizer, infill: { prefix: 1, suffix: 2, middle: 3 } };
  server.engine.onComplete = async function* ({ kind }) {
    yield kind === 'chat' ? { ...CHAT_RESULT, __verbose: { prompt: 'Hi' } } : TEXT_RESULT;
  };
  return server;
}

/** @returns The status. */
async function send(
  server: ReturnType<typeof createFuzzedServer>,
  { path, body, contentType }: FuzzRequest,
  statuses: readonly number[],
  number: number,
): Promise<number> {
  const text = new TextDecoder().decode(body).slice(0, 2000);
  const sent = `seed ${SEED}, ${path}, body ${number}, ${contentType}: ${text}`;
  const before = server.engine.completions.length;
  const response = await server.send(path, undefined, {
    method: 'POST',
    body,
    headers: { 'Content-Type': contentType },
  });
  const answer = await response.text();
  expect(statuses, `${sent}\n${answer}`).toContain(response.status);
  if (response.headers.get('Content-Type') === 'text/event-stream') {
    expect(answer, sent).toMatch(LAST_EVENT.find(([paths]) => paths.test(path))?.[1] ?? /./);
  } else {
    const json = JSON.parse(answer);
    if (response.status !== 200)
      expect(json.error, sent).toMatchObject({ message: expect.any(String), type: expect.any(String) });
  }
  for (const { body: request, kind } of server.engine.completions.slice(before)) check(request, kind === 'chat');
  return response.status;
}

test(`${BODIES_PER_ROUTE} bodies to each route`, async () => {
  const server = createFuzzedServer();
  const seen = new Map<number, number>();
  const next = createFuzzer(seededRandom(SEED));
  for (const route of FUZZ_ROUTES) {
    for (let number = 0; number < BODIES_PER_ROUTE; number++) {
      const status = await send(server, next(route), STATUSES, number);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
  }
  for (const status of COMMON) expect(seen.get(status), `${status}`).toBeGreaterThan(20);
}, 60_000);

for (const kind of FUZZ_KINDS.filter((kind): kind is Exclude<FuzzKind, 'bent'> => kind !== 'bent')) {
  test(`${BODIES_PER_KIND} bodies of the kind: ${kind}`, async () => {
    const server = createFuzzedServer();
    const seen = new Map<number, number>();
    const next = createFuzzer(seededRandom(SEED));
    const routes = FUZZ_ROUTES.filter((route) => kindsOf(route).includes(kind));
    for (let number = 0; number < BODIES_PER_KIND; number++) {
      const request = next(routes[number % routes.length] as FuzzRoute, kind);
      const status = await send(server, request, [200, 400], number);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
    expect(seen.get(200)).toBeGreaterThan(BODIES_PER_KIND / 4);
  }, 600_000);
}
