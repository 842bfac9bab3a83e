/**
 * One streamed request to `/v1/chat/completions`, as any client would send it.
 *
 * Shapes: https://platform.openai.com/docs/api-reference/chat-streaming, with llama-server's `timings`.
 */
import { readEvents } from '../event-stream.ts';

export interface RequestMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface CompletionRequest {
  model: string;
  messages: RequestMessage[];
  temperature?: number;
  max_tokens?: number;
}

export type CompletionEvent =
  /** What the model thinks before it answers, from models that do. */
  | { type: 'reasoning'; text: string }
  | { type: 'text'; text: string }
  /** Why generation ended: `stop`, or `length` where a limit cut it. */
  | { type: 'finish'; reason: string }
  /** Tokens of the whole answer, and its rate in tokens a second (0 for a single token). */
  | { type: 'usage'; promptTokens: number; tokens: number; rate: number };

/** An answer that is an error: llama-server's envelope, or what came instead of one. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

interface Chunk {
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  timings?: { predicted_per_second?: number };
  error?: { type?: string; message?: string };
}

/**
 * The answer, piece by piece. Ending the loop early, or aborting, stops the generation.
 * @throws ApiError where the server answers with an error, before or within the stream, or breaks off
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

  for await (const data of readEvents(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk | null;
    if (chunk?.error) throw toApiError(chunk.error);
    const choice = chunk?.choices?.[0];
    if (choice?.delta?.reasoning_content) yield { type: 'reasoning', text: choice.delta.reasoning_content };
    if (choice?.delta?.content) yield { type: 'text', text: choice.delta.content };
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
  throw new ApiError('incomplete', 'The answer broke off before its end.');
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
    // Not JSON: a static host's own page, where the request did not reach the engine.
  }
  return new ApiError(
    'not_an_answer',
    `Something else than llamatab answered ${response.url || 'the request'}, with HTTP ${response.status}. Reload the page.`,
  );
}
