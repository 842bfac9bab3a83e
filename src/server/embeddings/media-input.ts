/** Reads inputs of embeddings with images or sounds: `{"content": [parts as in a chat]}`, one embedding for each. */
import type { EmbeddingRequest, Json, LoadedModelInfo } from '../../engine/engine.ts';
import { invalid, LlamatabError } from '../../errors.ts';
import { isMediaPart, loadMedia, MARKER_PART, MediaReader, type Medium, placeMarkers } from '../chat/media.ts';
import { type Prompt, readPrompts } from '../generate/prompts.ts';
import { isObject } from '../http/json.ts';
import type { MediaSupport } from '../state/capabilities.ts';

export interface MediaInput {
  /** Text parts, and a marker part for each medium. */
  parts: Json[];
  media: Medium[];
}

export type Input = Prompt | MediaInput;

export function isMediaInput(input: Input): input is MediaInput {
  return isObject(input);
}

export function isPrompt(input: Input): input is Prompt {
  return !isMediaInput(input);
}

/**
 * @param field Names the field in errors.
 * @throws LlamatabError with llama-server's status and message.
 */
export function readInputs(value: unknown, field: string, support: MediaSupport): Input[] {
  const readOne = (entry: unknown, prompt: unknown): Input[] =>
    isObject(entry) && entry.content !== undefined
      ? [readContent(entry.content, field, support)]
      : readPrompts(prompt, field, 'server_error');
  if (!Array.isArray(value) || value.some((entry) => typeof entry === 'number')) return readOne(value, value);
  if (value.length === 0) throw invalid(field, '"input" must not be empty');
  return value.flatMap((entry) => readOne(entry, [entry]));
}

function readContent(content: unknown, field: string, support: MediaSupport): MediaInput {
  if (!Array.isArray(content)) throw invalid(field, '"content" must be an array');
  const reader = new MediaReader(support);
  const parts = content.map((part: unknown): Json => {
    if (isMediaPart(part)) {
      try {
        reader.read(part);
      } catch (error) {
        throw ofField(error, field);
      }
      return MARKER_PART;
    }
    if (!isObject(part) || part.type !== 'text') throw invalid(field, 'unsupported content[].type');
    return { type: 'text', text: typeof part.text === 'string' ? part.text : '' };
  });
  if (parts.every((part) => part.text === '')) throw invalid(field, 'Input content cannot be empty');
  return { parts, media: reader.media };
}

/** The media readers blame `messages`, as they were written for chats. */
function ofField(error: unknown, param: string): unknown {
  return error instanceof LlamatabError ? new LlamatabError(error.type, error.message, { param, cause: error }) : error;
}

/** @throws LlamatabError if the model does not accept such media after all, or they can't be fetched. */
export async function mediaRequest(
  { parts, media }: MediaInput,
  field: string,
  info: LoadedModelInfo['media'],
  signal: AbortSignal,
): Promise<Pick<EmbeddingRequest, 'input' | 'files'>> {
  try {
    const [message] = placeMarkers([{ content: parts }], media, info);
    const texts = message?.content as { text: string }[];
    return { input: texts.map(({ text }) => text).join(''), files: await loadMedia(media, signal) };
  } catch (error) {
    throw ofField(error, field);
  }
}
