/**
 * Turns an engine's results into a Response, and keeps the connection alive meanwhile.
 *
 * The status is decided when the engine has accepted the request, or by its first result: an error before that is an
 * ordinary error answer, also where a stream was asked for. Not later, because a service worker learns of an abort only
 * by its response's body. And a browser gives up on a fetch without headers after five minutes, while a model may take
 * longer to come: so after an interval of silence, too, the answer is committed with 200, and a stream sends comments, a
 * JSON answer whitespace before its body. An error that comes later is told in the body.
 */
import type { Json } from '../engine/engine.ts';
import { isAbort, LlamatabError } from '../errors.ts';
import { EVENT_STREAM_HEADERS, type EventFormat, OPENAI_EVENTS, PING } from './sse.ts';

export const JSON_HEADERS = { 'Content-Type': 'application/json; charset=utf-8' } as const;

/** Whitespace before JSON is JSON. */
const JSON_PING = ' ';

/** Some of llama-server's own routes answer with an array. */
export type Result = Json | Json[];

export interface AnswerOptions {
  /** Server-sent events, or one JSON object: the first result. */
  stream: boolean;
  /** How events are written. Default: OpenAI's. */
  events?: EventFormat | undefined;
  /** Seconds of silence before a sign of life; 0 or less for never. */
  pingInterval: number;
  /** Aborts the work behind `results`; called when the reader of the body goes away. */
  abort: AbortController;
  /** Settles when nothing but the engine itself can fail any more. */
  accepted?: Promise<void>;
}

/**
 * @param results Results in the order of sending. Left with `return()` when the reader goes away.
 * @throws What `results` throws before its first result, within the first interval.
 */
export async function answer(results: AsyncGenerator<Result>, options: AnswerOptions): Promise<Response> {
  const { stream, pingInterval, abort, accepted = new Promise<void>(() => {}) } = options;
  const format = stream ? eventsIn(options.events ?? OPENAI_EVENTS) : DOCUMENT;
  const first = results.next();
  const outcome = await Promise.race([first, accepted, settlesWithin(first, pingInterval)]);
  // Neither a word that it may come nor silence, but the result itself.
  if (!stream && typeof outcome === 'object') {
    leave(results);
    return new Response(documentOf(outcome), { headers: format.headers });
  }
  const chunks = withPings(format.encode(first, results), pingInterval, format.ping);
  return new Response(bodyOf(chunks, abort), { headers: format.headers });
}

/** A body that ends its source when the reader goes away. */
export function bodyOf(
  chunks: AsyncGenerator<string>,
  abort: AbortController,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel() {
      abort.abort();
      leave(chunks);
    },
  });
}

/** Not awaited: it settles when what is under way has ended, and a failure concerns nobody any more. */
function leave(generator: AsyncGenerator<unknown>): void {
  generator.return(undefined).catch(() => {});
}

/** The chunks of `source`, and a `ping` after each interval without one. */
export async function* withPings(
  source: AsyncGenerator<string>,
  pingInterval: number,
  ping: string,
): AsyncGenerator<string> {
  try {
    for (;;) {
      const next = source.next();
      while (!(await settlesWithin(next, pingInterval))) yield ping;
      const { done, value } = await next;
      if (done) return;
      yield value;
    }
  } finally {
    await source.return(undefined);
  }
}

interface Format {
  headers: Record<string, string>;
  ping: string;
  /** The body's text, of the first result and the rest; an error is told in it. */
  encode(first: Promise<IteratorResult<Result>>, rest: AsyncGenerator<Result>): AsyncGenerator<string>;
}

function eventsIn({ result, error: failure, end }: EventFormat): Format {
  return {
    headers: EVENT_STREAM_HEADERS,
    ping: PING,
    async *encode(first, rest) {
      try {
        for (let next = await first; !next.done; next = await rest.next()) yield result(next.value as Json);
        if (end !== '') yield end;
      } catch (error) {
        yield failure(lateError(error));
      } finally {
        await rest.return(undefined);
      }
    },
  };
}

const DOCUMENT: Format = {
  headers: JSON_HEADERS,
  ping: JSON_PING,
  async *encode(first, rest) {
    try {
      yield documentOf(await first);
    } catch (error) {
      yield JSON.stringify(lateError(error));
    } finally {
      await rest.return(undefined);
    }
  },
};

function documentOf({ done, value }: IteratorResult<Result>): string {
  if (!done) return JSON.stringify(value);
  throw new LlamatabError('server_error', 'The engine ended without a result. Send the request again.');
}

/** The envelope of an error that comes after the status. An abort has no reader: it only ends the body. */
function lateError(error: unknown): Json {
  if (isAbort(error)) throw error;
  return { ...LlamatabError.from(error).toEnvelope() };
}

/** Whether `promise` settles, either way, before the interval is over. */
async function settlesWithin(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  if (seconds <= 0) return settled;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000, false);
  });
  try {
    return await Promise.race([settled, silence]);
  } finally {
    clearTimeout(timer);
  }
}
