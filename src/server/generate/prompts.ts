/** `prompt` of completions and `input` of embeddings: the same grammar, llama-server's. */
import { type ErrorType, LlamatabError } from '../../errors.ts';
import { isObject, typeError } from '../http/json.ts';

/** A text; or token ids, perhaps with texts between them that are tokenized where they stand. */
export type Prompt = string | (string | number)[];

/** A prompt with what it shows the model. */
export interface MediaPrompt {
  prompt: Prompt;
  /** Images and sounds in base64, in the order of their markers in the text; undefined where the request names none. */
  media: string[] | undefined;
}

const NOT_A_PROMPT =
  '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of mixed strings & tokens.';

/**
 * The prompts of `value`, in order; at least one. An array that holds a number is one prompt, any other is several.
 * @param field Names the field in errors.
 * @param type What llama-server calls a prompt with parts of a wrong type: it differs from route to route.
 */
export function readPrompts(value: unknown, field: string, type: ErrorType): Prompt[] {
  return readMediaPrompts(value, false, field, type).map(({ prompt }) => prompt);
}

/** The same, for a model that may also see or hear. */
export function readMediaPrompts(value: unknown, takesMedia: boolean, field: string, type: ErrorType): MediaPrompt[] {
  const fault = (message: string) => new LlamatabError(type, message, { param: field });
  const several = Array.isArray(value) && !value.some(isToken) ? value : [value];
  if (several.length === 0) throw fault('"prompt" must not be empty');

  return several.map((entry): MediaPrompt => {
    if (typeof entry === 'string' || isTokens(entry)) return { prompt: entry, media: undefined };
    if (isMixed(entry)) return { prompt: readMixed(entry), media: undefined };
    if (!isObject(entry) || entry.prompt_string === undefined) {
      throw new LlamatabError('invalid_request_error', NOT_A_PROMPT, { param: field });
    }
    const { prompt_string: text, multimodal_data: data } = entry;
    if (data === undefined) {
      return { prompt: Array.isArray(text) ? readMixed(text) : readText(text), media: undefined };
    }
    if (!takesMedia) throw fault('Multimodal data provided, but model does not support multimodal requests.');
    // nlohmann::json goes through an object's values, and through any other value as the only one.
    const media = isObject(data) ? Object.values(data) : Array.isArray(data) ? data : data === null ? [] : [data];
    return { prompt: readText(text), media: media.map(readText) };
  });

  function readText(text: unknown): string {
    if (typeof text !== 'string') throw fault(typeError('string', text));
    return text;
  }

  /** nlohmann::json takes a boolean for a number, and cuts fractions off. */
  function readMixed(parts: unknown[]): (string | number)[] {
    return parts.map((part) => {
      if (typeof part === 'string') return part;
      if (typeof part !== 'number' && typeof part !== 'boolean') throw fault(typeError('number', part));
      return Math.trunc(Number(part));
    });
  }
}

function isToken(value: unknown): value is number {
  return Number.isInteger(value);
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isToken);
}

function isMixed(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.some(isToken) && value.some((part) => typeof part === 'string');
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
