/**
 * Requires a tool call of a model: the output is held to a JSON schema made of the tools', and returned as `tool_calls`. Where
 * the model's template does not show it the tools, they are described in the system message.
 */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { Prepared } from '../generate/completions.ts';
import { isObject, isPresent } from '../http/json.ts';
import type { Tool, ToolUse } from './read-tools.ts';
import { type ToolCallDelta, ToolCallReader } from './tool-call-reader.ts';

/** Calls in one answer. A small model that may always add another does not stop by itself. */
const MAX_PARALLEL_CALLS = 8;

/**
 * @param shown Whether the model's template shows it the tools.
 * @throws LlamatabError 400 if the last message is the assistant's: it would be continued, which a call can't be.
 */
export function requireCall(body: Json, use: ToolUse, shown: boolean): Prepared {
  const { tools, parallel = false } = use;
  const messages = body.messages as Json[];
  if (messages.at(-1)?.role === 'assistant') {
    throw invalid(
      'tool_choice',
      "A tool call can't be required where the last message is the assistant's: end 'messages' with another role.",
    );
  }
  const { tools: _, tool_choice, parallel_tool_calls, json_schema, ...rest } = body;
  const schema = callSchema(tools, parallel);
  // llama.cpp takes a schema beside tools only where they are not to be called.
  const asked = shown
    ? { tools, tool_choice: 'none' }
    : { messages: withSystem(messages.map(inWords), describe(tools, parallel)) };
  return {
    body: {
      ...limitedThoughts(rest),
      ...asked,
      response_format: { type: 'json_schema', json_schema: { schema } },
    },
    correct: toToolCalls,
  };
}

/** Half of an answer, unless the request says: nothing constrains a model's thoughts, and the call comes after them. */
function limitedThoughts(body: Json): Json {
  const { n_predict: limit, thinking_budget_tokens, reasoning_budget_tokens } = body;
  if (typeof limit !== 'number' || limit < 0) return body;
  if (isPresent(thinking_budget_tokens) || isPresent(reasoning_budget_tokens)) return body;
  return { ...body, thinking_budget_tokens: Math.floor(limit / 2) };
}

// --- the request ---------------------------------------------------------------------------------------------------

/**
 * Schema of `{"name": …, "arguments": …}`, in this order, or of an array of such. Each tool's own schema is a
 * definition.
 */
function callSchema(tools: Tool[], parallel: boolean): Json {
  const $defs: Json = {};
  const calls = tools.map(({ function: { name, parameters } }, index) => {
    const $ref = `#/$defs/${index}`;
    $defs[index] = moved(argumentsSchema(parameters), $ref);
    return {
      type: 'object',
      properties: { name: { const: name }, arguments: { $ref } },
      required: ['name', 'arguments'],
      additionalProperties: false,
    };
  });
  const [only, ...others] = calls;
  const call = others.length === 0 ? only : { anyOf: calls };
  return parallel
    ? { type: 'array', items: call, minItems: 1, maxItems: MAX_PARALLEL_CALLS, $defs }
    : { ...call, $defs };
}

/** As OpenAI says, a function without parameters takes none. */
function argumentsSchema(parameters: Json): Json {
  return Object.keys(parameters).length === 0 ? { type: 'object', properties: {} } : parameters;
}

/** Keywords whose values are data, not schemas. */
const DATA = ['const', 'enum', 'default', 'examples'];

/** The schema with its internal references adjusted to its new place. */
function moved(schema: unknown, to: string): unknown {
  if (Array.isArray(schema)) return schema.map((entry) => moved(entry, to));
  if (!isObject(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (DATA.includes(key)) return [key, value];
      if (key === '$ref' && typeof value === 'string') return [key, value.replace(/^#/, to)];
      return [key, moved(value, to)];
    }),
  );
}

function describe(tools: Tool[], parallel: boolean): string {
  const shape = '{"name": <name of the function>, "arguments": <object with its arguments>}';
  return [
    'These functions can be called:',
    ...tools.map((tool) => JSON.stringify(tool.function)),
    `Answer with ${parallel ? `a JSON array of calls, each ${shape}` : `one call as JSON: ${shape}`}`,
  ].join('\n');
}

/** Adds to the system message, or puts one first. */
function withSystem(messages: Json[], text: string): Json[] {
  const [first, ...others] = messages;
  if (first?.role !== 'system' && first?.role !== 'developer') return [{ role: 'system', content: text }, ...messages];
  const content = Array.isArray(first.content)
    ? [...first.content, { type: 'text', text: `\n\n${text}` }]
    : [first.content, text].filter(isPresent).join('\n\n');
  return [{ ...first, content }, ...others];
}

/** Writes earlier calls, which the template would omit, as the text that the model is to write now. */
function inWords(message: Json): Json {
  if (!isPresent(message.tool_calls)) return message;
  const { tool_calls, ...rest } = message;
  const calls = (tool_calls as { function: { name: string; arguments: string } }[]).map(
    ({ function: { name, arguments: given } }) => `{"name": ${JSON.stringify(name)}, "arguments": ${given}}`,
  );
  const content = typeof message.content === 'string' && message.content !== '' ? [message.content] : [];
  return { ...rest, content: [...content, ...calls].join('\n') };
}

// --- the answer ----------------------------------------------------------------------------------------------------

interface Choice extends Json {
  finish_reason: string | null;
  message?: Json;
  delta?: Json;
}

/** The results of one task, with the text of its one choice turned into tool calls. */
async function* toToolCalls(results: AsyncIterable<Json>, newId: () => string): AsyncGenerator<Json> {
  const reader = new ToolCallReader(newId);
  for await (const result of results) {
    const [choice] = result.choices as Choice[];
    if (choice?.message !== undefined) yield { ...result, choices: [wholeCall(choice, reader)] };
    else if (choice === undefined) yield result;
    else yield* chunks(result, choice, reader);
  }
}

function wholeCall(choice: Choice, reader: ToolCallReader): Choice {
  const { content, ...message } = choice.message as { content: string };
  const calls: Required<Omit<ToolCallDelta, 'index'>>[] = [];
  for (const { index, id = '', function: called } of reader.read(content ?? '')) {
    const call = calls[index];
    if (call !== undefined) call.function.arguments += called.arguments;
    else calls[index] = { id, type: 'function', function: { name: called.name ?? '', arguments: called.arguments } };
  }
  return {
    ...choice,
    finish_reason: finishReason(choice, reader),
    message: { ...message, content: '', ...(calls.length === 0 ? {} : { tool_calls: calls }) },
  };
}

/** The chunk's other fields stay with the last chunk made of it. */
function* chunks(result: Json, choice: Choice, reader: ToolCallReader): Generator<Json> {
  const { content, ...delta } = choice.delta as { content?: string | null };
  if (typeof content !== 'string') {
    yield { ...result, choices: [{ ...choice, finish_reason: finishReason(choice, reader) }] };
    return;
  }
  const { timings, prompt_progress, __verbose, ...plain } = result;
  const deltas: Json[] = reader.read(content).map((call) => ({ tool_calls: [call] }));
  const carries = [timings, prompt_progress, __verbose].some((value) => value !== undefined);
  if (deltas.length === 0 && (carries || Object.keys(delta).length > 0)) deltas.push({});
  for (const [index, calls] of deltas.entries()) {
    const last = index === deltas.length - 1;
    yield { ...(last ? result : plain), choices: [{ ...choice, delta: { ...delta, ...calls } }] };
  }
}

function finishReason({ finish_reason }: Choice, reader: ToolCallReader): string | null {
  return finish_reason === 'stop' && reader.complete ? 'tool_calls' : finish_reason;
}
