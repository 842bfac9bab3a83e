/**
 * Turns an engine's results into a Response, and keeps the connection alive meanwhile.
 *
 * The status is decided when the engine accepts the request, or by its first result. An error before that is an
 * ordinary error answer, even if a stream was asked for. It can't wait longer: a service worker learns of an abort only
 * through the body of its response. And browsers give up on a fetch that has no headers after five minutes, while a
 * model may take longer to load. So an interval of silence commits the answer to 200, too; from then on a stream sends
 * comments, and JSON is preceded by whitespace. An error after that is reported in the body: a stream's clients look for it
 * there. Those of a document don't, and would take an envelope for an answer; so its body breaks off after it, and reading it
 * fails.
 */
import type { Json } from '../../engine/engine.ts';
import { isAbort, LlamatabError } from '../../errors.ts';
import type { Delivered } from '../../protocol.ts';
import { eventsIn, isOver, notDelivered } from './continuation.ts';
import { errorEnvelope } from './error-response.ts';
import { JSON_HEADERS, json } from './json.ts';
import { EVENT_STREAM_HEADERS, type EventFormat, OPENAI_EVENTS, PING } from './sse.ts';

/** Whitespace before JSON is JSON. */
const JSON_PING = ' ';

/** Some of llama-server's own routes answer with an array. */
export type Result = Json | Json[];

/** Seconds of silence after which llama-server sends an SSE comment. */
export const DEFAULT_PING_INTERVAL = 30;

export interface AnswerOptions {
  /** Aborts the work behind `results` when the reader of the body goes away. */
  abort: AbortController;
  /** Server-sent events; else one JSON document, the first result. Default: false. */
  stream?: boolean;
  /** How events are written. Default: OpenAI's. */
  events?: EventFormat;
  /** Seconds of silence before a sign of life; 0 or less for never. Default: `DEFAULT_PING_INTERVAL`. */
  pingInterval?: number;
  /** Settles once only a failure of the engine itself can make the request fail. Default: never. */
  accepted?: Promise<void>;
  /** What a host that is gone has sent of the answer: its status, at least. */
  delivered?: Delivered | undefined;
  /**
   * Makes the results that can follow those delivered where `results` turn out to be others.
   * @param given The data of the events that were delivered. @returns null, the default, where none can
   */
  otherwise?: (given: Json[]) => AsyncGenerator<Result> | null;
}

/**
 * @param results Results in the order of sending. Left with `return()` when the reader goes away.
 * @throws What `results` throws before its first result, within the first interval.
 */
export async function answer(results: AsyncGenerator<Result>, options: AnswerOptions): Promise<Response> {
  const { abort, stream = false, events = OPENAI_EVENTS, pingInterval = DEFAULT_PING_INTERVAL } = options;
  const { accepted = new Promise<void>(() => {}), delivered } = options;
  if (delivered !== undefined) return goOn(results, { ...options, delivered });
  const first = results.next();
  const outcome = await settledOrSilent([first, accepted.then(() => undefined)], pingInterval);
  if (stream) {
    const format: BodyFormat<Result> = { ...events, result: (value) => events.result(value as Json), ping: PING };
    const body = bodyOf(continued(first, results), format, pingInterval, abort);
    return new Response(body, { headers: EVENT_STREAM_HEADERS });
  }
  // The first result came before both its acceptance and the end of the interval.
  if (typeof outcome === 'object') {
    leave(results);
    return json(onlyResult(outcome));
  }
  return new Response(bodyOf(onlyOne(first, results), DOCUMENT, pingInterval, abort), { headers: JSON_HEADERS });
}

/** The whole answer, of which the beginning is what was delivered. Its status is sent, so that it fails in its body. */
function goOn(results: AsyncGenerator<Result>, options: AnswerOptions & { delivered: Delivered }): Response {
  const { abort, stream = false, events = OPENAI_EVENTS, pingInterval = DEFAULT_PING_INTERVAL } = options;
  const { delivered, otherwise = () => null } = options;
  if (!stream) {
    const body = bodyOf(onlyOne(results.next(), results), DOCUMENT, pingInterval, abort);
    return new Response(body, { headers: JSON_HEADERS });
  }
  const text = new TextDecoder().decode(delivered.bytes);
  if (isOver(text, events.end)) {
    leave(results);
    return new Response(delivered.bytes, { headers: EVENT_STREAM_HEADERS });
  }
  const given = eventsIn(text);
  const write = (value: Result) => events.result(value as Json);
  const rest = notDelivered(results, given, write, () => otherwise(given));
  const body = bodyOf(rest, { ...events, result: write, ping: PING }, pingInterval, abort, delivered.bytes);
  return new Response(body, { headers: EVENT_STREAM_HEADERS });
}

/** How a body is written. */
export interface BodyFormat<T> {
  result(result: T): string;
  /** An error that comes after the status. */
  error(envelope: Json): string;
  /** After the last result. */
  end: string;
  /** Sent in silence, as a sign of life. */
  ping: string;
  /** Whether the body breaks off after an error, so that nobody can take it for the answer. Default: false, it ends. */
  breaks?: boolean;
}

const DOCUMENT: BodyFormat<Result> = {
  result: JSON.stringify,
  error: JSON.stringify,
  end: '',
  ping: JSON_PING,
  breaks: true,
};

/**
 * A body that ends its source when its reader cancels it. A single timer watches it: tokens come by the hundreds a
 * second, silence is rare.
 * @param pingInterval Seconds of silence before each ping; 0 or less for none.
 * @param beginning Bytes before the first result.
 */
export function bodyOf<T>(
  source: AsyncIterator<T>,
  format: BodyFormat<T>,
  pingInterval: number,
  abort: AbortController,
  beginning?: Uint8Array<ArrayBuffer>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const interval = pingInterval * 1000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastSent = performance.now();
  let ended = false;
  let broken: LlamatabError | undefined;

  type Controller = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const send = (controller: Controller, text: string) => {
    lastSent = performance.now();
    if (text !== '') controller.enqueue(encoder.encode(text));
  };
  const watch = (controller: Controller, delay: number) => {
    timer = setTimeout(() => {
      const silence = performance.now() - lastSent;
      // Timers may fire a fraction of a millisecond early.
      if (silence < interval - 1) return watch(controller, interval - silence);
      // Don't ping under backpressure.
      if ((controller.desiredSize ?? 0) > 0) send(controller, format.ping);
      else lastSent = performance.now();
      watch(controller, interval);
    }, delay);
  };
  const end = () => {
    ended = true;
    clearTimeout(timer);
  };

  return new ReadableStream({
    start(controller) {
      if (beginning && beginning.byteLength > 0) controller.enqueue(beginning);
      if (interval > 0) watch(controller, interval);
    },
    async pull(controller) {
      // Not at once: an error would take what is still to be read with it.
      if (broken !== undefined) return controller.error(broken);
      try {
        const { done, value } = await source.next();
        if (ended) return;
        send(controller, done ? format.end : format.result(value));
        if (!done) return;
      } catch (error) {
        if (ended) return;
        end();
        // After an abort nothing reads the body: just end it. IndexedDB has `AbortError`s of its own.
        if (abort.signal.aborted && isAbort(error)) return controller.error(error);
        send(controller, format.error({ ...errorEnvelope(error) }));
        if (format.breaks) broken = LlamatabError.from(error);
        else controller.close();
        return;
      }
      end();
      controller.close();
    },
    cancel() {
      end();
      abort.abort();
      leave(source);
    },
  });
}

/** Not awaited: it settles only when the work under way has ended, and its failure no longer matters. */
function leave(source: AsyncIterator<unknown>): void {
  source.return?.(undefined).catch(() => {});
}

/** `rest`, of which `first` was already requested. */
function continued<T>(first: Promise<IteratorResult<T>>, rest: AsyncGenerator<T>): AsyncIterator<T> {
  let pending: typeof first | undefined = first;
  return {
    next() {
      const next = pending ?? rest.next();
      pending = undefined;
      return next;
    },
    return: () => rest.return(undefined),
  };
}

async function* onlyOne<T>(first: Promise<IteratorResult<T>>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield onlyResult(await first);
  } finally {
    await rest.return(undefined);
  }
}

function onlyResult<T>({ done, value }: IteratorResult<T>): T {
  if (!done) return value;
  throw new LlamatabError('server_error', 'The engine ended without a result. Send the request again.');
}

/** The first to settle; undefined after `seconds` of silence, unless that is 0 or less. */
async function settledOrSilent<T>(promises: Promise<T>[], seconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<undefined>((resolve) => {
    if (seconds > 0) timer = setTimeout(resolve, seconds * 1000, undefined);
  });
  try {
    return await Promise.race([...promises, silence]);
  } finally {
    clearTimeout(timer);
  }
}
