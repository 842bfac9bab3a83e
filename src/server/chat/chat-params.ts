/** The parameters that only chat has: tools, response formats, reasoning, and how the template is applied. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { keepSchema } from '../constraints/schema.ts';
import { REASONING_FORMATS } from '../generate/param-readers.ts';
import { type Parameters, readParameters } from '../generate/params.ts';
import { isObject, isPresent, typeError } from '../http/json.ts';
import type { MediaSupport } from '../state/capabilities.ts';
import type { Medium } from './media.ts';
import { readMessages } from './read-messages.ts';
import { readToolUse, type ToolUse, toolFields } from './read-tools.ts';

export interface ChatParameters extends Parameters {
  /** For `prepareTools`, once the model is loaded. */
  tools: ToolUse;
  /** For `placeMarkers` and `loadMedia`, likewise. */
  media: Medium[];
  /** Whether log probabilities are wanted, but of no token that was not chosen. */
  withoutAlternatives: boolean;
}

/**
 * Reads a whole chat request, checking it in llama-server's order.
 * @param random Draws an unsigned 32-bit integer, for the seed.
 * @param support What the model accepts besides text; by default, nothing.
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
    throw invalid('grammar', 'Cannot use custom grammar constraints with tools.');
  }
  const schema = responseFormat?.schema ?? request.json_schema;
  const kept = isPresent(schema)
    ? keepSchema(schema, { strict: responseFormat?.strict ?? false }, (fault) =>
        invalid(
          responseFormat === undefined ? 'json_schema' : 'response_format',
          `Unable to generate parser for this template. Automatic parser generation failed: ${fault}`,
        ),
      )
    : undefined;
  const logprobs = readLogprobs(request, tools.tools.length > 0);
  const withoutAlternatives = logprobs.n_probs === 0;
  if (withoutAlternatives) logprobs.n_probs = 1;
  const parameters = readParameters({ ...request, ...logprobs }, random);
  Object.assign(parameters.body, template, { messages });
  if (responseFormat !== undefined) parameters.body.response_format = responseFormat.withSchema(kept ?? {});
  Object.assign(parameters.body, toolFields(tools));
  return { ...parameters, tools, media, withoutAlternatives };
}

/** A grammar and a schema exclude each other, no matter which field the schema is in. */
function checkGrammars(request: Json): void {
  const grammar = request.grammar;
  if (typeof grammar !== 'string' || grammar === '') return;
  const format = isObject(request.response_format) ? request.response_format.type : undefined;
  if (isPresent(request.json_schema) || format === 'json_object' || format === 'json_schema') {
    throw invalid('grammar', 'Cannot use both json_schema and grammar', 'server_error');
  }
}

interface ResponseFormat {
  /** `{}` if it has none. */
  schema: unknown;
  /** Whether the request is refused if a grammar can't hold the answer to all of the schema. */
  strict: boolean;
  /** In llama.cpp's shape. */
  withSchema(schema: Json): Json;
}

/** Undefined for plain text, or anything but an object. */
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
        // Without one, llama.cpp's answer is another than with an empty one.
        withSchema: (schema) => ({ type: 'json_object', ...(value.schema === undefined ? {} : { schema }) }),
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
      throw invalid(
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
      throw invalid('chat_template_kwargs', 'invalid type for "enable_thinking" (expected boolean, got string)');
    }
    options.chat_template_kwargs = kwargs;
  }
  return options;
}

/** Whether to continue the last message; llama.cpp does that unasked if it is the assistant's. */
function readContinuation(request: Json, messages: Json[]): Json {
  const asked = request.continue_final_message;
  if (isPresent(asked) && typeof asked !== 'boolean' && asked !== 'content' && asked !== 'reasoning_content') {
    throw invalid(
      'continue_final_message',
      'Invalid continue_final_message: expected a boolean, "content" or "reasoning_content"',
    );
  }
  const continues = asked === true || asked === 'content' || asked === 'reasoning_content';
  const [before, last] = [messages.at(-2), messages.at(-1)];
  if (!continues && last?.role === 'assistant' && before?.role === 'assistant') {
    throw invalid('messages', 'Cannot have 2 or more assistant messages at the end of the list.');
  }
  if (continues && request.add_generation_prompt !== false) {
    throw invalid(
      'continue_final_message',
      'Cannot set both add_generation_prompt and continue_final_message to true.',
    );
  }
  if (continues && last?.role !== 'assistant') {
    throw invalid(
      'continue_final_message',
      "'continue_final_message' needs an assistant message at the end of 'messages'.",
    );
  }
  if (last?.role === 'assistant' && last.tool_calls !== undefined) {
    throw invalid('messages', 'Cannot continue an assistant message that contains tool calls.');
  }
  return continues ? { continue_final_message: asked } : {};
}

function readReasoning(request: Json): Json {
  const options: Json = {};
  const format = request.reasoning_format;
  if (isPresent(format)) {
    if (typeof format !== 'string') throw invalid('reasoning_format', typeError('string', format), 'server_error');
    if (!REASONING_FORMATS.includes(format)) {
      throw invalid('reasoning_format', `Unknown reasoning format: ${format}`, 'server_error');
    }
  }
  const effort = request.reasoning_effort;
  if (isPresent(effort)) {
    if (typeof effort !== 'string') {
      throw invalid('reasoning_effort', `Field 'reasoning_effort': ${typeError('string', effort)}`);
    }
    options.reasoning_effort = effort;
  }
  const budget = request.thinking_budget_tokens;
  if (typeof budget === 'number') {
    options.thinking_budget_tokens = Math.min(2 ** 31 - 1, Math.max(-1, Math.trunc(budget)));
  }
  return options;
}

/**
 * OpenAI's `logprobs: true` and `top_logprobs` as llama.cpp's `n_probs`; 0 for the chosen tokens alone, which llama.cpp
 * tells only with an alternative. A number in `logprobs` means `n_probs` already.
 */
function readLogprobs(request: Json, hasTools: boolean): Json {
  const top = request.top_logprobs;
  if (request.logprobs !== true) {
    if (isPresent(top)) throw invalid('top_logprobs', 'top_logprobs requires logprobs to be set to true');
    return {};
  }
  if (hasTools && request.stream === true) {
    throw invalid('logprobs', 'logprobs is not supported with tools + stream');
  }
  return { n_probs: typeof top === 'number' ? top : 0 };
}
