/**
 * The request parameters that chat and text completions share: one table, in the order in which llama-server evaluates
 * them, so that of several faults in a body the same one is reported. `null` is the same as absent; what the table does not
 * name is ignored and never reaches llama.cpp (its schema also knows fields that only the server itself may set).
 *
 * What passes here must not make wllama's C++ throw: one exception there rejects every request in flight.
 */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { grammarFault } from '../constraints/grammar-limits.ts';
import { keepSchema } from '../constraints/schema.ts';
import { isObject, typeError } from '../http/json.ts';

const INT32_MAX = 2 ** 31 - 1;
const FLOAT_MAX = 3.4028234663852886e38;
/** llama.cpp's LLAMA_DEFAULT_SEED: "draw one". */
const RANDOM_SEED = 0xffffffff;

/** llama-server's default `--parallel`, which is its limit of `n`. */
const MAX_CHOICES = 4;
/** llama.cpp looks for each after each token. OpenAI allows 4, agents send a dozen. */
const MAX_STOP_STRINGS = 256;
/** More entries than any vocabulary in use has; each is looked at for each token. */
const MAX_LOGIT_BIASES = 2 ** 19;
/** llama.cpp knows 9 samplers; a list may repeat them, and each runs for each token. */
const MAX_SAMPLERS = 64;
/** Each is compared with the whole vocabulary when a request starts. */
const MAX_SEQUENCE_BREAKERS = 256;
/** Alternatives reported for a token. OpenAI allows 20; an entry is about 100 bytes, in a heap of at most 4 GiB. */
const MAX_LOGPROBS = 1000;
/** llama-server's own shape has 60 fields, those of its settings among them. */
const MAX_RESPONSE_FIELDS = 256;
/** Tokens that a penalty looks back on. llama.cpp allocates them at once: INT32_MAX of them would end the engine. */
const MAX_LOOK_BACK = 2 ** 17;
/** A day. `setTimeout` takes at most 2^31-1 ms and fires at once beyond. */
const MAX_PING_INTERVAL = 86400;

/** Turns a field's value into llama.cpp's; undefined ignores the field. `field` is the name that the caller used. */
type Read<T = unknown> = (value: unknown, field: string) => T;

interface Parameter {
  name: string;
  /** Other names; the first that is present counts, the rest are not even looked at. */
  aliases?: string[];
  read: Read;
  /** llama-server's own, for `/props`. */
  default?: number | boolean;
  /** Ours to act on, or meaningless here: checked, but not sent to llama.cpp. */
  local?: true;
}

// biome-ignore format: a table
const PARAMETERS: Parameter[] = [
  { name: 'verbose', read: bool },
  { name: 'timings_per_token', read: bool, default: false },
  { name: 'stream', read: bool, default: false },
  { name: 'stream_options', read: streamOptions },
  { name: 'cache_prompt', read: bool },
  { name: 'return_tokens', read: bool },
  { name: 'return_progress', read: bool },
  { name: 'sse_ping_interval', read: int({ min: -1, cap: MAX_PING_INTERVAL }), local: true },
  { name: 'n_predict', aliases: ['max_completion_tokens', 'max_tokens'], read: int({ min: -1 }), default: -1 },
  { name: 'n_indent', read: int({ min: 0 }) },
  { name: 'n_keep', read: int({ min: -1 }), default: 0 },
  { name: 'n_discard', read: int({ min: 0 }), default: 0 },
  { name: 'n_cmpl', aliases: ['n'], read: int({ min: 1, max: MAX_CHOICES }), local: true },
  { name: 'n_cache_reuse', read: int({ min: 0 }) },
  { name: 't_max_predict_ms', read: int64({ min: -1 }) },
  { name: 'response_fields', read: names, local: true },
  { name: 'top_k', read: softInt(0, INT32_MAX), default: 40 },
  { name: 'top_p', read: softFloat(0, 1), default: 0.95 },
  { name: 'min_p', read: softFloat(0, 1), default: 0.05 },
  { name: 'top_n_sigma', read: float, default: -1 },
  { name: 'xtc_probability', read: softFloat(0, 1), default: 0 },
  { name: 'xtc_threshold', read: softFloat(0, 1), default: 0.1 },
  { name: 'typical_p', read: float, default: 1 },
  { name: 'temperature', read: softFloat(0, FLOAT_MAX), default: 0.8 },
  { name: 'dynatemp_range', read: float, default: 0 },
  { name: 'dynatemp_exponent', read: float, default: 1 },
  { name: 'repeat_last_n', read: int({ min: 0, cap: MAX_LOOK_BACK }), default: 64 },
  { name: 'repeat_penalty', read: repeatPenalty, default: 1 },
  { name: 'frequency_penalty', read: finiteFloat('penalty_freq'), default: 0 },
  { name: 'presence_penalty', read: finiteFloat('penalty_present'), default: 0 },
  { name: 'dry_multiplier', read: float, default: 0 },
  { name: 'dry_base', read: float, default: 1.75 },
  { name: 'dry_allowed_length', read: int({ min: 0 }), default: 2 },
  { name: 'dry_penalty_last_n', read: int({ min: 0, cap: MAX_LOOK_BACK }), default: 64 },
  { name: 'mirostat', read: softInt(0, 2), default: 0 },
  { name: 'mirostat_tau', read: float, default: 5 },
  { name: 'mirostat_eta', read: float, default: 0.1 },
  { name: 'adaptive_target', read: softFloat(-FLOAT_MAX, 1), default: -1 },
  { name: 'adaptive_decay', read: hardFloat(0, 0.99), default: 0.9 },
  { name: 'seed', read: seed, default: RANDOM_SEED },
  { name: 'n_probs', aliases: ['logprobs'], read: softInt(0, MAX_LOGPROBS), default: 0 },
  { name: 'min_keep', read: int({ min: 0 }), default: 0 },
  // Takes the log probabilities from the requests beside it; on a CPU it gains nothing.
  { name: 'backend_sampling', read: bool, default: false, local: true },
  { name: 'post_sampling_probs', read: bool, default: false },
  { name: 'lora', read: lora, local: true },
  { name: 'dry_sequence_breakers', read: sequenceBreakers },
  { name: 'json_schema', read: jsonSchema },
  { name: 'grammar', read: grammar },
  { name: 'reasoning_format', read: reasoningFormat },
  { name: 'echo', read: bool, local: true },
  { name: 'reasoning_control', read: bool },
  { name: 'reasoning_budget_tokens', read: int({ min: -1 }) },
  { name: 'reasoning_budget_message', read: (value) => (typeof value === 'string' ? value : undefined) },
  { name: 'logit_bias', read: logitBias },
  { name: 'ignore_eos', read: bool, default: false },
  { name: 'stop', read: stop },
  { name: 'samplers', read: samplers },
];

/** Seconds of silence after which llama-server sends an SSE comment. */
export const DEFAULT_PING_INTERVAL = 30;

export interface Parameters {
  /** What goes to llama.cpp, under llama.cpp's names; always with a seed. */
  body: Json;
  stream: boolean;
  /** Seconds; 0 or less for never. */
  pingInterval: number;
  /** Answers to each prompt: `n`. */
  choices: number;
  /** Whether the caller gave the seed, not the server. */
  seeded: boolean;
  /** OpenAI's: whether the answer begins with the prompt. */
  echo: boolean;
  /** Of llama-server's own shape, what is asked for; nothing for all. */
  responseFields: string[];
}

/**
 * @param random Draws an unsigned 32-bit integer, for the seed that the caller leaves to the server.
 * @throws LlamatabError with llama-server's message, naming the field.
 */
export function readParameters(request: Json, random: () => number): Parameters {
  const body: Json = {};
  const ours: Json = {};
  for (const { name, aliases = [], read, local } of PARAMETERS) {
    const field = [name, ...aliases].find((field) => isPresent(request[field]));
    if (field === undefined) continue;
    // llama-server does not even look at a schema beside a grammar.
    if (field === 'json_schema' && isPresent(request.grammar)) continue;
    const value = read(request[field], field);
    if (value !== undefined) (local ? ours : body)[name] = value;
  }
  const seeded = body.seed !== undefined;
  if (!seeded) {
    // Always seeded, so that an answer can be given again, word for word, by another tab's engine.
    body.seed = random() % RANDOM_SEED;
  } else {
    // A prefix from the prompt cache may have been computed token by token, that is in another order of summing, and so
    // give another text. Who asks for a seed asks for the same text each time; who also asks for the cache gets it.
    body.cache_prompt ??= false;
  }
  return {
    body,
    stream: body.stream === true,
    pingInterval: (ours.sse_ping_interval as number | undefined) ?? DEFAULT_PING_INTERVAL,
    choices: (ours.n_cmpl as number | undefined) ?? 1,
    seeded,
    echo: ours.echo === true,
    responseFields: (ours.response_fields as string[] | undefined) ?? [],
  };
}

/**
 * The seed of one answer among several: the n-th to a prompt has the seed plus n, as in llama-server, or all would be the same.
 * @param offset Answers to the prompts before. They count where nobody gave a seed, so that the same prompt twice has two answers.
 */
export function seedOf({ body, seeded }: Parameters, choice: number, offset: number): number {
  return ((body.seed as number) + choice + (seeded ? 0 : offset)) % RANDOM_SEED;
}

/** llama-server's defaults, as `/props` shows them: floats in single precision. */
export function defaultParameters(): Json {
  return Object.fromEntries(
    PARAMETERS.flatMap(({ name, default: value }) =>
      value === undefined
        ? []
        : [[name, typeof value === 'number' && !Number.isInteger(value) ? Math.fround(value) : value]],
    ),
  );
}

/** llama-server's "null is absent". */
export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A fault of one field, in the words of llama-server's schema. */
export function fieldError(field: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', `Field '${field}': ${message}`, { param: field });
}

// --- scalars -------------------------------------------------------------------------------------------------------

function bool(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw fieldError(field, typeError('boolean', value));
  return value;
}

/** nlohmann::json converts booleans to numbers, so llama-server takes them. */
function number(value: unknown, field: string): number {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value !== 'number') throw fieldError(field, typeError('number', value));
  return value;
}

/** A 32-bit integer at or above `min`, else 400; above `cap`, a limit of ours, it is lowered in silence. */
export function int({ min, max = INT32_MAX, cap = max }: { min: number; max?: number; cap?: number }): Read<number> {
  return (value, field) => {
    const integer = truncate(number(value, field));
    // What C++ makes of an integer beyond 32 bits, and so what llama-server's message shows.
    const wrapped = integer | 0;
    if (integer < min || integer > max) {
      throw outOfRange(field, `${min}`, `${max}`, `${wrapped < min || wrapped > max ? wrapped : integer}`);
    }
    return Math.min(integer, cap);
  };
}

function int64({ min }: { min: number }): Read {
  return (value, field) => {
    const integer = truncate(number(value, field));
    if (integer < min) throw outOfRange(field, `${min}`, '9223372036854775807', `${integer}`);
    return Math.min(integer, Number.MAX_SAFE_INTEGER);
  };
}

function softInt(min: number, max: number): Read {
  return (value, field) => Math.min(max, Math.max(min, truncate(number(value, field))));
}

/** llama.cpp's numbers are single: what is finite in double must stay so. */
function float(value: unknown, field: string): number {
  return Math.min(FLOAT_MAX, Math.max(-FLOAT_MAX, number(value, field)));
}

function softFloat(min: number, max: number): Read {
  return (value, field) => Math.min(max, Math.max(min, float(value, field)));
}

function hardFloat(min: number, max: number): Read {
  return (value, field) => {
    const single = Math.fround(float(value, field));
    if (single < min || single > Math.fround(max)) {
      throw outOfRange(field, min.toFixed(6), max.toFixed(6), single.toFixed(6));
    }
    return single;
  };
}

/** Truncated as in C++, without a negative zero. */
function truncate(value: number): number {
  return Math.trunc(value) + 0;
}

function outOfRange(field: string, min: string, max: string, got: string): LlamatabError {
  return fieldError(field, `Value must be between ${min} <= value <= ${max}, but got ${got}`);
}

function samplerError(field: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', `Failed to initialize samplers: ${message}`, { param: field });
}

/** llama.cpp divides by it, in single precision. */
function repeatPenalty(value: unknown, field: string): number {
  const single = Math.fround(number(value, field));
  if (!Number.isFinite(single) || single <= 0 || !Number.isFinite(Math.fround(1 / single))) {
    throw samplerError(field, 'penalty_repeat must be finite and greater than 0');
  }
  return single;
}

function finiteFloat(llamaName: string): Read {
  return (value, field) => {
    const given = number(value, field);
    if (!Number.isFinite(Math.fround(given))) throw samplerError(field, `${llamaName} must be finite`);
    return given;
  };
}

/** A 32-bit seed, wrapped as in C++; -1 is "draw one". */
function seed(value: unknown, field: string): number | undefined {
  const wrapped = truncate(number(value, field)) >>> 0;
  return wrapped === RANDOM_SEED ? undefined : wrapped;
}

// --- structures ----------------------------------------------------------------------------------------------------

function streamOptions(value: unknown): Json | undefined {
  if (!isObject(value) || !isPresent(value.include_usage)) return undefined;
  return { include_usage: bool(value.include_usage, 'include_usage') };
}

/** What is no array of strings is ignored, as in llama-server. */
function names(value: unknown, field: string): string[] | undefined {
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string')) return undefined;
  return cappedStrings(value, field, MAX_RESPONSE_FIELDS);
}

/** Empty values are skipped and a value that is no string or array is ignored, as in llama-server. An empty string stays: it stops at once. */
function stop(value: unknown, field: string): string[] | undefined {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) return undefined;
  const strings = value.filter((entry) => !isEmpty(entry));
  return cappedStrings(strings, field, MAX_STOP_STRINGS);
}

/** nlohmann::json's `empty()`. */
function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

function cappedStrings(values: unknown[], field: string, limit: number): string[] {
  if (values.length > limit) throw fieldError(field, `${values.length} entries; the limit is ${limit}. Send fewer.`);
  return values.map((entry) => {
    if (typeof entry !== 'string') throw fieldError(field, typeError('string', entry));
    return entry;
  });
}

/** Names in order, or one character for each. llama.cpp drops those that it does not know. */
function samplers(value: unknown, field: string): string[] | string | undefined {
  if (Array.isArray(value)) return cappedStrings(value, field, MAX_SAMPLERS);
  if (typeof value !== 'string') return undefined;
  cappedStrings([...value], field, MAX_SAMPLERS);
  return value;
}

function sequenceBreakers(value: unknown, field: string): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.some((entry) => typeof entry !== 'string')) {
    throw fieldError(field, 'Error: dry_sequence_breakers must be a non-empty array of strings');
  }
  return cappedStrings(value, field, MAX_SEQUENCE_BREAKERS);
}

/** No adapter can be loaded here, and llama-server ignores ids that it does not know. */
function lora(value: unknown, field: string): undefined {
  if (!Array.isArray(value)) {
    throw fieldError(field, "Error: 'lora' must be an array of objects with 'id' and 'scale' fields");
  }
}

/** `[[token id or text, bias]]`, where llama-server ignores bad entries; `{token: bias}` becomes the same. `false` bans. */
function logitBias(value: unknown, field: string): [number | string, number | false][] | undefined {
  const entries = Array.isArray(value) ? value : isObject(value) ? Object.entries(value).map(keyedBias) : undefined;
  if (entries !== undefined && entries.length > MAX_LOGIT_BIASES) {
    throw fieldError(field, `${entries.length} entries; the limit is ${MAX_LOGIT_BIASES}. Send fewer.`);
  }
  return entries?.flatMap((entry): [number | string, number | false][] => {
    if (!Array.isArray(entry) || entry.length !== 2) return [];
    const [token, bias] = entry;
    const isToken = typeof token === 'string' || (Number.isInteger(token) && token >= 0 && token <= INT32_MAX);
    if (!isToken) return [];
    if (bias === false) return [[token, false]];
    return typeof bias === 'number' ? [[token, float(bias, field)]] : [];
  });
}

/** An object's keys are strings; one that C reads as a number names a token. */
function keyedBias([key, bias]: [string, unknown]): [number | string, unknown] {
  return [/^\s*[+-]?\d+$/.test(key) ? Number(key) : key, bias];
}

/** A GBNF grammar. What is no string, or empty, llama-server ignores. */
function grammar(value: unknown, field: string): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  // A C string to llama.cpp's parser, which would read only half of it.
  if (value.includes('\0')) throw samplerError(field, 'failed to parse grammar');
  const fault = grammarFault(value);
  if (fault !== undefined) throw samplerError(field, `failed to parse grammar: ${fault}`);
  return value;
}

function jsonSchema(value: unknown, field: string): unknown {
  return keepSchema(value, { strict: false }, (fault) =>
    fieldError(field, `"json_schema": JSON schema conversion failed:\n${fault}`),
  );
}

export const REASONING_FORMATS = ['none', 'auto', 'deepseek', 'deepseek-legacy'];

function reasoningFormat(value: unknown, field: string): string {
  if (typeof value !== 'string') throw fieldError(field, typeError('string', value));
  if (!REASONING_FORMATS.includes(value)) throw fieldError(field, `Unknown reasoning format: ${value}`);
  return value;
}

/** For tests: every name that the table reads. */
export const PARAMETER_NAMES: readonly string[] = PARAMETERS.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
