/** What the settings come to in a request. */
import type { CompletionRequest, RequestMessage } from './complete.ts';
import type { Settings } from './settings.ts';

export interface Tool {
  type: 'function';
  function: { name: string; description?: string; parameters?: object };
}

/** Text that a person typed, read: its value, or what is wrong with it in words. */
export type Typed<Value> = { value: Value; problem?: undefined } | { value?: undefined; problem: string };

export function readSchema(text: string): Typed<object> {
  const read = readJson(text);
  if (read.problem !== undefined) return read;
  if (typeof read.value === 'object' && read.value !== null && !Array.isArray(read.value)) return { value: read.value };
  return { problem: 'A schema is an object: { "type": "object", "properties": { … } }.' };
}

/** An empty text is no tools. */
export function readTools(text: string): Typed<Tool[]> {
  if (text.trim() === '') return { value: [] };
  const read = readJson(text);
  if (read.problem !== undefined) return read;
  const tools = [read.value].flat() as Partial<Tool>[];
  const unnamed = tools.findIndex((tool) => tool?.type !== 'function' || typeof tool.function?.name !== 'string');
  if (unnamed === -1) return { value: tools as Tool[] };
  return {
    problem: `Tool ${unnamed + 1} is not { "type": "function", "function": { "name": "…", "parameters": { … } } }.`,
  };
}

function readJson(text: string): Typed<unknown> {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { problem: `This is no JSON: ${error instanceof Error ? error.message : error}.` };
  }
}

/** A schema or tools that can't be read are left out: the settings say what is wrong with them. */
export function toRequest(settings: Settings, model: string, messages: RequestMessage[]): CompletionRequest {
  const tools = readTools(settings.tools).value ?? [];
  return {
    model,
    messages,
    temperature: settings.temperature,
    top_p: settings.topP,
    top_k: settings.topK,
    min_p: settings.minP,
    repeat_penalty: settings.repeatPenalty,
    max_tokens: settings.maxTokens,
    ...(settings.seed === null ? {} : { seed: settings.seed }),
    ...responseFormat(settings),
    ...(tools.length === 0 ? {} : { tools, tool_choice: settings.toolChoice }),
  };
}

function responseFormat({ format, schema }: Settings): object {
  if (format === 'text') return {};
  const read = format === 'schema' ? readSchema(schema).value : undefined;
  if (read === undefined) return { response_format: { type: 'json_object' } };
  return { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: read } } };
}
