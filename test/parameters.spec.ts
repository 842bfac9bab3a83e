/** Every parameter on the real engine: it changes the output, or is rejected. */
import type { Page } from '@playwright/test';
import { PARAMETER_NAMES } from '../src/server/generate/params.ts';
import { type Answer, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

type Json = Record<string, unknown>;

const PROMPT = 'Once upon a time';
/** Whole requests; those that are the same are sent once. */
const BASE = { prompt: PROMPT, seed: 1, temperature: 1, max_tokens: 24, verbose: true };

/** What of an answer is looked at. */
type Look = (answer: Answer) => unknown;
const text: Look = ({ json }) => json.choices[0].text;
const settings =
  (name: string): Look =>
  ({ json }) =>
    json.__verbose.generation_settings[name];
const finish: Look = ({ json }) => json.choices[0].finish_reason;

/**
 * A parameter's request without it, with it, and what must differ. Where `expected` is there, the one with it must look so.
 */
interface Case {
  name: string;
  without?: Json;
  given: Json;
  look?: Look;
  expected?: unknown;
}

/** So much that nothing else is ever said. */
const C_ONLY = { logit_bias: { c: 40 }, temperature: 0 };
/** A penalty for repetition that grows until it outweighs that. */
const DRY = { ...C_ONLY, dry_multiplier: 1, dry_allowed_length: 2 };
const LINES = { grammar: 'root ::= "a\\n" ("b\\n")*', max_tokens: 300 };
const ADAPTIVE = { samplers: ['top_k', 'adaptive_p'], adaptive_target: 0.2 };

// biome-ignore format: a table
const CASES: Case[] = [
  { name: 'n_predict', given: { n_predict: 3, max_tokens: 9 }, expected: expect.stringMatching(/^.{3}$/) },
  { name: 'max_completion_tokens', given: { max_completion_tokens: 4, max_tokens: 9 }, expected: expect.stringMatching(/^.{4}$/) },
  { name: 'max_tokens', given: { max_tokens: 5 }, expected: expect.stringMatching(/^.{5}$/) },
  { name: 'temperature', given: { temperature: 0 } },
  { name: 'dynatemp_range', given: { dynatemp_range: 1 } },
  { name: 'dynatemp_exponent', without: { dynatemp_range: 1 }, given: { dynatemp_exponent: 20 } },
  { name: 'top_k', given: { top_k: 1 } },
  { name: 'top_p', given: { top_p: 0.01 } },
  { name: 'min_p', given: { min_p: 0.9 } },
  { name: 'top_n_sigma', given: { top_n_sigma: 0.001 } },
  { name: 'typical_p', given: { typical_p: 0.01 } },
  { name: 'xtc_probability', given: { xtc_probability: 1, xtc_threshold: 0.01 } },
  { name: 'xtc_threshold', without: { xtc_probability: 1 }, given: { xtc_threshold: 0.01 } },
  { name: 'min_keep', without: { top_p: 0.01 }, given: { min_keep: 20 } },
  { name: 'repeat_penalty', without: C_ONLY, given: { repeat_penalty: 20 } },
  { name: 'repeat_last_n', without: { ...C_ONLY, repeat_penalty: 20 }, given: { repeat_last_n: 0 } },
  { name: 'frequency_penalty', without: C_ONLY, given: { frequency_penalty: 10 } },
  { name: 'presence_penalty', without: C_ONLY, given: { presence_penalty: 50 } },
  { name: 'dry_multiplier', without: C_ONLY, given: { dry_multiplier: 1 } },
  { name: 'dry_base', without: DRY, given: { dry_base: 4 } },
  { name: 'dry_allowed_length', without: DRY, given: { dry_allowed_length: 6 } },
  { name: 'dry_penalty_last_n', without: DRY, given: { dry_penalty_last_n: 3 } },
  { name: 'dry_sequence_breakers', without: DRY, given: { dry_sequence_breakers: ['c'] } },
  { name: 'mirostat', given: { mirostat: 2, mirostat_tau: 0.1 } },
  { name: 'mirostat_tau', without: { mirostat: 2 }, given: { mirostat_tau: 0.1 } },
  { name: 'mirostat_eta', without: { mirostat: 2, mirostat_tau: 2 }, given: { mirostat_eta: 1 } },
  { name: 'adaptive_target', without: { samplers: ADAPTIVE.samplers }, given: ADAPTIVE },
  { name: 'adaptive_decay', without: ADAPTIVE, given: { adaptive_decay: 0 } },
  { name: 'seed', given: { seed: 2 } },
  { name: 'samplers', without: { top_k: 1 }, given: { samplers: ['temperature'] } },
  { name: 'samplers', without: { top_k: 1 }, given: { samplers: 't' } },
  { name: 'logit_bias', given: { logit_bias: { ' ': false, a: 40 } }, expected: expect.stringMatching(/^a+$/) },
  { name: 'logit_bias', given: { logit_bias: [[98, 40]] }, expected: expect.stringMatching(/^b+$/) },
  { name: 'stop', without: C_ONLY, given: { stop: ['ccc'] }, expected: '' },
  { name: 'grammar', given: { grammar: 'root ::= "yes" | "no"' }, expected: expect.stringMatching(/^(yes|no)$/) },
  { name: 'json_schema', given: { json_schema: { type: 'boolean' } }, expected: expect.stringMatching(/^(true|false)$/) },
  { name: 'ignore_eos', without: { model: 'brief' }, given: { ignore_eos: true }, look: finish, expected: 'length' },
  { name: 'n_indent', without: LINES, given: { n_indent: 2 } },
  { name: 't_max_predict_ms', without: LINES, given: { t_max_predict_ms: 1 } },
  // Of use only where the context is shifted, which llama-server does not do by default.
  { name: 'n_keep', given: { n_keep: 5 }, look: settings('n_keep'), expected: 5 },
  { name: 'n_discard', given: { n_discard: 5 }, look: settings('n_discard'), expected: 5 },
  { name: 'reasoning_format', given: { reasoning_format: 'none' }, look: settings('reasoning_format'), expected: 'none' },
  { name: 'n_probs', given: { n_probs: 2, logprobs: 1 }, look: alternatives, expected: 2 },
  { name: 'logprobs', given: { logprobs: 1 }, look: alternatives, expected: 1 },
  { name: 'post_sampling_probs', without: { n_probs: 1 }, given: { post_sampling_probs: true }, look: probabilityName, expected: 'prob' },
  { name: 'return_tokens', given: { return_tokens: true }, look: ({ json }) => json.__verbose.tokens.length, expected: 24 },
  { name: 'verbose', without: { verbose: false }, given: { verbose: true }, look: ({ json }) => '__verbose' in json, expected: true },
  { name: 'n_cmpl', given: { n_cmpl: 2, n: 3 }, look: choices, expected: 2 },
  { name: 'n', given: { n: 3 }, look: choices, expected: 3 },
  { name: 'best_of', given: { best_of: 3 }, look: ({ json }) => json.usage.completion_tokens, expected: 72 },
  { name: 'echo', given: { echo: true }, expected: expect.stringMatching(/^Once upon a time.{24}$/) },
  { name: 'suffix', without: { model: 'gap' }, given: { suffix: 'x' }, look: ({ json }) => json.__verbose.prompt, expected: `<|fim_prefix|>${PROMPT}<|fim_suffix|>x<|fim_middle|>` },
  { name: 'stream', given: { stream: true }, look: ({ headers }) => headers['content-type'], expected: 'text/event-stream' },
  { name: 'timings_per_token', without: { stream: true }, given: { timings_per_token: true }, look: chunksWith('timings'), expected: 25 },
  { name: 'return_progress', without: { stream: true }, given: { return_progress: true }, look: chunksWith('prompt_progress'), expected: expect.any(Number) },
];

function alternatives({ json }: Answer): unknown {
  return json.choices[0].logprobs?.content[0].top_logprobs.length;
}
function probabilityName({ json }: Answer): unknown {
  return 'prob' in json.choices[0].logprobs.content[0] ? 'prob' : 'logprob';
}
function choices({ json }: Answer): unknown {
  return json.choices.length;
}
function chunksWith(field: string): Look {
  return (answer) => eventsOf(answer).filter((event) => event[field] !== undefined).length;
}

function eventsOf({ text }: Answer): Json[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)));
}

/** llama-server's message for each value that it does not take. */
const OUT_OF_RANGE: [name: string, value: unknown, message: string][] = [
  ...['n_predict', 'max_completion_tokens', 'max_tokens', 'n_keep', 'sse_ping_interval', 'reasoning_budget_tokens'].map(
    (name): [string, unknown, string] => [name, -2, 'Value must be between -1 <= value <= 2147483647, but got -2'],
  ),
  ...[
    'n_indent',
    'n_discard',
    'n_cache_reuse',
    'repeat_last_n',
    'dry_allowed_length',
    'dry_penalty_last_n',
    'min_keep',
  ].map((name): [string, unknown, string] => [name, -1, 'Value must be between 0 <= value <= 2147483647, but got -1']),
  ['n', 5, 'Value must be between 1 <= value <= 4, but got 5'],
  ['n_cmpl', 0, 'Value must be between 1 <= value <= 4, but got 0'],
  ['t_max_predict_ms', -2, 'Value must be between -1 <= value <= 9223372036854775807, but got -2'],
  ['adaptive_decay', 1, 'Value must be between 0.000000 <= value <= 0.990000, but got 1.000000'],
  ['dry_sequence_breakers', [], 'Error: dry_sequence_breakers must be a non-empty array of strings'],
  ['lora', {}, "Error: 'lora' must be an array of objects with 'id' and 'scale' fields"],
  ['reasoning_format', 'loud', 'Unknown reasoning format: loud'],
  ['reasoning_control', 1, '[json.exception.type_error.302] type must be boolean, but is number'],
  // Not passed on: it would take the log probabilities from the requests beside it.
  ['backend_sampling', 1, '[json.exception.type_error.302] type must be boolean, but is number'],
  ['cache_prompt', 1, '[json.exception.type_error.302] type must be boolean, but is number'],
];

/** Shown in tests of their own, below and where they are at home. */
const ELSEWHERE = [
  'stream_options',
  'cache_prompt',
  'reasoning_budget_tokens',
  'reasoning_budget_message',
  'response_fields',
];

test('every parameter of the table is shown', () => {
  const shown = [...CASES.map(({ name }) => name), ...OUT_OF_RANGE.map(([name]) => name), ...ELSEWHERE];
  expect(PARAMETER_NAMES.filter((name) => !shown.includes(name))).toEqual([]);
});

/** All at once: the engine's queue is theirs. Answers by request. */
async function askAll(page: Page, bodies: Json[]): Promise<Map<string, Answer>> {
  const distinct = [...new Set(bodies.map((body) => JSON.stringify(body)))];
  const answers = await Promise.all(distinct.map((body) => fetchIn(page, '/v1/completions', body)));
  return new Map(distinct.map((body, index) => [body, answers[index] as Answer]));
}

test('each changes the output', async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, brief: { endBias: 3 }, gap: { infill: true } });
  await serveIn(page, site);
  const pairs = CASES.map(({ without, given, ...rest }) => {
    const before = { ...BASE, ...without };
    return { ...rest, before, after: { ...before, ...given } };
  });
  const answers = await askAll(
    page,
    pairs.flatMap(({ before, after }) => [before, after]),
  );
  for (const { name, before, after, look = text, expected } of pairs) {
    const [plain, changed] = [before, after].map((body) => answers.get(JSON.stringify(body)) as Answer);
    const label = `${name}: ${JSON.stringify(after)}`;
    expect.soft(plain?.status, `${label}: ${plain?.text}`).toBe(200);
    expect.soft(changed?.status, `${label}: ${changed?.text}`).toBe(200);
    if (plain?.status !== 200 || changed?.status !== 200) continue;
    expect.soft(look(changed), label).not.toEqual(look(plain));
    if (expected !== undefined) expect.soft(look(changed), label).toEqual(expected);
  }
});

test('each is rejected out of its range, and llama.cpp never sees it', async ({ page, site }) => {
  await serveIn(page, site);
  for (const [name, value, message] of OUT_OF_RANGE) {
    const { status, json } = await fetchIn(page, '/v1/completions', { ...BASE, [name]: value });
    expect([status, json]).toMatchObject([400, { error: { param: name, message: `Field '${name}': ${message}` } }]);
  }
  const { status, json } = await fetchIn(page, '/v1/completions', { ...BASE, repeat_penalty: 0 });
  expect([status, json.error.message]).toEqual([
    400,
    'Failed to initialize samplers: penalty_repeat must be finite and greater than 0',
  ]);
});

test('what needs more than one answer to be seen', async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, agent: { agent: true } });
  await serveIn(page, site);
  const prompt = 'The same long prompt again and again';
  const cached = async (cache_prompt: boolean) => {
    const { json } = await fetchIn(page, '/v1/completions', { ...BASE, prompt, cache_prompt });
    return json.usage.prompt_tokens_details.cached_tokens;
  };
  await cached(true);
  expect(await cached(true)).toBeGreaterThan(20);
  expect(await cached(false)).toBe(0);

  const messages = user('hi');
  const chat = (body: Json) => fetchIn(page, '/v1/chat/completions', { messages, seed: 1, max_tokens: 4, ...body });
  const counted = eventsOf(await chat({ stream: true, stream_options: { include_usage: true }, n: 2 }));
  expect(counted.filter(({ usage }) => usage !== undefined)).toEqual([counted.at(-1)]);
  expect(counted.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
  expect(eventsOf(await chat({ stream: true })).some(({ usage }) => usage !== undefined)).toBe(false);

  const thoughts = async (body: Json) => {
    const { json } = await chat({ model: 'agent', max_tokens: 120, ...body });
    return json.choices[0].message.reasoning_content as string;
  };
  const free = await thoughts({});
  const bounded = await thoughts({ reasoning_budget_tokens: 10 });
  expect(bounded.length).toBeLessThan(free.length);
  expect(await thoughts({ reasoning_budget_tokens: 10, reasoning_budget_message: ' Enough.' })).toMatch(/ Enough\.$/);
});

test('n, prompts and token ids: choices in order, streams interleaved, the same texts as alone', async ({
  page,
  site,
}) => {
  await serveIn(page, site);
  const base = { seed: 5, temperature: 1, max_tokens: 12 };
  const alone = await Promise.all(
    ['one', 'two', 'three'].flatMap((prompt) =>
      [5, 6].map(
        async (seed) => (await fetchIn(page, '/v1/completions', { ...base, prompt, seed })).json.choices[0].text,
      ),
    ),
  );
  // Each byte is a token of the tiny model's.
  const ids = [...new TextEncoder().encode('two')];
  const prompt = ['one', ids, { prompt_string: ['th', 114, 'ee'] }];
  const { json } = await fetchIn(page, '/v1/completions', { ...base, prompt, n: 2 });
  expect(json.choices.map((choice: Json) => [choice.index, choice.text])).toEqual(
    alone.map((text, index) => [index, text]),
  );
  expect(json.usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 72, total_tokens: 83 });

  const streamed = await fetchIn(page, '/v1/completions', { ...base, prompt, n: 2, stream: true });
  const texts = alone.map(() => '');
  const order: number[] = [];
  for (const { choices } of eventsOf(streamed)) {
    const [{ index, text }] = choices as [{ index: number; text: string }];
    texts[index] += text;
    order.push(index);
  }
  expect(texts).toEqual(alone);
  expect(streamed.text.match(/\[DONE\]/g)).toHaveLength(1);
  // The four that have slots take turns.
  expect(new Set(order.slice(0, 8)).size).toBe(4);

  const cut = await fetchIn(page, '/v1/completions', { ...base, prompt: [195] });
  expect([cut.status, cut.json.error.param]).toEqual([400, 'prompt']);
  const long = await fetchIn(page, '/v1/completions', { ...base, prompt: ['a', 'b'.repeat(3000)], stream: true });
  expect([long.status, long.json.error.type]).toEqual([400, 'exceed_context_size_error']);
});

test('leaving a request of many frees all its slots', async ({ page, site }) => {
  await serveIn(page, site);
  await page.evaluate(async () => {
    const body = { prompt: ['a', 'b', 'c', 'd', 'e', 'f'], n: 2, max_tokens: 1500, stream: true };
    const abort = new AbortController();
    const request = { method: 'POST', body: JSON.stringify(body), signal: abort.signal };
    const reader = (await fetch('/v1/completions', request)).body?.getReader();
    for (let read = 0; read < 8; read++) await reader?.read();
    abort.abort();
    await reader?.read().catch(() => {});
  });
  const load = async () => (await fetchIn(page, '/props')).json.engine.requests;
  await expect.poll(load).toEqual({ processing: 0, deferred: 0 });
  const { json } = await fetchIn(page, '/v1/completions', { ...BASE, n: 4 });
  expect(json.choices).toHaveLength(4);
});

test('llama-server’s own shape, and gaps filled', async ({ page, site }) => {
  putTinyModels(site, { gap: { infill: true }, tiny: {} });
  await serveIn(page, site);
  const body = { prompt: PROMPT, n_predict: 4, seed: 1, return_tokens: true, n_probs: 2 };
  const { json } = await fetchIn(page, '/completion', body);
  expect(json).toMatchObject({
    index: 0,
    content: expect.stringMatching(/^.{4}$/),
    tokens: [expect.any(Number), expect.any(Number), expect.any(Number), expect.any(Number)],
    stop: true,
    model: 'gap',
    tokens_predicted: 4,
    tokens_evaluated: PROMPT.length,
    generation_settings: { n_predict: 4, seed: 1, n_probs: 2, temperature: 0.800000011920929, stop: [] },
    prompt: PROMPT,
    stop_type: 'limit',
    stopping_word: '',
    truncated: false,
    tokens_cached: PROMPT.length + 3,
  });
  expect(json.completion_probabilities).toHaveLength(4);
  expect(json).not.toHaveProperty('__verbose');

  const streamed = await fetchIn(page, '/completions', { ...body, stream: true });
  const events = eventsOf(streamed);
  expect(streamed.text).not.toContain('[DONE]');
  expect(events.map(({ stop }) => stop)).toEqual([false, false, false, false, true]);
  expect(events.map(({ content }) => content).join('')).toBe(json.content);
  expect(events[0]).toMatchObject({
    index: 0,
    tokens: [json.tokens[0]],
    completion_probabilities: [{ id: json.tokens[0] }],
  });

  const several = await fetchIn(page, '/v1/completion', {
    ...body,
    prompt: ['a', 'b'],
    response_fields: ['prompt', 'stop', 'generation_settings/seed'],
  });
  expect(several.json).toEqual(['a', 'b'].map((prompt) => ({ prompt, stop: true, 'generation_settings/seed': 1 })));

  const gap = {
    input_prefix: 'def f(',
    input_suffix: '):',
    prompt: 'x',
    input_extra: [{ filename: 'a.py', text: 'a = 1' }],
    n_predict: 2,
  };
  const filled = await fetchIn(page, '/infill', gap);
  expect(filled.json).toMatchObject({
    prompt:
      '<|repo_name|>myproject\n<|file_sep|>a.py\na = 1<|file_sep|>filename\n<|fim_prefix|>def f(x<|fim_suffix|>):<|fim_middle|>',
    // Each mark is one token.
    tokens_evaluated: 'myproject\na.py\na = 1filename\ndef f(x):'.length + 6,
    tokens_predicted: 2,
  });
  const unable = await fetchIn(page, '/infill', { ...gap, model: 'tiny' });
  expect([unable.status, unable.json.error.message]).toEqual([
    501,
    'Infill is not supported by this model: prefix token is missing. suffix token is missing. middle token is missing. ',
  ]);
});
