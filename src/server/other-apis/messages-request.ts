/** Converts a request of Anthropic's Messages API to a chat request, as llama-server does, with its messages. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { isObject, isPresent } from '../http/json.ts';

/** llama-server's defaults; Anthropic requires the fields. */
const DEFAULT_MAX_TOKENS = 4096;
const DEFAULT_THINKING_BUDGET = 10_000;

/**
 * Fields with the same meaning in a chat request; the others are converted, or have none there. `seed` is ours, and so is
 * `cache_prompt`, without which a seeded request could not have the cache.
 */
const SHARED = ['model', 'temperature', 'top_p', 'top_k', 'seed', 'cache_prompt', 'stream', 'chat_template_kwargs'];

/** @throws LlamatabError `server_error` (sic) without messages; `readChat` checks the rest. */
export function messagesToChat(request: Json): Json {
  if (request.messages === undefined) {
    throw invalid('messages', "'messages' is required", 'server_error');
  }
  const chat: Json = { messages: [...systemOf(request.system), ...readTurns(request.messages)] };
  for (const field of SHARED) if (request[field] !== undefined) chat[field] = request[field];
  chat.max_tokens = request.max_tokens ?? DEFAULT_MAX_TOKENS;
  if (request.stop_sequences !== undefined) chat.stop = request.stop_sequences;
  if (Array.isArray(request.tools)) chat.tools = request.tools.map(readTool);
  return { ...chat, ...toolChoice(request.tool_choice), ...thinking(request.thinking) };
}

function systemOf(system: unknown): Json[] {
  if (!isPresent(system)) return [];
  return [{ role: 'system', content: Array.isArray(system) ? textOfBlocks(system) : text(system) }];
}

/** llama-server treats anything but a string as an empty one. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textOfBlocks(blocks: unknown[]): string {
  return blocks.map((block) => (isObject(block) && block.type === 'text' ? text(block.text) : '')).join('');
}

/** llama-server treats anything but an array as no messages. */
function readTurns(messages: unknown): unknown[] {
  return Array.isArray(messages) ? messages.flatMap(readTurn) : [];
}

/**
 * Splits a turn's blocks: text and media are its content, calls its `tool_calls`, and each tool result is a message of
 * its own.
 */
function readTurn(message: unknown): unknown[] {
  if (!isObject(message) || !Array.isArray(message.content)) {
    return isObject(message) && message.role === 'assistant' && message.content === undefined ? [] : [message];
  }
  const content: Json[] = [];
  const tool_calls: Json[] = [];
  const results: Json[] = [];
  let reasoning_content = '';
  for (const block of message.content.filter(isObject)) {
    switch (block.type) {
      case 'text':
        content.push({ type: 'text', text: block.text });
        break;
      case 'thinking':
        reasoning_content += text(block.thinking);
        break;
      case 'image':
        content.push(...imagePart(block));
        break;
      case 'tool_use':
        tool_calls.push({
          id: text(block.id),
          type: 'function',
          function: { name: text(block.name), arguments: JSON.stringify(block.input ?? {}) },
        });
        break;
      case 'tool_result':
        results.push({ role: 'tool', tool_call_id: text(block.tool_use_id), content: resultContent(block.content) });
    }
  }
  if (content.length + tool_calls.length === 0 && reasoning_content === '') return results;
  const turn: Json = { role: message.role, content: content.length > 0 ? content : '' };
  if (tool_calls.length > 0) turn.tool_calls = tool_calls;
  if (reasoning_content !== '') turn.reasoning_content = reasoning_content;
  return [turn, ...results];
}

function imagePart({ source }: Json): Json[] {
  if (!isObject(source)) return [];
  const url =
    source.type === 'base64'
      ? `data:${text(source.media_type) || 'image/jpeg'};base64,${text(source.data)}`
      : text(source.url);
  return source.type === 'base64' || source.type === 'url' ? [{ type: 'image_url', image_url: { url } }] : [];
}

/** A single string if all of it is text, which any template accepts. */
function resultContent(content: unknown): string | Json[] {
  if (!Array.isArray(content)) return text(content);
  const blocks = content.filter(isObject);
  if (!blocks.some(({ type }) => type === 'image')) return textOfBlocks(blocks);
  return blocks.flatMap((block) => {
    if (block.type === 'text') return [{ type: 'text', text: text(block.text) }];
    return block.type === 'image' ? imagePart(block) : [];
  });
}

function readTool(tool: unknown): Json {
  const { name, description, input_schema } = isObject(tool) ? tool : ({} as Json);
  return {
    type: 'function',
    function: { name: text(name), description: text(description), parameters: input_schema ?? {} },
  };
}

/** A named tool is required by name; llama-server accepts any tool then. */
function toolChoice(choice: unknown): Json {
  if (!isObject(choice)) return {};
  const parallel = choice.disable_parallel_tool_use === true ? { parallel_tool_calls: false } : {};
  switch (choice.type) {
    case 'auto':
    case 'none':
      return { tool_choice: choice.type, ...parallel };
    case 'any':
      return { tool_choice: 'required', ...parallel };
    case 'tool':
      return { tool_choice: { type: 'function', function: { name: choice.name } }, ...parallel };
    default:
      return parallel;
  }
}

function thinking(value: unknown): Json {
  if (!isObject(value)) return {};
  if (value.type === 'disabled') return { reasoning_effort: 'none' };
  if (value.type !== 'enabled') return {};
  const { budget_tokens } = value;
  return { thinking_budget_tokens: typeof budget_tokens === 'number' ? budget_tokens : DEFAULT_THINKING_BUDGET };
}
