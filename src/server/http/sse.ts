/** Server-sent events, as llama-server writes them. */
import type { Json } from '../../engine/engine.ts';

/** One event. JSON text has no line breaks, so one `data:` line holds it. */
export function encodeEvent(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** One named event, as OpenAI's Responses and Anthropic's Messages use them. */
export function encodeNamedEvent(name: string, data: unknown): string {
  return `event: ${name}\n${encodeEvent(data)}`;
}

/** Ends a stream that did not fail. */
const DONE_EVENT = 'data: [DONE]\n\n';

/** A comment: clients ignore it, but browsers and proxies see that the connection is alive. */
export const PING = ':\n\n';

export const EVENT_STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  // Asks proxies (nginx) to pass events on as they come.
  'X-Accel-Buffering': 'no',
} as const;

/** How an API writes the results of a stream, its failure and its regular end. */
export interface EventFormat {
  result(result: Json): string;
  error(envelope: Json): string;
  end: string;
}

export const OPENAI_EVENTS: EventFormat = { result: encodeEvent, error: encodeEvent, end: DONE_EVENT };
