/** Reads the `prompt` of completions and the `input` of embeddings, which share llama-server's grammar. */
import { type ErrorType, invalid } from '../../errors.ts';
import { isObject, typeError } from '../http/json.ts';

/** A text; or token ids, perhaps mixed with texts that are tokenized in place. */
export type Prompt = string | (string | number)[];

/** A prompt and its media. */
export interface MediaPrompt {
  prompt: Prompt;
  /**
   * Images and sounds in base64, in the order of their markers in the text; undefined if the request has no field for
   * them.
   */
  media: string[] | undefined;
}

const NOT_A_PROMPT =
  '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of mixed strings & tokens.';

/**
 * The prompts in `value`, in order; at least one. An array that contains a number is one prompt, any other is several.
 * @param field Named in errors.
 * @param type The error type of a prompt with parts of a wrong type, which differs between llama-server's routes.
 */
export function readPrompts(value: unknown, field: string, type: ErrorType): Prompt[] {
  return readMediaPrompts(value, false, field, type).map(({ prompt }) => prompt);
}

/** The same for a model that may also see or hear. */
export function readMediaPrompts(value: unknown, takesMedia: boolean, field: string, type: ErrorType): MediaPrompt[] {
  const fault = (message: string) => invalid(field, message, type);
  const several = Array.isArray(value) && !value.some(isToken) ? value : [value];
  if (several.length === 0) throw fault('"prompt" must not be empty');

  return several.map((entry): MediaPrompt => {
    if (typeof entry === 'string' || isTokens(entry)) return { prompt: entry, media: undefined };
    if (isMixed(entry)) return { prompt: readMixed(entry), media: undefined };
    if (!isObject(entry) || entry.prompt_string === undefined) {
      throw invalid(field, NOT_A_PROMPT);
    }
    const { prompt_string: text, multimodal_data: data } = entry;
    if (data === undefined) {
      return { prompt: Array.isArray(text) ? readMixed(text) : readText(text), media: undefined };
    }
    if (!takesMedia) throw fault('Multimodal data provided, but model does not support multimodal requests.');
    // nlohmann::json iterates over an object's values, and over any other value as if it were the only one.
    const media = isObject(data) ? Object.values(data) : Array.isArray(data) ? data : data === null ? [] : [data];
    return { prompt: readText(text), media: media.map(readText) };
  });

  function readText(text: unknown): string {
    if (typeof text !== 'string') throw fault(typeError('string', text));
    return text;
  }

  /** nlohmann::json accepts a boolean as a number, and truncates fractions. */
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
 * @throws LlamatabError if a prompt contains an id beyond it: llama.cpp would read past its tables.
 */
export function requireTokens(prompts: Prompt[], size: number, field: string): void {
  for (const prompt of prompts) {
    if (typeof prompt === 'string') continue;
    if (prompt.every((part) => typeof part === 'string' || (part >= 0 && part < size))) continue;
    throw invalid(field, 'Prompt contains invalid tokens');
  }
}
