/**
 * One streamed request to `/v1/chat/completions`, as any client would send it.
 *
 * Shapes: https://platform.openai.com/docs/api-reference/chat-streaming, with llama-server's `timings`.
 */
import { readEvents } from '../../event-stream.ts';

export type RequestMessage =
  | { role: 'system'; content: string }
  | { role: 'user'; content: string | ContentPart[] }
  | {
      role: 'assistant';
      content: string;
      tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[];
    }
  | { role: 'tool'; tool_call_id: string; content: string };

export type ContentPart = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } };

/** Any further parameter of the route's may be there. */
export interface CompletionRequest extends Record<string, unknown> {
  model: string;
  messages: RequestMessage[];
}

export type CompletionEvent =
  /** First, and only where this device did not answer: the host of the site's upstream server. */
  | { type: 'elsewhere'; host: string }
  /** The thoughts before the answer, from models that reason. */
  | { type: 'reasoning'; text: string }
  | { type: 'text'; text: string }
  /** More of the call with this index; its id and name come once. */
  | { type: 'call'; index: number; id: string; name: string; arguments: string }
  /** Why generation ended: `stop`, or `length` if a limit cut it off. */
  | { type: 'finish'; reason: string }
  /** Tokens of the whole answer, and its rate in tokens a second (0 for a single token). */
  | { type: 'usage'; promptTokens: number; tokens: number; rate: number };

/** An error in place of an answer: the server's, or one about an answer that isn't the server's. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

interface CallDelta {
  index?: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

interface Chunk {
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null; tool_calls?: CallDelta[] | null };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  timings?: { predicted_per_second?: number };
  error?: { type?: string; message?: string };
}

/**
 * The answer, piece by piece. Leaving the loop, or aborting, stops the generation.
 * @throws ApiError if the server answers with an error, before or within the stream, or the stream breaks off
 */
export async function* complete(
  fetch: typeof globalThis.fetch,
  baseURL: string,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<CompletionEvent, void> {
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  const streams = response.headers.get('Content-Type')?.startsWith('text/event-stream') ?? false;
  if (!response.ok || !streams || response.body === null) throw await errorOf(response);

  const by = response.headers.get('X-Llamatab-Answered-By');
  if (by !== null && by !== 'device') yield { type: 'elsewhere', host: new URL(by).host };
  for await (const data of readEvents(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk | null;
    if (chunk?.error) throw toApiError(chunk.error);
    const choice = chunk?.choices?.[0];
    if (choice?.delta?.reasoning_content) yield { type: 'reasoning', text: choice.delta.reasoning_content };
    if (choice?.delta?.content) yield { type: 'text', text: choice.delta.content };
    for (const { index = 0, id = '', function: called } of choice?.delta?.tool_calls ?? []) {
      yield { type: 'call', index, id, name: called?.name ?? '', arguments: called?.arguments ?? '' };
    }
    if (choice?.finish_reason) yield { type: 'finish', reason: choice.finish_reason };
    if (chunk?.usage) {
      yield {
        type: 'usage',
        promptTokens: chunk.usage.prompt_tokens ?? 0,
        tokens: chunk.usage.completion_tokens ?? 0,
        rate: chunk.timings?.predicted_per_second ?? 0,
      };
    }
  }
  throw new ApiError('incomplete', 'The answer broke off before it was complete.');
}

function toApiError({ type = 'server_error', message = 'The server gave no reason.' }: NonNullable<Chunk['error']>) {
  return new ApiError(type, message);
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as Chunk;
    if (error) return toApiError(error);
  } catch {
    // Not JSON, but a page of the static host's: the request did not reach the engine.
  }
  return new ApiError(
    'not_an_answer',
    `${response.url || 'The request'} was not answered by llamatab, but with HTTP ${response.status} by another server. Reload the page.`,
  );
}
