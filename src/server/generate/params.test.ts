import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { readChat } from '../chat/chat-params.ts';
import { defaultParameters, PARAMETER_NAMES, readParameters, seedOf } from './params.ts';

const DRAWN = 7;
const read = (request: Json) => readParameters(request, () => DRAWN).body;
const chat = (request: Json) => readChat({ messages: [{ role: 'user', content: 'Hi' }], ...request }, () => DRAWN).body;

function faultOf(run: () => unknown): Pick<LlamatabError, 'message' | 'type'> & { param: unknown } {
  try {
    run();
  } catch (error) {
    if (error instanceof LlamatabError) return { message: error.message, type: error.type, param: error.details.param };
  }
  throw new Error('no LlamatabError was thrown');
}

const BOOLEANS = `verbose timings_per_token stream cache_prompt return_tokens return_progress backend_sampling
  post_sampling_probs echo reasoning_control ignore_eos`.split(/\s+/);
const NUMBERS =
  `sse_ping_interval n_predict max_completion_tokens max_tokens n_indent n_keep n_discard n_cmpl n n_cache_reuse
  t_max_predict_ms top_k top_p min_p top_n_sigma xtc_probability xtc_threshold typical_p temperature dynatemp_range
  dynatemp_exponent repeat_last_n repeat_penalty frequency_penalty presence_penalty dry_multiplier dry_base
  dry_allowed_length dry_penalty_last_n mirostat mirostat_tau mirostat_eta adaptive_target adaptive_decay seed n_probs
  logprobs min_keep reasoning_budget_tokens`.split(/\s+/);
/** llama-server ignores values of a wrong type in these. */
const LENIENT = [
  'stream_options',
  'response_fields',
  'grammar',
  'reasoning_budget_message',
  'logit_bias',
  'stop',
  'samplers',
];
const STRUCTURES = ['lora', 'dry_sequence_breakers', 'json_schema', 'reasoning_format', ...LENIENT];

const VALUES: [string, unknown][] = [
  ['string', 'x'],
  ['object', {}],
  ['array', []],
  ['number', 1],
  ['boolean', true],
];

test('every parameter is tested', () => {
  expect([...BOOLEANS, ...NUMBERS, ...STRUCTURES].sort()).toEqual([...PARAMETER_NAMES].sort());
});

describe('a wrong type', () => {
  const wrong = [
    ...BOOLEANS.flatMap((field) => VALUES.map(([type, value]) => ({ field, expected: 'boolean', type, value }))),
    ...NUMBERS.flatMap((field) => VALUES.map(([type, value]) => ({ field, expected: 'number', type, value }))),
    // nlohmann::json takes a boolean for a number.
  ].filter(({ expected, type }) => expected !== type && !(expected === 'number' && type === 'boolean'));

  test.each(wrong)('$field: $type', ({ field, expected, type, value }) => {
    expect(faultOf(() => read({ [field]: value }))).toEqual({
      message: `Field '${field}': [json.exception.type_error.302] type must be ${expected}, but is ${type}`,
      type: 'invalid_request_error',
      param: field,
    });
  });

  test.each(LENIENT)('%s: ignored, as in llama-server', (field) => {
    expect(read({ [field]: 5 })).toEqual({ seed: DRAWN });
  });

  test.each(PARAMETER_NAMES)('%s: null is absent', (field) => {
    expect(read({ [field]: null })).toEqual({ seed: DRAWN });
  });
});

describe('what reaches llama.cpp', () => {
  const cases: [name: string, request: Json, body: Json][] = [
    ['nothing but a seed by default', {}, { seed: DRAWN }],
    ['unknown and internal fields never', { user: 'u', grammar_lazy: true, chat_parser: 'x', id_slot: 1 }, {}],
    ['the first alias that is present', { max_tokens: 'x', max_completion_tokens: 3 }, { n_predict: 3 }],
    ['n_predict before its aliases', { max_tokens: 9, n_predict: 2 }, { n_predict: 2 }],
    ['n_probs before logprobs', { logprobs: 5, n_probs: 2 }, { n_probs: 2 }],
    ['truncated integers', { max_tokens: 1.7, top_k: -0.5 }, { n_predict: 1, top_k: 0 }],
    ['-1.5 is -1', { max_tokens: -1.5 }, { n_predict: -1 }],
    ['max_tokens 0', { max_tokens: 0 }, { n_predict: 0 }],
    [
      'clamped numbers',
      { top_p: 7, min_p: -1, temperature: -3, top_k: 1e300, mirostat: 9 },
      { top_p: 1, min_p: 0, temperature: 0, top_k: 2147483647, mirostat: 2 },
    ],
    [
      'numbers that stay finite in single precision',
      { dry_multiplier: 1e300, typical_p: -1e300 },
      { dry_multiplier: 3.4028234663852886e38, typical_p: -3.4028234663852886e38 },
    ],
    [
      'a look back that fits the heap',
      { repeat_last_n: 2147483647, dry_penalty_last_n: 1e6 },
      { repeat_last_n: 131072, dry_penalty_last_n: 131072 },
    ],
    ['a duration that is an integer', { t_max_predict_ms: 1e300 }, { t_max_predict_ms: Number.MAX_SAFE_INTEGER }],
    ['stop as an array, without empty values', { stop: ['a', null, {}, []] }, { stop: ['a'] }],
    ['a stop string as an array', { stop: 'a' }, { stop: ['a'] }],
    ['samplers by name or letter', { samplers: 'kt' }, { samplers: 'kt' }],
    [
      'logit_bias without bad entries',
      { logit_bias: [[1, 2], [1.5, 2], [-1, 2], ['a', false], ['b', true], 5, ['c']] },
      {
        logit_bias: [
          [1, 2],
          ['a', false],
        ],
      },
    ],
    [
      'a keyed logit_bias as pairs',
      { logit_bias: { 15043: -100, ' Paris': 1e300, x: 'y' } },
      {
        logit_bias: [
          [15043, -100],
          [' Paris', 3.4028234663852886e38],
        ],
      },
    ],
    [
      'a grammar rather than a schema',
      { grammar: 'root ::= "a"', json_schema: { type: 'object' } },
      { grammar: 'root ::= "a"' },
    ],
    [
      'a grammar, whatever the schema',
      { grammar: 'root ::= "a"', json_schema: { type: 'hiccup' } },
      { grammar: 'root ::= "a"' },
    ],
    [
      'keys of logit_bias as C reads numbers',
      { logit_bias: { ' 5': 1, '-5': 1, '5a': 1 } },
      {
        logit_bias: [
          [5, 1],
          ['5a', 1],
        ],
      },
    ],
    [
      'usage in streams',
      { stream: true, stream_options: { include_usage: true, other: 1 } },
      { stream: true, stream_options: { include_usage: true } },
    ],
    ['no adapters', { lora: [{ id: 7, scale: 1 }] }, {}],
    [
      'a schema that refers to itself',
      { json_schema: { $ref: '#/$defs/a', $defs: { a: { type: 'string' } } } },
      { json_schema: { $ref: '#/$defs/d0', $defs: { d0: { type: 'string' } } } },
    ],
    ['no n', { n: 3 }, {}],
  ];
  test.each(cases)('%s', (_, request, body) => {
    expect(read(request)).toEqual({ seed: DRAWN, ...body });
  });
});

describe('the seed', () => {
  test.each([
    [{ seed: 42 }, { seed: 42, cache_prompt: false }],
    [
      { seed: 42, cache_prompt: true },
      { seed: 42, cache_prompt: true },
    ],
    [
      { seed: 42, cache_prompt: null },
      { seed: 42, cache_prompt: false },
    ],
    [{ seed: 1.5 }, { seed: 1, cache_prompt: false }],
    [{ seed: 0 }, { seed: 0, cache_prompt: false }],
    [{ seed: true }, { seed: 1, cache_prompt: false }],
    [{ seed: 99999999999 }, { seed: 99999999999 % 2 ** 32, cache_prompt: false }],
    [{ seed: -1 }, { seed: DRAWN }],
    [{ seed: 4294967295 }, { seed: DRAWN }],
  ])('%j', (request, body) => {
    expect(read(request)).toEqual(body);
  });

  test('of each of several answers', () => {
    const seeds = (request: Json) => {
      const parameters = readParameters(request, () => DRAWN);
      return [0, 2].flatMap((offset) => [0, 1].map((choice) => seedOf(parameters, choice, offset)));
    };
    // The same for each prompt, as in llama-server; else all differ.
    expect(seeds({ seed: 42 })).toEqual([42, 43, 42, 43]);
    expect(seeds({})).toEqual([7, 8, 9, 10]);
    expect(seeds({ seed: 0xfffffffe })).toEqual([0xfffffffe, 0, 0xfffffffe, 0]);
  });

  test('a drawn seed is never llama.cpp’s "draw one"', () => {
    expect(readParameters({}, () => 0xffffffff).body.seed).toBe(0);
  });
});

describe('what is refused', () => {
  const cases: [request: Json, message: string][] = [
    [{ max_tokens: 1e12 }, "Field 'max_tokens': Value must be between -1 <= value <= 2147483647, but got -727379968"],
    [
      { max_tokens: 2 ** 32 + 1 },
      "Field 'max_tokens': Value must be between -1 <= value <= 2147483647, but got 4294967297",
    ],
    [
      { reasoning_budget_tokens: -2 },
      "Field 'reasoning_budget_tokens': Value must be between -1 <= value <= 2147483647, but got -2",
    ],
    [
      { adaptive_decay: -1 },
      "Field 'adaptive_decay': Value must be between 0.000000 <= value <= 0.990000, but got -1.000000",
    ],
    [{ repeat_penalty: 1e300 }, 'Failed to initialize samplers: penalty_repeat must be finite and greater than 0'],
    [{ repeat_penalty: 1e-45 }, 'Failed to initialize samplers: penalty_repeat must be finite and greater than 0'],
    [{ frequency_penalty: 1e300 }, 'Failed to initialize samplers: penalty_freq must be finite'],
    [{ presence_penalty: -1e300 }, 'Failed to initialize samplers: penalty_present must be finite'],
    [{ stop: Array(257).fill('a') }, "Field 'stop': 257 entries; the limit is 256. Send fewer."],
    [{ samplers: 'k'.repeat(65) }, "Field 'samplers': 65 entries; the limit is 64. Send fewer."],
    [{ samplers: [5] }, "Field 'samplers': [json.exception.type_error.302] type must be string, but is number"],
    [{ grammar: 'root ::= "a\0"' }, 'Failed to initialize samplers: failed to parse grammar'],
    [{ reasoning_format: 'zzz' }, "Field 'reasoning_format': Unknown reasoning format: zzz"],
    [
      { stream_options: { include_usage: 1 } },
      "Field 'include_usage': [json.exception.type_error.302] type must be boolean, but is number",
    ],
    [
      { json_schema: { $ref: 'https://x/y.json' } },
      'Field \'json_schema\': "json_schema": JSON schema conversion failed:\nJSON schema error at #: Unsupported ref: https://x/y.json',
    ],
    [
      { json_schema: { items: { $ref: '#/$defs/b' }, $defs: { a: {} } } },
      'Field \'json_schema\': "json_schema": JSON schema conversion failed:\nJSON schema error at #/items: Unsupported ref: #/$defs/b',
    ],
    [
      { json_schema: { properties: { a: { type: 'hiccup' } } } },
      'Field \'json_schema\': "json_schema": JSON schema conversion failed:\nJSON schema error at #/properties/a: unrecognized type hiccup',
    ],
    [{ n: 5 }, "Field 'n': Value must be between 1 <= value <= 4, but got 5"],
  ];
  test.each(cases)('%j', (request, message) => {
    expect(faultOf(() => read(request))).toMatchObject({ message, type: 'invalid_request_error' });
  });
});

describe('chat', () => {
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };

  test('logprobs: true is n_probs', () => {
    expect(chat({ logprobs: true, top_logprobs: 3 }).n_probs).toBe(3);
    expect(chat({ logprobs: true }).n_probs).toBe(20);
    expect(chat({ logprobs: true, top_logprobs: 1e9 }).n_probs).toBe(1000);
    expect(chat({ logprobs: 4 }).n_probs).toBe(4);
  });

  test('structures are forwarded with what llama.cpp reads of them', () => {
    const body = chat({
      tools: [{ ...tool, strict: true }],
      tool_choice: 'required',
      parallel_tool_calls: true,
      chat_template_kwargs: { enable_thinking: false },
      reasoning_effort: 'low',
      thinking_budget_tokens: 5.5,
      response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: { type: 'object' } } },
    });
    expect(body).toEqual({
      seed: DRAWN,
      messages: [{ role: 'user', content: 'Hi' }],
      tools: [{ type: 'function', function: { name: 'f', description: '', parameters: { type: 'object' } } }],
      tool_choice: 'required',
      parallel_tool_calls: true,
      chat_template_kwargs: { enable_thinking: false },
      reasoning_effort: 'low',
      thinking_budget_tokens: 5,
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object', additionalProperties: true } } },
    });
  });

  test('messages are forwarded with what llama.cpp reads of them', () => {
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'Hi', cache_control: {} }], extra: 1 },
      {
        role: 'assistant',
        refusal: null,
        reasoning_content: null,
        tool_calls: [{ id: null, type: 'function', index: 0, function: { name: 'f', arguments: { a: 1 } } }],
      },
      { role: 'tool', tool_call_id: 'call_1', name: 'f', content: null },
    ];
    expect(chat({ messages }).messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      { role: 'assistant', tool_calls: [{ type: 'function', function: { name: 'f', arguments: '{"a":1}' } }] },
      { role: 'tool', content: null, name: 'f', tool_call_id: 'call_1' },
    ]);
  });

  const assistant = { role: 'assistant', content: 'b' };
  const call = { role: 'assistant', tool_calls: [{ type: 'function', function: { name: 'f', arguments: '{}' } }] };
  const cases: [request: Json, type: string, message: string][] = [
    [
      { response_format: { type: 'json_object' }, grammar: 'x' },
      'server_error',
      'Cannot use both json_schema and grammar',
    ],
    [
      { messages: [assistant], continue_final_message: true },
      'invalid_request_error',
      'Cannot set both add_generation_prompt and continue_final_message to true.',
    ],
    [
      { continue_final_message: true, add_generation_prompt: false },
      'invalid_request_error',
      "'continue_final_message' needs an assistant message at the end of 'messages'.",
    ],
    [{ messages: [call] }, 'invalid_request_error', 'Cannot continue an assistant message that contains tool calls.'],
    [
      { messages: [{ role: 'user', content: 'a', name: 5 }] },
      'server_error',
      'Failed to parse messages: [json.exception.type_error.302] type must be string, but is number',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      'server_error',
      "Failed to parse messages: [json.exception.out_of_range.403] key 'text' not found",
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{}] }] },
      'server_error',
      'Failed to parse messages: Missing tool call type: {}',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: 5 }] },
      'server_error',
      'Failed to parse messages: Missing tool call type: 5',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ type: 'x' }] }] },
      'server_error',
      'Failed to parse messages: Unsupported tool call type: {"type":"x"}',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ type: 'function' }] }] },
      'server_error',
      'Failed to parse messages: Missing tool call function: {"type":"function"}',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ type: 'function', function: { name: 'f' } }] }] },
      'server_error',
      "Failed to parse messages: [json.exception.out_of_range.403] key 'arguments' not found",
    ],
    [
      { messages: [{ role: 'user', content: [{ type: '__proto__' }] }] },
      'invalid_request_error',
      'unsupported content[].type',
    ],
    [{ tools: [5] }, 'server_error', 'Failed to parse tools: Missing tool type: 5; tools = [\n  5\n]'],
    [{ reasoning_format: 5 }, 'server_error', '[json.exception.type_error.302] type must be string, but is number'],
    [
      { reasoning_effort: 5 },
      'invalid_request_error',
      "Field 'reasoning_effort': [json.exception.type_error.302] type must be string, but is number",
    ],
    [
      { logprobs: true, top_logprobs: 1, stream: true, tools: [tool] },
      'invalid_request_error',
      'logprobs is not supported with tools + stream',
    ],
  ];
  test.each(cases)('refuses %j', (request, type, message) => {
    expect(faultOf(() => chat(request))).toMatchObject({ type, message });
  });

  test('continues an assistant’s message', () => {
    const messages = [{ role: 'user', content: 'a' }, assistant];
    expect(chat({ messages, continue_final_message: 'content', add_generation_prompt: false })).toMatchObject({
      continue_final_message: 'content',
      add_generation_prompt: false,
    });
  });
});

test('/props shows llama-server’s defaults, in single precision', () => {
  expect(defaultParameters()).toMatchObject({
    temperature: 0.800000011920929,
    top_k: 40,
    seed: 4294967295,
    n_predict: -1,
  });
});
