/**
 * `POST /v1/responses`: OpenAI's Responses API on top of a chat. The request becomes a chat request, and the chat's
 * results become this API's objects and events: llama-server's, plus the indices and numbers by which OpenAI's clients
 * keep track.
 */
import type { Json } from '../../engine/engine.ts';
import { planChat } from '../chat/chat-completions.ts';
import { type AnswerFormat, complete } from '../generate/completions.ts';
import { toOpenAi } from '../generate/openai-format.ts';
import { isObject } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { encodeEvent, encodeNamedEvent } from '../http/sse.ts';
import { randomId, type ServerContext, unixSeconds } from '../state/context.ts';
import { type ChatDelta, type ChatUsage, readChunk, type ToolCall, textOf } from './chat-results.ts';
import { responsesToChat } from './responses-request.ts';

export async function responses(scope: Scope, context: ServerContext): Promise<Response> {
  const asked = await scope.body();
  const chat = responsesToChat(asked);
  const plan = await planChat(chat, context);
  const { body, stream } = plan.parameters;
  if (stream) body.stream_options = { include_usage: true };
  return complete(scope, context, { ...plan, perPrompt: 1, format: responsesFormat(context, echoOf(asked)) });
}

function responsesFormat(context: ServerContext, echo: Json): AnswerFormat {
  return {
    map(results, about) {
      const chat = toOpenAi(results, about);
      return about.stream ? toEvents(chat, context, echo) : toResponse(chat, context, echo);
    },
    events: {
      result: ({ event, data }) => encodeNamedEvent(event as string, data),
      error: encodeEvent,
      end: '',
    },
  };
}

async function* toResponse(results: AsyncGenerator<Json>, context: ServerContext, echo: Json): AsyncGenerator<Json> {
  for await (const result of results) {
    const [{ message }] = result.choices as [{ message: Json }];
    const output: Json[] = [];
    const thoughts = textOf(message.reasoning_content);
    if (thoughts !== '') output.push({ ...reasoningItem(randomId(context, 'rs_'), thoughts), status: 'completed' });
    const text = textOf(message.content);
    if (text !== '') output.push(messageItem(randomId(context, 'msg_'), text));
    for (const call of (message.tool_calls ?? []) as ToolCall[]) output.push(callItem(call));
    yield {
      completed_at: unixSeconds(context),
      ...completedResponse(randomId(context, 'resp_'), result, output, result.usage as ChatUsage),
      ...echo,
    };
  }
}

/** Items in the order of their beginning. As in llama-server, all of them are done only at the end. */
async function* toEvents(results: AsyncGenerator<Json>, context: ServerContext, echo: Json): AsyncGenerator<Json> {
  const events = new ResponseEvents(context, echo);
  let last: Json = {};
  let usage: ChatUsage | undefined;
  for await (const result of results) {
    last = { ...last, ...result };
    usage = (result.usage as ChatUsage | undefined) ?? usage;
    yield* withProgress(result, [...events.begin(result), ...events.add(readChunk(result))]);
  }
  yield* events.end(last, usage);
}

/** What `timings_per_token` and `return_progress` ask for is, as in llama-server, in the last event of each chunk. */
function withProgress({ timings, prompt_progress }: Json, events: Json[]): Json[] {
  const data = events.at(-1)?.data as Json | undefined;
  if (data !== undefined && timings !== undefined) data.timings = timings;
  if (data !== undefined && prompt_progress !== undefined) data.prompt_progress = prompt_progress;
  return events;
}

/** An output item under way. */
interface Item {
  index: number;
  id: string;
  text: string;
}

class ResponseEvents {
  readonly #context: ServerContext;
  readonly #echo: Json;
  readonly #id: string;
  #number = 0;
  #items = 0;
  #reasoning: Item | undefined;
  #message: Item | undefined;
  readonly #calls: { item: Item; call: ToolCall }[] = [];

  constructor(context: ServerContext, echo: Json) {
    this.#context = context;
    this.#echo = echo;
    this.#id = randomId(context, 'resp_');
  }

  #event(type: string, fields: Json): Json {
    return { event: type, data: { type, ...fields, sequence_number: this.#number++ } };
  }

  #item(id: string): Item {
    return { index: this.#items++, id, text: '' };
  }

  /** The first events of the response; and one more for each report of the prompt's progress. */
  *begin({ created, model, prompt_progress }: Json): Generator<Json> {
    const isFirst = this.#number === 0;
    if (!isFirst && prompt_progress === undefined) return;
    const identity = { id: this.#id, object: 'response', created_at: created, model };
    const response = { ...identity, status: 'in_progress', output: [], ...this.#echo };
    if (isFirst) yield this.#event('response.created', { response });
    yield this.#event('response.in_progress', { response });
  }

  *add({ reasoning, text, calls }: ChatDelta): Generator<Json> {
    if (reasoning !== '') yield* this.#addReasoning(reasoning);
    if (text !== '') yield* this.#addText(text);
    for (const call of calls) yield* this.#addCall(call);
  }

  *#addReasoning(delta: string): Generator<Json> {
    if (this.#reasoning === undefined) {
      this.#reasoning = this.#item(randomId(this.#context, 'rs_'));
      const item = { ...reasoningItem(this.#reasoning.id, ''), content: [], status: 'in_progress' };
      yield this.#event('response.output_item.added', { output_index: this.#reasoning.index, item });
      yield this.#event('response.content_part.added', { ...contentOf(this.#reasoning), part: thoughtPart('') });
    }
    this.#reasoning.text += delta;
    yield this.#event('response.reasoning_text.delta', { ...contentOf(this.#reasoning), delta });
  }

  *#addText(delta: string): Generator<Json> {
    if (this.#message === undefined) {
      this.#message = this.#item(randomId(this.#context, 'msg_'));
      const { id, index } = this.#message;
      const item = { content: [], id, role: 'assistant', status: 'in_progress', type: 'message' };
      yield this.#event('response.output_item.added', { output_index: index, item });
      const part = { type: 'output_text', text: '', annotations: [] };
      yield this.#event('response.content_part.added', { ...contentOf(this.#message), part });
    }
    this.#message.text += delta;
    yield this.#event('response.output_text.delta', { ...contentOf(this.#message), delta, logprobs: [] });
  }

  *#addCall({ index, id, name, given }: ChatDelta['calls'][number]): Generator<Json> {
    let entry = this.#calls[index];
    if (entry === undefined) {
      const call: ToolCall = { id: id ?? '', type: 'function', function: { name: name ?? '', arguments: '' } };
      entry = { item: this.#item(`fc_${call.id}`), call };
      this.#calls[index] = entry;
      const item = { ...callItem(call), status: 'in_progress' };
      yield this.#event('response.output_item.added', { output_index: entry.item.index, item });
    }
    if (given === '') return;
    entry.call.function.arguments += given;
    yield this.#event('response.function_call_arguments.delta', {
      output_index: entry.item.index,
      delta: given,
      item_id: entry.item.id,
    });
  }

  *end(last: Json, usage: ChatUsage | undefined): Generator<Json> {
    if (this.#number === 0) yield* this.begin(last);
    const output: Json[] = [];
    const done = ({ index }: Item, item: Json) => {
      output[index] = item;
      return this.#event('response.output_item.done', { output_index: index, item });
    };
    if (this.#reasoning !== undefined) {
      const at = contentOf(this.#reasoning);
      const { text } = this.#reasoning;
      yield this.#event('response.reasoning_text.done', { ...at, text });
      yield this.#event('response.content_part.done', { ...at, part: thoughtPart(text) });
      yield done(this.#reasoning, reasoningItem(this.#reasoning.id, this.#reasoning.text));
    }
    if (this.#message !== undefined) {
      const { id, text } = this.#message;
      const at = contentOf(this.#message);
      yield this.#event('response.output_text.done', { ...at, text, logprobs: [] });
      yield this.#event('response.content_part.done', { ...at, part: textPart(text) });
      yield done(this.#message, messageItem(id, text));
    }
    for (const { item, call } of this.#calls) {
      const { name, arguments: given } = call.function;
      const at = { output_index: item.index, item_id: item.id };
      yield this.#event('response.function_call_arguments.done', { ...at, name, arguments: given });
      yield done(item, callItem(call));
    }
    const { timings } = last;
    yield this.#event('response.completed', {
      response: { ...completedResponse(this.#id, last, output, usage), ...this.#echo },
      ...(timings === undefined ? {} : { timings }),
    });
  }
}

// --- objects -------------------------------------------------------------------------------------------------------

/**
 * Fields that OpenAI's specification requires and llama-server omits: the request's own, and the absence of an error.
 */
function echoOf(asked: Json): Json {
  const { instructions, metadata, parallel_tool_calls, temperature, tool_choice, tools, top_p } = asked;
  return {
    error: null,
    incomplete_details: null,
    instructions: instructions ?? null,
    metadata: metadata ?? null,
    parallel_tool_calls: parallel_tool_calls ?? true,
    temperature: temperature ?? null,
    tool_choice: tool_choice ?? 'auto',
    tools: (Array.isArray(tools) ? tools : []).map(declared),
    top_p: top_p ?? null,
  };
}

/** A tool with all its fields. */
function declared(tool: unknown): unknown {
  return isObject(tool) && tool.type === 'function' ? { parameters: null, strict: null, ...tool } : tool;
}

function completedResponse(id: string, { created, model }: Json, output: Json[], usage: ChatUsage | undefined): Json {
  const { prompt_tokens = 0, completion_tokens = 0, prompt_tokens_details } = usage ?? {};
  return {
    created_at: created,
    id,
    model,
    object: 'response',
    output,
    status: 'completed',
    usage: {
      input_tokens: prompt_tokens,
      output_tokens: completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      input_tokens_details: { cached_tokens: prompt_tokens_details?.cached_tokens ?? 0, cache_write_tokens: 0 },
      // llama.cpp counts thoughts among the output tokens.
      output_tokens_details: { reasoning_tokens: 0 },
    },
  };
}

/** The place of an item's only part. */
function contentOf({ index, id }: Item): Json {
  return { item_id: id, output_index: index, content_index: 0 };
}

function thoughtPart(text: string): Json {
  return { text, type: 'reasoning_text' };
}

function reasoningItem(id: string, text: string): Json {
  return { id, summary: [], type: 'reasoning', content: [thoughtPart(text)], encrypted_content: '' };
}

function textPart(text: string): Json {
  return { type: 'output_text', annotations: [], logprobs: [], text };
}

function messageItem(id: string, text: string): Json {
  return { content: [textPart(text)], id, role: 'assistant', status: 'completed', type: 'message' };
}

function callItem({ id, function: { name, arguments: given } }: ToolCall): Json {
  return { type: 'function_call', status: 'completed', arguments: given, call_id: `call_${id}`, name, id: `fc_${id}` };
}
