/**
 * The request parameters that chat and text completions share: one table, in the order in which llama-server evaluates
 * them, so that a body with several faults gets the same error. `null` is the same as absent. A field that is not in
 * the table is ignored and never reaches llama.cpp, whose schema has fields that only the server may set.
 *
 * No value that passes may make wllama's C++ throw: an exception there fails every request in flight.
 */
import type { Json } from '../../engine/engine.ts';
import { DEFAULT_PING_INTERVAL } from '../http/answer.ts';
import { isPresent } from '../http/json.ts';
import {
  bool,
  FLOAT_MAX,
  finiteFloat,
  float,
  grammar,
  hardFloat,
  INT32_MAX,
  int,
  int64,
  jsonSchema,
  logitBias,
  lora,
  names,
  RANDOM_SEED,
  type Read,
  reasoningFormat,
  repeatPenalty,
  samplers,
  seed,
  sequenceBreakers,
  softFloat,
  softInt,
  stop,
  streamOptions,
} from './param-readers.ts';

/** llama-server's default of `--parallel`, which limits `n`. */
const MAX_CHOICES = 4;
/** Alternatives reported for a token. OpenAI allows 20; an entry takes about 100 bytes, in a heap of at most 4 GiB. */
const MAX_LOGPROBS = 1000;
/** Tokens that a penalty looks back on. llama.cpp allocates them up front: INT32_MAX of them would crash the engine. */
const MAX_LOOK_BACK = 2 ** 17;
/** A day. `setTimeout` takes at most 2^31-1 ms, and fires at once beyond. */
const MAX_PING_INTERVAL = 86400;

interface Parameter {
  name: string;
  /** Other names. The first name that is present counts; the rest are ignored. */
  aliases?: string[];
  read: Read;
  /** llama-server's, for `/props`. */
  default?: number | boolean;
  /** For the server, or without meaning here: checked, but not sent to llama.cpp. */
  local?: true;
}

// biome-ignore format: a table
const PARAMETERS: readonly Parameter[] = [
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
  // It would take the log probabilities from concurrent requests, and gains nothing on a CPU.
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

export interface Parameters {
  /** For llama.cpp, by its names; always with a seed. */
  body: Json;
  stream: boolean;
  /** Seconds; 0 or less for never. */
  pingInterval: number;
  /** Answers to each prompt: `n`. */
  choices: number;
  /** Whether the seed is the caller's. */
  seeded: boolean;
  /** OpenAI's `echo`: whether the answer begins with the prompt. */
  echo: boolean;
  /** Fields of llama-server's own format to answer with; empty for all. */
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
    // llama-server ignores a schema beside a grammar.
    if (field === 'json_schema' && isPresent(request.grammar)) continue;
    const value = read(request[field], field);
    if (value !== undefined) (local ? ours : body)[name] = value;
  }
  const seeded = body.seed !== undefined;
  if (!seeded) {
    // Always seeded, so that another tab's engine can repeat the answer word for word.
    body.seed = random() % RANDOM_SEED;
  } else {
    // A prefix from the prompt cache may have been computed token by token, so summed in another order, and give
    // another text. A caller with a seed wants the same text each time, unless it asks for the cache as well.
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
 * The seed of one answer among several. As in llama-server, the seeds of a prompt's answers count up, or all answers would be
 * the same.
 * @param offset Answers to the earlier prompts. They count only without a seed of the caller's, so that two equal
 *   prompts get two answers.
 */
export function seedOf({ body, seeded }: Parameters, choice: number, offset: number): number {
  return ((body.seed as number) + choice + (seeded ? 0 : offset)) % RANDOM_SEED;
}

/** llama-server's defaults as `/props` shows them: floats in single precision. */
export function defaultParameters(): Json {
  return Object.fromEntries(
    PARAMETERS.flatMap(({ name, default: value }) =>
      value === undefined
        ? []
        : [[name, typeof value === 'number' && !Number.isInteger(value) ? Math.fround(value) : value]],
    ),
  );
}

/** Every name that a request may use for a parameter. */
export const PARAMETER_NAMES: readonly string[] = PARAMETERS.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
