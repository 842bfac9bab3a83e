/** `POST /v1/messages`: Anthropic's Messages API on top of a chat, in llama-server's shapes. */
import type { Json } from '../../engine/engine.ts';
import { planChat } from '../chat/chat-completions.ts';
import { type AnswerFormat, complete } from '../generate/completions.ts';
import { toOpenAi } from '../generate/openai-format.ts';
import type { Scope } from '../http/scope.ts';
import { encodeNamedEvent } from '../http/sse.ts';
import type { ServerContext } from '../state/context.ts';
import type { Timings } from '../state/monitor.ts';
import { type ChatDelta, type ChatUsage, readChunk, type ToolCall, textOf } from './chat-results.ts';
import { messagesToChat } from './messages-request.ts';

export async function messages(scope: Scope, context: ServerContext): Promise<Response> {
  const plan = await planChat(messagesToChat(await scope.body()), context);
  const { body, stream } = plan.parameters;
  // Only this tells which stop sequence was met.
  body.verbose = true;
  // The first event has the prompt's tokens.
  if (stream) Object.assign(body, { timings_per_token: true, stream_options: { include_usage: true } });
  return complete(scope, context, { ...plan, perPrompt: 1, format: MESSAGES_FORMAT });
}

const MESSAGES_FORMAT: AnswerFormat = {
  map(results, about) {
    const chat = toOpenAi(results, about);
    return about.stream ? toEvents(chat) : toMessages(chat);
  },
  events: {
    result: (event) => encodeNamedEvent(event.type as string, event),
    error: (envelope) => encodeNamedEvent('error', { type: 'error', ...envelope }),
    end: '',
  },
};

const STOP_REASONS: Record<string, string> = { stop: 'end_turn', tool_calls: 'tool_use', length: 'max_tokens' };

function stopReason({ choices }: Json): string | undefined {
  const [choice] = choices as { finish_reason: string | null }[];
  return STOP_REASONS[choice?.finish_reason ?? ''];
}

/** The stop sequence that was met, if any. */
function stopSequence({ __verbose }: Json): string | null {
  return textOf((__verbose as Json | undefined)?.stopping_word) || null;
}

async function* toMessages(results: AsyncGenerator<Json>): AsyncGenerator<Json> {
  for await (const result of results) {
    const [{ message }] = result.choices as [{ message: Json }];
    const { prompt_tokens, completion_tokens, prompt_tokens_details } = result.usage as ChatUsage;
    const cached = prompt_tokens_details?.cached_tokens ?? 0;
    yield {
      id: result.id,
      type: 'message',
      role: 'assistant',
      content: blocksOf(message),
      model: result.model,
      stop_reason: stopReason(result) ?? 'end_turn',
      stop_sequence: stopSequence(result),
      usage: {
        cache_read_input_tokens: cached,
        input_tokens: prompt_tokens - cached,
        output_tokens: completion_tokens,
      },
    };
  }
}

function blocksOf({ reasoning_content, content, tool_calls = [] }: Json): Json[] {
  const blocks: Json[] = [];
  const [thinking, text] = [textOf(reasoning_content), textOf(content)];
  // Only Anthropic's own models sign their thoughts.
  if (thinking !== '') blocks.push({ type: 'thinking', thinking, signature: '' });
  if (text !== '') blocks.push({ type: 'text', text });
  for (const { id, function: called } of tool_calls as ToolCall[]) {
    blocks.push({ type: 'tool_use', id, name: called.name, input: inputOf(called.arguments) });
  }
  return blocks;
}

/** An object, even if the call was cut off. */
function inputOf(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return {};
  }
}

async function* toEvents(results: AsyncGenerator<Json>): AsyncGenerator<Json> {
  const blocks = new Blocks();
  let begun = false;
  let stop_reason = 'end_turn';
  let stop_sequence: string | null = null;
  let outputTokens = 0;
  for await (const result of results) {
    const events = [...blocks.add(readChunk(result))];
    if (!begun && (result.timings !== undefined || events.length > 0)) {
      begun = true;
      yield messageStart(result);
    }
    stop_reason = stopReason(result) ?? stop_reason;
    stop_sequence = stopSequence(result) ?? stop_sequence;
    outputTokens = (result.usage as ChatUsage | undefined)?.completion_tokens ?? outputTokens;
    yield* events;
  }
  yield* blocks.end();
  yield {
    type: 'message_delta',
    delta: { stop_reason, stop_sequence },
    usage: { output_tokens: outputTokens },
  };
  yield { type: 'message_stop' };
}

/** For the first chunk with timings, which have the prompt's tokens. */
function messageStart({ id, model, timings }: Json): Json {
  const { cache_n = 0, prompt_n = 0 } = (timings ?? {}) as Timings;
  return {
    type: 'message_start',
    message: {
      id,
      type: 'message',
      role: 'assistant',
      content: [],
      model,
      stop_reason: null,
      stop_sequence: null,
      usage: { cache_read_input_tokens: cache_n, input_tokens: prompt_n, output_tokens: 0 },
    },
  };
}

/** Content blocks, one after another: thoughts, text, calls. */
class Blocks {
  #count = 0;
  /** The open block: `thinking`, `text`, or a call's index. */
  #open: string | number | undefined;

  *add({ reasoning, text, calls }: ChatDelta): Generator<Json> {
    if (reasoning !== '') {
      yield* this.#enter('thinking', { type: 'thinking', thinking: '' });
      yield this.#delta({ type: 'thinking_delta', thinking: reasoning });
    }
    if (text !== '') {
      yield* this.#enter('text', { type: 'text', text: '' });
      yield this.#delta({ type: 'text_delta', text });
    }
    for (const { index, id, name, given } of calls) {
      yield* this.#enter(index, { type: 'tool_use', id, name, input: {} });
      if (given !== '') yield this.#delta({ type: 'input_json_delta', partial_json: given });
    }
  }

  *end(): Generator<Json> {
    if (this.#open === undefined) return;
    if (this.#open === 'thinking') yield this.#delta({ type: 'signature_delta', signature: '' });
    yield { type: 'content_block_stop', index: this.#count - 1 };
    this.#open = undefined;
  }

  *#enter(block: string | number, content_block: Json): Generator<Json> {
    if (this.#open === block) return;
    yield* this.end();
    this.#open = block;
    yield { type: 'content_block_start', index: this.#count++, content_block };
  }

  #delta(delta: Json): Json {
    return { type: 'content_block_delta', index: this.#count - 1, delta };
  }
}
