/**
 * Random bodies for every POST route: valid ones, bent in every way that is likely to matter. Used by tests in Node,
 * against the fake engine, and in a page, against the real one. The same seed gives the same bodies.
 */
import type { Json } from '../../engine/engine.ts';
import { PARAMETER_NAMES } from '../generate/params.ts';
import { isObject } from '../http/json.ts';
import { createHistoryFuzzer, type HistoryApi } from './fuzz-histories.ts';
import { type ConstraintApi, createConstraintFuzzer } from './fuzz-schemas.ts';
import { createTextFuzzer, type TextApi } from './fuzz-texts.ts';
import { draws, type Random } from './seeded-random.ts';

/**
 * What is odd about a body: bent values and JSON; text that is not English, cut anywhere; schemas and grammars; conversations that
 * are sent back.
 */
export const FUZZ_KINDS = ['bent', 'text', 'schema', 'history'] as const;
export type FuzzKind = (typeof FUZZ_KINDS)[number];

export interface FuzzRoute {
  /** All spellings of it. */
  paths: readonly string[];
  /** In which shape it takes each kind; of others than these, and bent ones, it takes none. */
  text?: TextApi;
  schema?: ConstraintApi;
  history?: HistoryApi;
  /** Valid bodies, cheap to answer. */
  bases: readonly Json[];
  /** The field of `bases` that bounds how much is generated; it stays, and small, whatever else happens to a body. */
  limit?: string;
  /** Why it can't run beside other requests. */
  alone?: string;
}

export interface FuzzRequest {
  path: string;
  body: Uint8Array<ArrayBuffer>;
  contentType: string;
  /** What a grammar makes the model say: whole characters only, so no replacement character may come of it. */
  said?: string | undefined;
}

const MESSAGES = [{ role: 'user', content: 'Hi' }];
const TOOL = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
const CHAT = { messages: MESSAGES, temperature: 1, max_tokens: 4 };
/** A conversation sent back: thoughts, a call, its result. */
const CALL = { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } };
const HISTORY = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
  { role: 'assistant', content: null, reasoning_content: 'Hm.', tool_calls: [CALL] },
  { role: 'tool', tool_call_id: 'a', content: [{ type: 'text', text: '20' }] },
  { role: 'assistant', content: 'It is 20.' },
  { role: 'user', content: 'And now?' },
];
const CHATS = [
  CHAT,
  { ...CHAT, messages: HISTORY, tools: [TOOL] },
  { ...CHAT, stream: true, stream_options: { include_usage: true }, stop: ['a', ''] },
  { ...CHAT, tools: [TOOL], tool_choice: 'required', logprobs: true, top_logprobs: 2 },
  { ...CHAT, response_format: { type: 'json_object' }, logit_bias: { 5: 1 }, n: 2 },
];
const ITEMS = [
  { role: 'user', content: 'Hi' },
  { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }], encrypted_content: '' },
  { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'x' } },
  { type: 'function_call', call_id: 'a', name: 'f', arguments: '{"x":1}' },
  { type: 'function_call_output', call_id: 'a', output: [{ type: 'input_text', text: '20' }] },
  { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'It is 20.', annotations: [] }] },
  { role: 'user', content: [{ type: 'input_text', text: 'And now?' }] },
];
const RESPONSES = [
  { input: 'Hi', max_output_tokens: 4, instructions: 'Be short.' },
  {
    input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }],
    max_output_tokens: 4,
    stream: true,
    text: { format: { type: 'text' } },
  },
  { input: ITEMS, max_output_tokens: 4, tools: [{ type: 'function', name: 'f', parameters: { type: 'object' } }] },
  { input: [...ITEMS, { type: 'item_reference', id: 'msg_1' }], max_output_tokens: 4 },
];
const BLOCKS = [
  { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
  {
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 'Hm.', signature: '' },
      { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } },
    ],
  },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: '20' }] }] },
];
const ANTHROPIC = [
  { messages: MESSAGES, max_tokens: 4, system: 'Be short.', stop_sequences: ['a'] },
  { messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }], max_tokens: 4, stream: true },
  { messages: BLOCKS, max_tokens: 4, tools: [{ name: 'f', input_schema: { type: 'object' } }] },
];
const TEXTS = [
  { prompt: 'Hi', max_tokens: 4, temperature: 0, n_probs: 2 },
  { prompt: [72, 105], max_tokens: 4, stream: true, samplers: ['top_k'] },
];
const DOCUMENTS = { model: 'ranker', query: 'hi', documents: ['hi', 'you'] };

/** Every POST route; a test compares it with the server's own list. */
export const FUZZ_ROUTES: readonly FuzzRoute[] = [
  {
    paths: ['/chat/completions', '/v1/chat/completions'],
    bases: CHATS,
    limit: 'max_tokens',
    text: 'chat',
    schema: 'chat',
    history: 'chat',
  },
  {
    paths: ['/v1/completions'],
    bases: [...TEXTS, { prompt: ['a', 'b'], max_tokens: 4, echo: true, logprobs: 1, n: 2 }],
    limit: 'max_tokens',
    text: 'completion',
    schema: 'completion',
  },
  {
    paths: ['/completion', '/completions', '/v1/completion'],
    bases: TEXTS,
    limit: 'max_tokens',
    text: 'completion',
    schema: 'completion',
  },
  {
    paths: ['/infill', '/v1/infill'],
    bases: [{ input_prefix: 'a', input_suffix: 'b', input_extra: [{ filename: 'f', text: 'c' }], max_tokens: 4 }],
    limit: 'max_tokens',
    text: 'infill',
    schema: 'completion',
  },
  {
    paths: ['/responses', '/v1/responses'],
    bases: RESPONSES,
    limit: 'max_output_tokens',
    text: 'responses',
    schema: 'responses',
    history: 'responses',
  },
  {
    paths: ['/v1/messages'],
    bases: ANTHROPIC,
    limit: 'max_tokens',
    text: 'messages',
    schema: 'messages',
    history: 'messages',
  },
  {
    paths: ['/chat/completions/input_tokens', '/v1/chat/completions/input_tokens'],
    bases: CHATS,
    text: 'chat',
    history: 'chat',
  },
  {
    paths: ['/responses/input_tokens', '/v1/responses/input_tokens'],
    bases: RESPONSES,
    text: 'responses',
    history: 'responses',
  },
  { paths: ['/v1/messages/count_tokens'], bases: ANTHROPIC, text: 'messages', history: 'messages' },
  { paths: ['/v1/chat/completions/control'], bases: [{ id: 'chatcmpl-1', action: 'reasoning_end' }] },
  {
    paths: ['/v1/embeddings'],
    bases: [
      { model: 'embedder', input: 'hi', encoding_format: 'base64', dimensions: 8 },
      { model: 'embedder', input: ['hi', [5, 6]] },
    ],
    text: 'embedding',
  },
  {
    paths: ['/embedding', '/embeddings'],
    bases: [{ model: 'embedder', content: ['hi', 'you'], embd_normalize: 2 }],
    text: 'embedding',
  },
  {
    paths: ['/rerank', '/reranking', '/v1/rerank', '/v1/reranking'],
    bases: [
      { ...DOCUMENTS, top_n: 1 },
      { ...DOCUMENTS, documents: undefined, texts: ['hi'] },
    ],
    text: 'rerank',
  },
  {
    paths: ['/tokenize', '/v1/tokenize'],
    bases: [{ content: 'Hi', add_special: true, parse_special: true, with_pieces: true }],
    text: 'tokenize',
  },
  { paths: ['/detokenize', '/v1/detokenize'], bases: [{ tokens: [72, 105] }], text: 'detokenize' },
  { paths: ['/apply-template', '/v1/apply-template'], bases: CHATS, text: 'chat', history: 'chat' },
  { paths: ['/v1/streams/lookup'], bases: [{ conversation_ids: ['none'] }] },
  { paths: ['/lora-adapters', '/v1/lora-adapters'], bases: [{ id: 0, scale: 0.5 }] },
  { paths: ['/props', '/v1/props'], bases: [{ n_ctx: 1 }] },
  { paths: ['/slots/:id', '/v1/slots/:id'], bases: [{ filename: 'f' }] },
  { paths: ['/tools'], bases: [{ tool: 'f' }] },
  { paths: ['/cors-proxy'], bases: [{ url: 'x' }] },
  {
    paths: ['/v1/audio/speech'],
    bases: [
      { model: 'local', input: 'Hi', voice: 'a', response_format: 'pcm', stream_format: 'sse', speed: 1, seed: 1 },
    ],
  },
  { paths: ['/v1/realtime'], bases: [{ model: 'local', session: 's', intent: 'transcription', seed: 1 }] },
  { paths: ['/v1/realtime/:session'], bases: [{ type: 'session.update' }] },
  { paths: ['/audio/transcriptions', '/v1/audio/transcriptions'], bases: [{ file: 'f', model: 'local' }] },
  { paths: ['/models/load', '/v1/models/load'], bases: [{ model: 'local' }] },
  { paths: ['/models', '/v1/models'], bases: [{ model: 'embedder', id: 'e', download: false, wait: true }] },
  { paths: ['/v1/models/pause'], bases: [{ model: 'embedder' }] },
  { paths: ['/v1/models/resume'], bases: [{ model: 'embedder' }] },
  { paths: ['/v1/models/cancel'], bases: [{ model: 'embedder' }] },
  { paths: ['/v1/models/verify'], bases: [{ model: 'embedder' }] },
  { paths: ['/v1/models/repair'], bases: [{ model: 'embedder' }] },
  { paths: ['/v1/models/pin'], bases: [{ model: 'embedder', pinned: false }] },
  { paths: ['/v1/models/import'], bases: [{ model: 'embedder' }] },
  {
    paths: ['/models/unload', '/v1/models/unload'],
    bases: [{ model: 'embedder' }],
    alone: 'without a model it unloads the default one, which ends what runs there',
  },
];

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
  'reasoning',
  'tool',
  '{',
  'user',
  'assistant',
  'input_text',
  'tool_use',
  'tool_result',
  'image_url',
  'e\u0301 \u{1f469}\u200d\u{1f680} \u202e',
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
  'summary',
  'tool_call_id',
  'reasoning_content',
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
const CONTENT_TYPES = [
  'text/plain',
  'application/octet-stream',
  'multipart/form-data',
  'application/json; charset=utf-16',
];
/** Not JSON, or not what a body should be. */
const TEXTS_AT_ODDS = [
  '',
  ' ',
  'null',
  '[]',
  '0',
  '"x"',
  'NaN',
  '{"temperature":NaN}',
  '{"messages":[Infinity]}',
  '{"prompt":"Hi","temperature":1e999}',
  "{'prompt':'Hi'}",
  '{"prompt":"Hi",}',
  '{"prompt":"Hi"}{}',
  '{"prompt":"\\ud800"}',
  '/* Hi */{}',
  '\ufeff{}',
  '{"__proto__":{"stream":true},"constructor":{"prototype":1}}',
  'prompt=Hi&max_tokens=4',
];

/** Longer than any context of the models under test, short enough to be tried often. */
const LONG = 5000;
/** A body that asks for no more is cheap. */
const MOST_TOKENS = 16;
const MOST_ANSWERS = 4;
/** From here on a count is refused, as it is no `int32`. */
const REFUSED = 2 ** 31;
const TOKEN_LIMITS = ['n_predict', 'max_tokens', 'max_completion_tokens', 'max_output_tokens'];
const ANSWER_COUNTS = ['n', 'n_cmpl', 'best_of'];

/** The next body for a route. @param kind Of those that the route takes; without it, bent ones of all kinds. */
export type Fuzzer = (route: FuzzRoute, kind?: FuzzKind) => FuzzRequest;

export function createFuzzer(random: Random): Fuzzer {
  const { below, pick, chance } = draws(random);
  const nextText = createTextFuzzer(random);
  const nextConstraint = createConstraintFuzzer(random);
  const nextHistory = createHistoryFuzzer(random);

  function value(depth = 0): unknown {
    const kind = random();
    if (depth > 3 || kind < 0.6) return pick(SCALARS);
    const size = below(4);
    if (kind < 0.8) return Array.from({ length: size }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: size }, () => [pick(KEYS), value(depth + 1)]));
  }

  /** Something in the place of one value of the tree, at any depth. */
  function bend(tree: unknown, change: (old: unknown) => unknown): unknown {
    if (Array.isArray(tree) && tree.length > 0) {
      const at = below(tree.length);
      return tree.map((entry, index) => (index === at ? deeper(entry, change) : entry));
    }
    if (isObject(tree) && Object.keys(tree).length > 0) {
      const at = pick(Object.keys(tree));
      return Object.fromEntries(
        Object.entries(tree).map(([key, entry]) => [key, key === at ? deeper(entry, change) : entry]),
      );
    }
    return change(tree);
  }
  const deeper = (tree: unknown, change: (old: unknown) => unknown) =>
    random() < 0.5 ? bend(tree, change) : change(tree);

  const nested = (depth: number): unknown => {
    let inner: unknown = 'x';
    for (let level = 0; level < depth; level++) inner = random() < 0.5 ? [inner] : { x: inner };
    return inner;
  };

  const trees: ((base: Json) => unknown)[] = [
    (base) => base,
    // Odd fields beside the valid ones: twice, as it finds most.
    ...Array<(base: Json) => unknown>(2).fill((base) => ({
      ...base,
      ...Object.fromEntries(Array.from({ length: 1 + below(3) }, () => [pick(FIELDS), value()])),
    })),
    (base) => bend(base, () => value()),
    (base) =>
      bend(
        bend(base, () => value()),
        () => value(),
      ),
    (base) => bend(base, (old) => [old, old]),
    (base) => bend(base, () => pick(['a', ' ', 'é', '\u{1f469}', '\\', '\n']).repeat(LONG)),
    (base) => bend(base, () => nested(pick([50, 99, 100, 101, 1000]))),
    (base) => Object.fromEntries(Object.entries(base).filter(() => random() < 0.7)),
    () => value(),
  ];
  const texts: ((text: string) => string)[] = [
    (text) => text.slice(0, below(text.length)),
    () => pick(TEXTS_AT_ODDS),
    (text) => text.replace('{', `{${JSON.stringify(pick(FIELDS))}:${JSON.stringify(value())},`),
    (text) => {
      const at = below(text.length);
      return text.slice(0, at) + pick(['"', '{', ']', ',', '\\', '\0', '9', '-', 'é', '']) + text.slice(at + 1);
    },
    (text) => text + pick([' ', 'x', '}', '\0']),
  ];
  const binaries: ((bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>)[] = [
    // Not UTF-8.
    (bytes) => bytes.map((byte) => (random() < 0.1 ? 0x80 + below(0x80) : byte)),
    () => Uint8Array.from({ length: below(200) }, () => below(256)),
  ];

  function encoded(base: Json): Uint8Array<ArrayBuffer> {
    const kind = random();
    const tree = kind < 0.7 ? pick(trees)(base) : base;
    const text = JSON.stringify(tree) ?? '';
    const bytes = new TextEncoder().encode(kind >= 0.7 && kind < 0.93 ? pick(texts)(text) : text);
    return kind < 0.93 ? bytes : pick(binaries)(bytes);
  }

  /** A body of its kind as it is. */
  function plain(
    { limit, text, schema, history }: FuzzRoute,
    kind: FuzzKind,
  ): { body: Json; said?: string | undefined } {
    const bounded = (body: Json) => (limit === undefined ? body : { ...body, [limit]: 1 + below(MOST_TOKENS) });
    if (kind === 'text' && text !== undefined) return nextText(text);
    if (kind === 'schema' && schema !== undefined) return { body: bounded(nextConstraint(schema)) };
    if (kind === 'history' && history !== undefined) return { body: bounded(nextHistory(history)) };
    throw new RangeError(`no bodies of the kind ${kind} for this route`);
  }

  return (route, kind = 'bent') => {
    const path = pick(route.paths).replace(':id', () => String(pick([0, 1, 7, 4294967296])));
    const contentType = 'application/json';
    if (kind !== 'bent') {
      const { body, said } = plain(route, kind);
      return { path, body: new TextEncoder().encode(JSON.stringify(body)), contentType, said };
    }
    const kinds = kindsOf(route).filter((kind) => kind !== 'bent');
    for (;;) {
      const base = kinds.length > 0 && chance(0.3) ? plain(route, pick(kinds)).body : pick(route.bases);
      const body = encoded(base);
      if (route.limit !== undefined && !isCheap(body, route.limit)) continue;
      return { path, body, contentType: chance(0.9) ? contentType : pick(CONTENT_TYPES) };
    }
  };
}

export function kindsOf(route: FuzzRoute): FuzzKind[] {
  return FUZZ_KINDS.filter((kind) => kind === 'bent' || route[kind] !== undefined);
}

/** Whether it can yield only a few tokens. */
function isCheap(bytes: Uint8Array, limit: string): boolean {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return true;
  }
  if (!isObject(body) || !Object.keys(body).some((key) => key !== limit)) return true;
  return (
    Object.hasOwn(body, limit) &&
    TOKEN_LIMITS.every((name) => isSmall(body, name, MOST_TOKENS)) &&
    ANSWER_COUNTS.every((name) => isSmall(body, name, MOST_ANSWERS))
  );
}

/** Refused counts too; null is no limit, and -1, to which others are cut, none either. */
function isSmall(body: Json, name: string, most: number): boolean {
  if (!Object.hasOwn(body, name)) return true;
  const value = body[name];
  if (typeof value !== 'number') return value !== null;
  return (value >= 0 && value <= most) || value <= -2 || value >= REFUSED;
}
