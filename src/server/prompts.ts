/** `prompt` of completions and `input` of embeddings: the same grammar, llama-server's. */
import { type ErrorType, LlamatabError } from '../errors.ts';
import { isObject } from './json.ts';

/** A text; or token ids, perhaps with texts between them that are tokenized where they stand. */
export type Prompt = string | (string | number)[];

const NOT_A_PROMPT =
  '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of mixed strings & tokens.';

/**
 * The prompts of `value`, in order; at least one. An array that holds a number is one prompt, any other is several.
 * @param field Names the field in errors.
 * @param type What llama-server calls a malformed prompt: it differs from route to route.
 */
export function readPrompts(value: unknown, field: string, type: ErrorType): Prompt[] {
  const several = Array.isArray(value) && !value.some(isToken) ? value : [value];
  if (several.length === 0) throw new LlamatabError(type, '"prompt" must not be empty', { param: field });
  return several.map((entry) => readPrompt(entry, field, type));
}

function readPrompt(value: unknown, field: string, type: ErrorType): Prompt {
  if (typeof value === 'string' || isTokens(value)) return value;
  if (isObject(value) && value.prompt_string !== undefined) {
    if (value.multimodal_data === undefined) return readPrompt(value.prompt_string, field, type);
    const message = 'Multimodal data provided, but model does not support multimodal requests.';
    throw new LlamatabError(type, message, { param: field });
  }
  throw new LlamatabError(type, NOT_A_PROMPT, { param: field });
}

function isToken(value: unknown): value is number {
  return Number.isInteger(value);
}

function isTokens(value: unknown): value is (string | number)[] {
  if (!Array.isArray(value)) return false;
  const mixed = value.every((entry) => typeof entry === 'string' || isToken(entry));
  return mixed && (value.length === 0 || value.some(isToken));
}

/**
 * @param size Tokens in the model's vocabulary.
 * @throws LlamatabError if a prompt holds an id beyond it: llama.cpp would read past its tables.
 */
export function requireTokens(prompts: Prompt[], size: number, field: string): void {
  for (const prompt of prompts) {
    if (typeof prompt === 'string') continue;
    if (prompt.every((part) => typeof part === 'string' || (part >= 0 && part < size))) continue;
    throw new LlamatabError('invalid_request_error', 'Prompt contains invalid tokens', { param: field });
  }
}
