/**
 * The readers of the parameter table: each turns a field's value into llama.cpp's, or throws with llama-server's
 * message.
 */
import type { Json } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import { grammarFault } from '../constraints/grammar-limits.ts';
import { keepSchema } from '../constraints/schema.ts';
import { isObject, isPresent, typeError } from '../http/json.ts';

export const INT32_MAX = 2 ** 31 - 1;
export const FLOAT_MAX = 3.4028234663852886e38;
/** llama.cpp's LLAMA_DEFAULT_SEED: "draw one". */
export const RANDOM_SEED = 0xffffffff;

/** llama.cpp looks for each of them after every token. OpenAI allows 4, agents send a dozen. */
const MAX_STOP_STRINGS = 256;
/** More entries than any vocabulary in use has; each is applied at every token. */
const MAX_LOGIT_BIASES = 2 ** 19;
/** llama.cpp has 9 samplers. A list may repeat them, and each entry runs at every token. */
const MAX_SAMPLERS = 64;
/** Each is compared with the whole vocabulary when a request starts. */
const MAX_SEQUENCE_BREAKERS = 256;
/** llama-server's own format has 60 fields, including those of its settings. */
const MAX_RESPONSE_FIELDS = 256;

/** Turns a field's value into llama.cpp's; undefined ignores the field. `field` is the name that the request uses. */
export type Read<T = unknown> = (value: unknown, field: string) => T;

/** A fault in one field, in the words of llama-server's schema. */
function fieldError(field: string, message: string): LlamatabError {
  return invalid(field, `Field '${field}': ${message}`);
}

// --- scalars -------------------------------------------------------------------------------------------------------

export function bool(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw fieldError(field, typeError('boolean', value));
  return value;
}

/** nlohmann::json converts booleans to numbers, so llama-server takes them. */
function number(value: unknown, field: string): number {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value !== 'number') throw fieldError(field, typeError('number', value));
  return value;
}

/** A 32-bit integer of at least `min`, else 400. Above `cap`, a limit of ours, it is silently lowered. */
export function int({ min, max = INT32_MAX, cap = max }: { min: number; max?: number; cap?: number }): Read<number> {
  return (value, field) => {
    const integer = truncate(number(value, field));
    // C++ wraps an integer beyond 32 bits, and llama-server's message shows the result.
    const wrapped = integer | 0;
    if (integer < min || integer > max) {
      throw outOfRange(field, `${min}`, `${max}`, `${wrapped < min || wrapped > max ? wrapped : integer}`);
    }
    return Math.min(integer, cap);
  };
}

export function int64({ min }: { min: number }): Read {
  return (value, field) => {
    const integer = truncate(number(value, field));
    if (integer < min) throw outOfRange(field, `${min}`, '9223372036854775807', `${integer}`);
    return Math.min(integer, Number.MAX_SAFE_INTEGER);
  };
}

export function softInt(min: number, max: number): Read {
  return (value, field) => Math.min(max, Math.max(min, truncate(number(value, field))));
}

/** llama.cpp computes in single precision: what is finite as a double must stay finite. */
export function float(value: unknown, field: string): number {
  return Math.min(FLOAT_MAX, Math.max(-FLOAT_MAX, number(value, field)));
}

export function softFloat(min: number, max: number): Read {
  return (value, field) => Math.min(max, Math.max(min, float(value, field)));
}

export function hardFloat(min: number, max: number): Read {
  return (value, field) => {
    const single = Math.fround(float(value, field));
    if (single < min || single > Math.fround(max)) {
      throw outOfRange(field, min.toFixed(6), max.toFixed(6), single.toFixed(6));
    }
    return single;
  };
}

/** Truncates as C++ does, without a negative zero. */
function truncate(value: number): number {
  return Math.trunc(value) + 0;
}

function outOfRange(field: string, min: string, max: string, got: string): LlamatabError {
  return fieldError(field, `Value must be between ${min} <= value <= ${max}, but got ${got}`);
}

function samplerError(field: string, message: string): LlamatabError {
  return invalid(field, `Failed to initialize samplers: ${message}`);
}

/** llama.cpp divides by it, in single precision. */
export function repeatPenalty(value: unknown, field: string): number {
  const single = Math.fround(number(value, field));
  if (!Number.isFinite(single) || single <= 0 || !Number.isFinite(Math.fround(1 / single))) {
    throw samplerError(field, 'penalty_repeat must be finite and greater than 0');
  }
  return single;
}

export function finiteFloat(llamaName: string): Read {
  return (value, field) => {
    const given = number(value, field);
    if (!Number.isFinite(Math.fround(given))) throw samplerError(field, `${llamaName} must be finite`);
    return given;
  };
}

/** A 32-bit seed, wrapped as in C++; -1 is "draw one". */
export function seed(value: unknown, field: string): number | undefined {
  const wrapped = truncate(number(value, field)) >>> 0;
  return wrapped === RANDOM_SEED ? undefined : wrapped;
}

// --- structures ----------------------------------------------------------------------------------------------------

export function streamOptions(value: unknown): Json | undefined {
  if (!isObject(value) || !isPresent(value.include_usage)) return undefined;
  return { include_usage: bool(value.include_usage, 'include_usage') };
}

/** As in llama-server, anything but an array of strings is ignored. */
export function names(value: unknown, field: string): string[] | undefined {
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string')) return undefined;
  return cappedStrings(value, field, MAX_RESPONSE_FIELDS);
}

/**
 * As in llama-server, empty values are skipped, and anything but a string or an array is ignored. An empty string
 * counts: it stops at once.
 */
export function stop(value: unknown, field: string): string[] | undefined {
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

/** Names in order, or a string with a character for each. llama.cpp drops unknown ones. */
export function samplers(value: unknown, field: string): string[] | string | undefined {
  if (Array.isArray(value)) return cappedStrings(value, field, MAX_SAMPLERS);
  if (typeof value !== 'string') return undefined;
  cappedStrings([...value], field, MAX_SAMPLERS);
  return value;
}

export function sequenceBreakers(value: unknown, field: string): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.some((entry) => typeof entry !== 'string')) {
    throw fieldError(field, 'Error: dry_sequence_breakers must be a non-empty array of strings');
  }
  return cappedStrings(value, field, MAX_SEQUENCE_BREAKERS);
}

/** No adapter can be loaded here, and llama-server ignores unknown ids. */
export function lora(value: unknown, field: string): undefined {
  if (!Array.isArray(value)) {
    throw fieldError(field, "Error: 'lora' must be an array of objects with 'id' and 'scale' fields");
  }
}

/**
 * `[[token id or text, bias]]`, in which llama-server ignores bad entries, or `{token: bias}`. `false` bans a token.
 */
export function logitBias(value: unknown, field: string): [number | string, number | false][] | undefined {
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

/** An object's keys are strings; one that C would read as a number is a token id. */
function keyedBias([key, bias]: [string, unknown]): [number | string, unknown] {
  return [/^\s*[+-]?\d+$/.test(key) ? Number(key) : key, bias];
}

/** A GBNF grammar. llama-server ignores an empty one, and anything but a string. */
export function grammar(value: unknown, field: string): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  // llama.cpp's parser takes a C string, and would stop at the NUL.
  if (value.includes('\0')) throw samplerError(field, 'failed to parse grammar');
  const fault = grammarFault(value);
  if (fault !== undefined) throw samplerError(field, `failed to parse grammar: ${fault}`);
  return value;
}

export function jsonSchema(value: unknown, field: string): unknown {
  return keepSchema(value, { strict: false }, (fault) =>
    fieldError(field, `"json_schema": JSON schema conversion failed:\n${fault}`),
  );
}

export const REASONING_FORMATS = ['none', 'auto', 'deepseek', 'deepseek-legacy'];

export function reasoningFormat(value: unknown, field: string): string {
  if (typeof value !== 'string') throw fieldError(field, typeError('string', value));
  if (!REASONING_FORMATS.includes(value)) throw fieldError(field, `Unknown reasoning format: ${value}`);
  return value;
}
