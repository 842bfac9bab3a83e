/** Reads JSON bodies, makes them safe for llama.cpp's parser, and names types as it does. */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { describeSyntaxError } from './json-syntax.ts';

/**
 * Long conversations with tools take some 100 KiB. The body is copied twice on its way into a heap of at most 4 GiB.
 */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/**
 * nlohmann::json and the grammar compiler recurse, on a wasm thread's stack of 64 KiB to 5 MiB. No schema in use comes
 * near.
 */
export const MAX_JSON_DEPTH = 100;

export const JSON_HEADERS = { 'Content-Type': 'application/json; charset=utf-8' } as const;

export function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: JSON_HEADERS });
}

/** nlohmann::json's names of types, which its messages and so llama-server's use. */
export type JsonType = 'null' | 'object' | 'array' | 'string' | 'boolean' | 'number';

export function jsonType(value: unknown): JsonType {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value as JsonType;
}

export function isObject(value: unknown): value is Json {
  return jsonType(value) === 'object';
}

/** In llama-server, null is as good as absent. */
export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** nlohmann::json's complaint about a value of the wrong type. */
export function typeError(expected: JsonType, value: unknown): string {
  return `[json.exception.type_error.302] type must be ${expected}, but is ${jsonType(value)}`;
}

/**
 * The request's body.
 * @throws LlamatabError `invalid_request_error` over `MAX_BODY_BYTES` or `MAX_JSON_DEPTH`; `server_error` (sic: llama-server's
 *   status) where it is not JSON.
 */
export async function readJson(request: Request): Promise<unknown> {
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > MAX_BODY_BYTES) {
    throw new LlamatabError(
      'invalid_request_error',
      `The request body has ${bytes.byteLength} bytes; the limit is ${MAX_BODY_BYTES}. Send less text in one request.`,
    );
  }
  return wellFormed(parse(new TextDecoder().decode(bytes)), 0);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LlamatabError('server_error', `[json.exception.parse_error.101] ${describeSyntaxError(text)}`, { cause });
  }
}

/** Unpaired surrogates: with the `u` flag, a pair is one character and does not match. */
const LONE_SURROGATE = /\p{Surrogate}/gu;

/**
 * The same value, safe for llama.cpp. JSON.parse accepts lone surrogates and numbers beyond a double; nlohmann::json
 * throws on both, and an exception in wllama's C++ fails every request in flight.
 */
function wellFormed(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.replace(LONE_SURROGATE, '\ufffd');
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new LlamatabError(
      'server_error',
      '[json.exception.out_of_range.406] number overflow parsing the request body',
    );
  }
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_JSON_DEPTH) {
    throw new LlamatabError(
      'invalid_request_error',
      `The request body is nested deeper than ${MAX_JSON_DEPTH} levels. Flatten it.`,
    );
  }
  if (Array.isArray(value)) return value.map((element) => wellFormed(element, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, element]) => [
      key.replace(LONE_SURROGATE, '\ufffd'),
      wellFormed(element, depth + 1),
    ]),
  );
}
