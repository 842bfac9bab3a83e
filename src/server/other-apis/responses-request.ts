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
  input.forEach((item: unknown, index) => {
    addItem(messages, isObject(item) ? item : {}, `input[${index}]`);
  });
  return messages;
}

const INPUT_ROLES = ['user', 'system', 'developer'];

/**
 * What OpenAI's own tools did. A chat has nothing to say it with; what the model made of it is in the messages that
 * follow.
 */
const HOSTED_TOOL_ITEMS = [
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'image_generation_call',
  'mcp_list_tools',
];

/**
 * What the assistant said, thought and called in one turn are separate items here, and one message in a chat.
 * @param place Of the item, for errors.
 */
function addItem(messages: Json[], item: Json, place: string): void {
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
  } else if (type === 'function_call' && [item.call_id, item.name].every(isString)) {
    const message = turn();
    const call = { id: item.call_id, type: 'function', function: { name: item.name, arguments: item.arguments } };
    message.tool_calls = [...((message.tool_calls as Json[] | undefined) ?? []), call];
  } else if (type === 'function_call_output' && isString(item.call_id) && isOutput(item.output)) {
    const { output } = item;
    messages.push({
      role: 'tool',
      // Not every template takes an empty list.
      content: typeof output === 'string' || output.length === 0 ? `${output}` : output.map(toolOutputPart),
      tool_call_id: item.call_id,
    });
  } else if (type === 'reasoning') {
    const thoughts = thoughtsOf(item);
    // What was encrypted elsewhere can't be read here.
    if (thoughts === '') return;
    const message = turn();
    const before = message.reasoning_content as string | undefined;
    message.reasoning_content = before === undefined ? thoughts : `${before}\n\n${thoughts}`;
  } else if (type === 'item_reference') {
    throw invalid(
      'input',
      `${place} refers to the item ${JSON.stringify(item.id)} of an earlier response, but this server stores none. Send the items themselves, as clients do with \`store: false\`.`,
    );
  } else if (!HOSTED_TOOL_ITEMS.includes(type as string)) {
    throw invalid('input', `Cannot determine type of 'item': ${place} is ${shownType(item)}`);
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

/** What a tool answers with is for the model to read, as a user's parts are. */
function toolOutputPart(part: unknown): Json {
  const fields = isObject(part) ? part : {};
  return fields.type === 'output_text' || fields.type === 'text'
    ? inputPart({ ...fields, type: 'input_text' })
    : inputPart(fields);
}

/** The thoughts themselves, or else what was told of them: OpenAI's clients keep no more than the summary. */
function thoughtsOf({ content, summary }: Json): string {
  return joinTexts(content) || joinTexts(summary);
}

function joinTexts(parts: unknown): string {
  const texts = (Array.isArray(parts) ? parts : []).map((part: unknown) => (isObject(part) ? part.text : undefined));
  return texts.filter(isString).join('\n\n');
}

function shownType(item: Json): string {
  return isString(item.type) ? `a '${item.type}' that lacks a field, or is not known` : 'no item with a type or a role';
}
