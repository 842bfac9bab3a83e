/** Converts a request of OpenAI's Responses API to a chat request, as llama-server does, with its messages. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { isObject, isPresent } from '../http/json.ts';

/** Fields with another name in a chat request, or no meaning there. */
const CONVERTED = ['input', 'instructions', 'tools', 'max_output_tokens', 'reasoning', 'text', 'n'];

/** @throws LlamatabError `invalid_request_error` with llama-server's message; `readChat` checks the rest. */
export function responsesToChat(request: Json): Json {
  if (request.input === undefined) throw invalid('input', "'input' is required");
  if (typeof request.previous_response_id === 'string' && request.previous_response_id !== '') {
    throw invalid('previous_response_id', "llama.cpp does not support 'previous_response_id'.");
  }
  const chat: Json = Object.fromEntries(Object.entries(request).filter(([field]) => !CONVERTED.includes(field)));
  chat.messages = [...instructionsOf(request), ...readInput(request.input)];
  const tools = readTools(request.tools);
  if (tools.length > 0) chat.tools = tools;
  if (request.max_output_tokens !== undefined) chat.max_tokens = request.max_output_tokens;
  if (isObject(request.reasoning) && request.reasoning.effort !== undefined) {
    chat.reasoning_effort = request.reasoning.effort;
  }
  const format = isObject(request.text) ? request.text.format : undefined;
  if (isObject(format)) chat.response_format = responseFormat(format);
  return chat;
}

function instructionsOf({ instructions }: Json): Json[] {
  if (!isPresent(instructions)) return [];
  return [{ role: 'system', content: typeof instructions === 'string' ? instructions : '' }];
}

/** Here the name and schema are beside the type; in a chat they are a level deeper. */
function responseFormat({ type, ...schema }: Json): Json {
  return type === 'json_schema' ? { type, json_schema: schema } : { type, ...schema };
}

/** As in llama-server, tools other than functions are dropped: a chat has no counterpart. */
function readTools(tools: unknown): Json[] {
  if (!isPresent(tools)) return [];
  if (!Array.isArray(tools)) throw invalid('tools', "'tools' must be an array of objects");
  return tools.flatMap((tool: unknown) => {
    if (!isObject(tool) || tool.type !== 'function') return [];
    const { type, ...declared } = tool;
    return [{ type, function: declared }];
  });
}

function readInput(input: unknown): Json[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input)) throw invalid('input', "'input' must be a string or array of objects");
  const messages: Json[] = [];
  for (const item of input) addItem(messages, isObject(item) ? item : {});
  return messages;
}

const INPUT_ROLES = ['user', 'system', 'developer'];

/** What the assistant said, thought and called in one turn are separate items here, and one message in a chat. */
function addItem(messages: Json[], item: Json): void {
  const turn = () => {
    const last = messages.at(-1);
    if (last?.role === 'assistant') return last;
    const message: Json = { role: 'assistant', content: [] };
    messages.push(message);
    return message;
  };
  const { type, role, content } = item;
  if (INPUT_ROLES.includes(role as string) && (typeof content === 'string' || Array.isArray(content))) {
    messages.push({ role, content: typeof content === 'string' ? [textPart(content)] : content.map(inputPart) });
  } else if (role === 'assistant' && (type === 'message' || type === undefined)) {
    const message = turn();
    const parts = typeof content === 'string' ? [textPart(content)] : Array.isArray(content) ? content : [];
    message.content = [...(message.content as Json[]), ...parts.map(outputPart)];
  } else if (type === 'function_call' && [item.arguments, item.call_id, item.name].every(isString)) {
    const message = turn();
    const call = { id: item.call_id, type: 'function', function: { name: item.name, arguments: item.arguments } };
    message.tool_calls = [...((message.tool_calls as Json[] | undefined) ?? []), call];
  } else if (type === 'function_call_output' && isString(item.call_id) && isOutput(item.output)) {
    const { output } = item;
    messages.push({
      role: 'tool',
      content: typeof output === 'string' ? output : output.map(toolOutputPart),
      tool_call_id: item.call_id,
    });
  } else if (type === 'reasoning' && Array.isArray(item.summary)) {
    turn().reasoning_content = thoughtsOf(content);
  } else {
    throw invalid('input', "Cannot determine type of 'item'");
  }
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isOutput(value: unknown): value is string | unknown[] {
  return typeof value === 'string' || Array.isArray(value);
}

function textPart(text: unknown): Json {
  return { type: 'text', text };
}

function inputPart(part: unknown): Json {
  const fields = isObject(part) ? part : {};
  switch (fields.type) {
    case 'input_text':
      if (fields.text === undefined) throw invalid('input', "'Input text' requires 'text'");
      return textPart(fields.text);
    case 'input_image':
      if (fields.image_url === undefined) throw invalid('input', "'image_url' is required");
      return { type: 'image_url', image_url: { url: fields.image_url } };
    case 'input_audio':
      return { type: 'input_audio', input_audio: fields.input_audio };
    case 'input_file':
      throw invalid('input', "'input_file' is not supported by llamacpp at this moment");
    default:
      throw invalid('input', "'type' must be one of 'input_text', 'input_image', or 'input_file'");
  }
}

/** A refusal becomes text: a chat has no such part. */
function outputPart(part: unknown): Json {
  const fields = isObject(part) ? part : {};
  switch (fields.type) {
    case 'text':
    case 'output_text':
    case 'input_text':
      if (typeof fields.text !== 'string') throw invalid('input', "'Output text' requires 'text'");
      return textPart(fields.text);
    case 'refusal':
      if (typeof fields.refusal !== 'string') throw invalid('input', "'Refusal' requires 'refusal'");
      return textPart(fields.refusal);
    default:
      throw invalid('input', "'type' must be one of 'output_text' or 'refusal'");
  }
}

function toolOutputPart(part: unknown): Json {
  if (!isObject(part) || part.type !== 'input_text')
    throw invalid('input', "Output of tool call should be 'Input text'");
  return textPart(part.text);
}

function thoughtsOf(content: unknown): string {
  if (!Array.isArray(content)) throw invalid('input', "item['content'] is not an array");
  if (content.length === 0) throw invalid('input', "item['content'] is empty");
  const [first] = content;
  if (!isObject(first) || typeof first.text !== 'string') {
    throw invalid('input', "item['content']['text'] is not a string");
  }
  return first.text;
}
