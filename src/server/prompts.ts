/** `prompt` of completions and `input` of embeddings: the same grammar, of which texts are supported so far. */
import { type ErrorType, LlamatabError } from '../errors.ts';
import { isObject } from './json.ts';
import { notSupported } from './params.ts';

const NOT_A_PROMPT =
  '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of mixed strings & tokens.';

/**
 * The texts of `value`, in order; at least one.
 * @param field Names the field in errors.
 * @param type What llama-server calls a malformed prompt: it differs from route to route.
 */
export function readPrompts(value: unknown, field: string, type: ErrorType): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) throw new LlamatabError(type, '"prompt" must not be empty', { param: field });
    if (value.every((entry) => typeof entry === 'string')) return value;
    if (!value.every(isPart)) throw new LlamatabError(type, NOT_A_PROMPT, { param: field });
    throw notSupported(field, 'token ids can not be given, send text: a string or an array of strings.');
  }
  if (typeof value === 'string') return [value];
  if (isObject(value) && typeof value.prompt_string === 'string') {
    if (value.multimodal_data === undefined) return [value.prompt_string];
    throw notSupported(field, '`multimodal_data` needs a model that sees or hears, send text.');
  }
  throw new LlamatabError(type, NOT_A_PROMPT, { param: field });
}

/** What an array of several prompts, or a prompt of mixed parts, may hold in llama-server. */
function isPart(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((entry) => typeof entry === 'string' || Number.isInteger(entry));
  if (isObject(value)) return typeof value.prompt_string === 'string';
  return typeof value === 'string' || Number.isInteger(value);
}
