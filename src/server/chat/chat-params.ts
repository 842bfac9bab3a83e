/** The parameters that only chat has: tools, response formats, reasoning, and how the template is applied. */
import type { Json } from '../../engine/engine.ts';
import { type ErrorType, LlamatabError } from '../../errors.ts';
import { keepSchema } from '../constraints/schema.ts';
import { isPresent, type Parameters, REASONING_FORMATS, readParameters } from '../generate/params.ts';
import { isObject, typeError } from '../http/json.ts';
import type { MediaSupport, Medium } from './media.ts';
import { readMessages } from './read-messages.ts';
import { readToolUse, type ToolUse, toolFields } from './tools.ts';

/** llama-server's number of alternatives where `logprobs: true` comes without `top_logprobs`. */
const DEFAULT_TOP_LOGPROBS = 20;

export interface ChatParameters extends Parameters {
  /** What `prepareTools` takes once the model is loaded. */
  tools: ToolUse;
  /** What `placeMarkers` and `loadMedia` take then. */
  media: Medium[];
}

/**
 * A whole chat request, checked in llama-server's order.
 * @param random Draws an unsigned 32-bit integer, for the seed.
 * @param support What the model takes beside text; by default, nothing.
 * @throws LlamatabError with llama-server's status and message.
 */
export function readChat(request: Json, random: () => number, support?: MediaSupport): ChatParameters {
  checkGrammars(request);
  const responseFormat = readResponseFormat(request.response_format);
  const { messages, media } = readMessages(request, support);
  const tools = readToolUse(request);
  const usesTools = tools.tools.length > 0 && tools.choice !== 'none';
  const template = readTemplateOptions(request, messages);
  if (usesTools && isPresent(request.grammar)) {
    throw fault('grammar', 'Cannot use custom grammar constraints with tools.');
  }
  const schema = responseFormat?.schema ?? request.json_schema;
  const kept = isPresent(schema)
    ? keepSchema(schema, { strict: responseFormat?.strict ?? false }, (badSchema) =>
        fault(
          responseFormat === undefined ? 'json_schema' : 'response_format',
          `Unable to generate parser for this template. Automatic parser generation failed: ${badSchema}`,
        ),
      )
    : undefined;
  const logprobs = readLogprobs(request, tools.tools.length > 0);
  const parameters = readParameters({ ...request, ...logprobs }, random);
  Object.assign(parameters.body, template, { messages });
  if (responseFormat !== undefined) parameters.body.response_format = responseFormat.withSchema(kept ?? {});
  Object.assign(parameters.body, toolFields(tools));
  return { ...parameters, tools, media };
}

function fault(param: string, message: string, type: ErrorType = 'invalid_request_error'): LlamatabError {
  return new LlamatabError(type, message, { param });
}

/** A grammar and a schema exclude each other, wherever the schema comes from. */
function checkGrammars(request: Json): void {
  const grammar = request.grammar;
  if (typeof grammar !== 'string' || grammar === '') return;
  const format = isObject(request.response_format) ? request.response_format.type : undefined;
  if (isPresent(request.json_schema) || format === 'json_object' || format === 'json_schema') {
    throw fault('grammar', 'Cannot use both json_schema and grammar', 'server_error');
  }
}

interface ResponseFormat {
  /** `{}` where it names none. */
  schema: unknown;
  /** Whether the answer must match it, or the request be refused. */
  strict: boolean;
  /** As llama.cpp takes it. */
  withSchema(schema: Json): Json;
}

/** Undefined for plain text, or what is no object. */
function readResponseFormat(value: unknown): ResponseFormat | undefined {
  if (!isObject(value) || typeof value.type !== 'string') return undefined;
  switch (value.type) {
    case '':
    case 'text':
      return undefined;
    case 'json_object':
      return {
        schema: value.schema ?? {},
        strict: false,
        withSchema: (schema) => ({ type: 'json_object', schema }),
      };
    case 'json_schema': {
      const { schema, strict } = isObject(value.json_schema) ? value.json_schema : {};
      return {
        schema: schema ?? {},
        strict: strict === true,
        withSchema: (schema) => ({ type: 'json_schema', json_schema: { schema } }),
      };
    }
    default:
      throw fault(
        'response_format',
        `response_format type must be one of "text" or "json_object", but got: ${value.type}`,
      );
  }
}

function readTemplateOptions(request: Json, messages: Json[]): Json {
  const options: Json = {};
  if (typeof request.add_generation_prompt === 'boolean') options.add_generation_prompt = request.add_generation_prompt;
  Object.assign(options, readContinuation(request, messages), readReasoning(request));
  if (isObject(request.chat_template_kwargs)) {
    const kwargs = request.chat_template_kwargs;
    if (typeof kwargs.enable_thinking === 'string') {
      throw fault('chat_template_kwargs', 'invalid type for "enable_thinking" (expected boolean, got string)');
    }
    options.chat_template_kwargs = kwargs;
  }
  return options;
}

/** Whether the last message is one to go on with; llama.cpp also does so unasked where it is the assistant's. */
function readContinuation(request: Json, messages: Json[]): Json {
  const asked = request.continue_final_message;
  const continues = asked === true || asked === 'content' || asked === 'reasoning_content';
  const [before, last] = [messages.at(-2), messages.at(-1)];
  if (!continues && last?.role === 'assistant' && before?.role === 'assistant') {
    throw fault('messages', 'Cannot have 2 or more assistant messages at the end of the list.');
  }
  if (continues && request.add_generation_prompt !== false) {
    throw fault('continue_final_message', 'Cannot set both add_generation_prompt and continue_final_message to true.');
  }
  if (continues && last?.role !== 'assistant') {
    throw fault(
      'continue_final_message',
      "'continue_final_message' needs an assistant message at the end of 'messages'.",
    );
  }
  if (last?.role === 'assistant' && last.tool_calls !== undefined) {
    throw fault('messages', 'Cannot continue an assistant message that contains tool calls.');
  }
  return continues ? { continue_final_message: asked } : {};
}

function readReasoning(request: Json): Json {
  const options: Json = {};
  const format = request.reasoning_format;
  if (isPresent(format)) {
    if (typeof format !== 'string') throw fault('reasoning_format', typeError('string', format), 'server_error');
    if (!REASONING_FORMATS.includes(format)) {
      throw fault('reasoning_format', `Unknown reasoning format: ${format}`, 'server_error');
    }
  }
  const effort = request.reasoning_effort;
  if (isPresent(effort)) {
    if (typeof effort !== 'string') {
      throw fault('reasoning_effort', `Field 'reasoning_effort': ${typeError('string', effort)}`);
    }
    options.reasoning_effort = effort;
  }
  const budget = request.thinking_budget_tokens;
  if (typeof budget === 'number') {
    options.thinking_budget_tokens = Math.min(2 ** 31 - 1, Math.max(-1, Math.trunc(budget)));
  }
  return options;
}

/** OpenAI's `logprobs: true` and `top_logprobs` as llama.cpp's `n_probs`. A number in `logprobs` is `n_probs` already. */
function readLogprobs(request: Json, hasTools: boolean): Json {
  const top = request.top_logprobs;
  if (request.logprobs !== true) {
    if (isPresent(top)) throw fault('top_logprobs', 'top_logprobs requires logprobs to be set to true');
    return {};
  }
  if (hasTools && request.stream === true) {
    throw fault('logprobs', 'logprobs is not supported with tools + stream');
  }
  return { n_probs: typeof top === 'number' ? top : DEFAULT_TOP_LOGPROBS };
}
