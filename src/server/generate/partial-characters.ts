/**
 * Tokens that are only a part of a character. llama.cpp streams none of them until the character is whole, but writes what it
 * has of one at the end of an unstreamed answer, and hides it in the names of tokens. Here neither happens: a text ends with
 * its last whole character, and a token is what its bytes say.
 */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';

/** The results of one task, in llama.cpp's shape, corrected. */
export async function* withWholeCharacters(results: AsyncIterable<Json>): AsyncGenerator<Json> {
  for await (const result of results) yield corrected(result);
}

function corrected(result: Json): Json {
  const { choices, __verbose: native } = result;
  return {
    ...result,
    ...(Array.isArray(choices) && { choices: (choices as Json[]).map(correctedChoice) }),
    ...(isObject(native) && { __verbose: correctedNative(native) }),
  };
}

function correctedChoice(choice: Json): Json {
  const { message, text, logprobs } = choice;
  const isCut = choice.finish_reason === 'length';
  return {
    ...choice,
    ...(isCut && isObject(message) && { message: cutMessage(message) }),
    ...(isCut && typeof text === 'string' && { text: withoutPart(text) }),
    ...(isObject(logprobs) && { logprobs: { ...logprobs, content: named(logprobs.content) } }),
  };
}

/** llama-server's own format. */
function correctedNative(native: Json): Json {
  const { content, stop_type, completion_probabilities: tokens } = native;
  return {
    ...native,
    ...(stop_type === 'limit' && typeof content === 'string' && { content: withoutPart(content) }),
    ...(tokens !== undefined && { completion_probabilities: named(tokens) }),
  };
}

/** What is written last may be any of the three. */
function cutMessage(message: Json): Json {
  const cut: Json = { ...message };
  for (const field of ['content', 'reasoning_content']) {
    const text = message[field];
    if (typeof text === 'string') cut[field] = withoutPart(text);
  }
  if (Array.isArray(message.tool_calls)) {
    cut.tool_calls = (message.tool_calls as { function: { arguments: string } }[]).map((call) => ({
      ...call,
      function: { ...call.function, arguments: withoutPart(call.function.arguments) },
    }));
  }
  return cut;
}

/** The engine's JSON has a replacement character for a part of one. */
function withoutPart(text: string): string {
  return text.endsWith('\uFFFD') ? text.slice(0, -1) : text;
}

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Tokens with their probabilities, and the alternatives to each. */
function named(tokens: unknown): unknown {
  if (!Array.isArray(tokens)) return tokens;
  return tokens.map((entry: Json) => {
    const { bytes, top_logprobs, top_probs } = entry;
    return {
      ...entry,
      ...(Array.isArray(bytes) && { token: UTF8.decode(Uint8Array.from(bytes)) }),
      ...(top_logprobs !== undefined && { top_logprobs: named(top_logprobs) }),
      ...(top_probs !== undefined && { top_probs: named(top_probs) }),
    };
  });
}
