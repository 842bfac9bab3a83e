/**
 * `functions` and `function_call`, which preceded `tools` in OpenAI's API and still work there; llama-server ignores
 * them. Such a request becomes one with tools, of which at most one is called, and the call in its answer becomes a
 * `function_call`.
 */
import type { Json } from '../../engine/engine.ts';
import type { Prepared } from '../generate/completions.ts';
import { isObject, isPresent } from '../http/json.ts';
import type { ToolCallDelta } from './tool-call-reader.ts';

export function isLegacy({ functions, tools }: Json): boolean {
  return Array.isArray(functions) && !isPresent(tools);
}

/** The same request with tools. */
export function fromLegacy({ functions, function_call, messages, ...request }: Json): Json {
  const named = isObject(function_call) ? { type: 'function', function: { name: function_call.name } } : function_call;
  return {
    ...request,
    messages: Array.isArray(messages) ? messages.map(readMessage) : messages,
    tools: (functions as unknown[]).map((declared) => ({ type: 'function', function: declared })),
    tool_choice: named,
    parallel_tool_calls: false,
  };
}

function readMessage(message: unknown): unknown {
  if (!isObject(message)) return message;
  const { function_call, ...rest } = message;
  if (rest.role === 'function') return { ...rest, role: 'tool' };
  return isPresent(function_call) ? { ...rest, tool_calls: [{ type: 'function', function: function_call }] } : rest;
}

/** The same with the tool calls in its results as `function_call`. */
export function toLegacy({ correct, ...prepared }: Prepared): Prepared {
  return { ...prepared, correct: (results, newId) => withFunctionCalls(correct?.(results, newId) ?? results) };
}

async function* withFunctionCalls(results: AsyncIterable<Json>): AsyncGenerator<Json> {
  for await (const result of results) yield { ...result, choices: (result.choices as Json[]).map(renamed) };
}

function renamed({ message, delta, ...choice }: Json): Json {
  return {
    ...choice,
    ...(choice.finish_reason === 'tool_calls' ? { finish_reason: 'function_call' } : {}),
    ...(isObject(message) ? { message: withFunctionCall(message) } : {}),
    ...(isObject(delta) ? { delta: withFunctionCall(delta) } : {}),
  };
}

function withFunctionCall({ tool_calls, ...part }: Json): Json {
  const [call] = (tool_calls ?? []) as ToolCallDelta[];
  return call === undefined ? part : { ...part, function_call: call.function };
}
