/**
 * Reads the `messages` of a chat: llama-server's checks in its order (first the shape of all, then each message's
 * fields), with its messages. The result contains only what llama.cpp reads.
 */
import type { Json } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import { isObject, isPresent, typeError } from '../http/json.ts';
import type { MediaSupport } from '../state/capabilities.ts';
import { isMediaPart, MARKER_PART, MediaReader, type Medium } from './media.ts';

const TEXT_ONLY: MediaSupport = { image: false, audio: false };

export interface ChatMessages {
  messages: Json[];
  /** Images and sounds, in the order of their `MARKER_PART`s in the messages. */
  media: Medium[];
}

/** @throws LlamatabError with `param: 'messages'`. */
export function readMessages(request: Json, support = TEXT_ONLY): ChatMessages {
  const { messages } = request;
  if (messages === undefined) throw invalid('messages', "'messages' is required");
  if (!Array.isArray(messages)) throw invalid('messages', "Expected 'messages' to be an array");
  const reader = new MediaReader(support);
  for (const message of messages) checkShape(message, reader);
  return { messages: messages.map(readMessage), media: reader.media };
}

/**
 * llama.cpp's message parser prefixes its reasons. llama-server answers them with 500, which OpenAI's clients repeat
 * twice: what is sent wrong stays wrong.
 */
function parseFault(reason: string): LlamatabError {
  return invalid('messages', `Failed to parse messages: ${reason}`);
}

function checkShape(message: unknown, reader: MediaReader): void {
  const fields = isObject(message) ? message : {};
  if (fields.role !== 'assistant') {
    if (fields.content === undefined) throw invalid('messages', "All non-assistant messages must contain 'content'");
  } else if (fields.content === undefined && fields.tool_calls === undefined) {
    throw invalid('messages', "Assistant message must contain either 'content' or 'tool_calls'!");
  }
  const { content } = fields;
  if (!isPresent(content) || typeof content === 'string') return;
  if (!Array.isArray(content)) throw invalid('messages', "Expected 'content' to be a string or an array");
  for (const part of content) {
    if (isMediaPart(part)) reader.read(part);
    else if (!isObject(part) || part.type !== 'text') throw invalid('messages', 'unsupported content[].type');
  }
}

function readMessage(message: Json, index: number): Json {
  if (message.role === undefined) throw parseFault(`Missing 'role' in message: ${JSON.stringify(message)}`);
  const read: Json = { role: text(message.role) };
  if (message.content !== undefined) read.content = readContent(message.content);
  if (isPresent(message.tool_calls)) read.tool_calls = readToolCalls(message.tool_calls, `messages[${index}]`);
  else if (read.content === undefined) read.content = null;
  for (const field of ['reasoning_content', 'name', 'tool_call_id']) {
    if (isPresent(message[field])) read[field] = text(message[field]);
  }
  return read;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw parseFault(typeError('string', value));
  return value;
}

function readContent(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part: Json) =>
    isMediaPart(part) ? MARKER_PART : { type: 'text', text: text(at(part, 'text')) },
  );
}

/** @param place Of the message, for errors. */
function readToolCalls(calls: unknown, place: string): Json[] {
  return (Array.isArray(calls) ? calls : [calls]).map((call: unknown, index) => {
    const shown = JSON.stringify(call);
    if (!isObject(call) || call.type === undefined) throw parseFault(`Missing tool call type: ${shown}`);
    if (call.type !== 'function') throw parseFault(`Unsupported tool call type: ${shown}`);
    const called = call.function;
    if (called === undefined) throw parseFault(`Missing tool call function: ${shown}`);
    if (!isObject(called) || called.name === undefined) throw parseFault(`Missing tool call name: ${shown}`);
    const name = text(called.name);
    return {
      type: 'function',
      function: { name, arguments: readArguments(called.arguments, `${place}.tool_calls[${index}]`, name) },
      ...(isPresent(call.id) ? { id: text(call.id) } : {}),
    };
  });
}

/** Characters of faulty arguments that an error shows: their end is where an answer was cut off. */
const SHOWN_ARGUMENTS = 40;

/**
 * A call without arguments is sent back with an empty text by some clients and without the field by others. llama.cpp
 * parses the text for templates that want an object, and fails at one that is no JSON only once the request is with it.
 */
function readArguments(given: unknown, place: string, name: string): string {
  if (!isPresent(given)) return '{}';
  if (typeof given !== 'string') return JSON.stringify(given);
  if (given.trim() === '') return '{}';
  try {
    JSON.parse(given);
  } catch {
    const end = given.length > SHOWN_ARGUMENTS ? `…${given.slice(-SHOWN_ARGUMENTS)}` : given;
    throw invalid(
      'messages',
      `The arguments of ${place}, a call of '${name}', are not JSON, and end with: ${end} (perhaps the answer was cut off at its limit of tokens). Send the call with whole arguments, or leave it out.`,
    );
  }
  return given;
}

function at(fields: Json, key: string): unknown {
  const value = fields[key];
  if (value === undefined) throw parseFault(`[json.exception.out_of_range.403] key '${key}' not found`);
  return value;
}
