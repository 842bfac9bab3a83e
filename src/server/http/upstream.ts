/**
 * Another server with OpenAI's API, for what this device can't do. A request goes there when the device's answer is an error that another
 * machine need not have, or when too many wait already. What is sent is the body alone: no key, cookie or other header of the caller's.
 */
import type { MiddlewareHandler } from 'hono';
import { type ErrorType, isAbort, LlamatabError } from '../../errors.ts';
import type { Attachments, UpstreamOptions, UpstreamStatus } from '../../protocol.ts';
import { errorResponse } from './error-response.ts';

/** Says who answered, with every answer of a route that the upstream server has too: `device`, or its address. */
export const ANSWERED_BY = 'X-Llamatab-Answered-By';

/** What servers with OpenAI's API have. The rest (models, slots, tokens) is about this device. */
const ROUTES: ReadonlySet<string> = new Set([
  '/v1/audio/speech',
  '/v1/audio/transcriptions',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/messages',
  '/v1/rerank',
  '/v1/responses',
]);

/** Errors that are this device's: no such model here, no memory, a feature that is missing, a context that is too small. */
const ELSEWHERE: ReadonlySet<ErrorType> = new Set([
  'exceed_context_size_error',
  'model_not_found',
  'not_supported_error',
  'server_error',
  'unavailable_error',
]);

/** Requests that wait before further ones go upstream: as many as are usually computed at once. */
const WAITING = 4;

export type AskUpstream = (url: string, init: RequestInit) => Promise<Response>;

export interface Upstream {
  /** Null where the site has none. */
  readonly status: UpstreamStatus | null;
  /** From the next request on. */
  configure(options: UpstreamOptions | null): void;
  /** Calls `listener` when the status has changed. Returns a function that ends this. */
  subscribe(listener: () => void): () => void;
  readonly middleware: MiddlewareHandler<{ Bindings: Attachments }>;
}

/** @param waiting How many requests wait for the device just now. */
export function createUpstream(
  initial: UpstreamOptions | null,
  waiting: () => number,
  askUpstream: AskUpstream = (url, init) => fetch(url, init),
): Upstream {
  const listeners = new Set<() => void>();
  let options = initial;
  let status = atFirst(initial);

  function update(now: UpstreamStatus | null): void {
    status = now;
    for (const listener of listeners) listener();
  }

  function ask(upstream: UpstreamOptions, request: Request, body: ArrayBuffer, reason: string): Promise<Response> {
    const { baseURL, apiKey, model } = upstream;
    const headers = new Headers();
    const type = request.headers.get('Content-Type');
    if (type !== null) headers.set('Content-Type', type);
    if (apiKey !== undefined) headers.set('Authorization', `Bearer ${apiKey}`);
    const { pathname, search } = new URL(request.url);
    return askUpstream(`${baseURL}${pathname.slice('/v1'.length)}${search}`, {
      method: 'POST',
      headers,
      // A name that this device does not know is the other server's own.
      body: model === undefined || reason === 'model_not_found' ? body : withModel(body, model),
      signal: request.signal,
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
    });
  }

  function passOn({ body, status: code, headers }: Response, { baseURL }: UpstreamOptions, reason: string): Response {
    if (status?.baseURL === baseURL) update({ baseURL, answered: status.answered + 1, lastReason: reason });
    return new Response(body, { status: code, headers: passedOn(headers, baseURL) });
  }

  return {
    get status() {
      return status;
    },
    configure(now) {
      const isOther = now?.baseURL !== options?.baseURL;
      options = now;
      if (isOther) update(atFirst(now));
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async middleware(c, next) {
      const upstream = options;
      const request = c.req.raw;
      if (upstream === null || request.method !== 'POST' || !ROUTES.has(c.req.path)) return next();
      // An answer that was begun on another host: the rest of it is to be had from the same model only.
      if (c.env?.delivered !== undefined) return next();
      // Read only if need be: most requests are answered here.
      const spare = request.clone();
      let body: ArrayBuffer | undefined;
      const askElsewhere = async (reason: string) => {
        body ??= await spare.arrayBuffer();
        return ask(upstream, request, body, reason);
      };
      if (waiting() >= (upstream.waiting ?? WAITING)) {
        // Waiting is better than no answer, or an error.
        const answer = await askElsewhere('queue_full').catch((error) => {
          if (isAbort(error)) throw error;
          return null;
        });
        if (answer?.ok) return passOn(answer, upstream, 'queue_full');
        await answer?.body?.cancel();
      }
      await next();
      c.res.headers.set(ANSWERED_BY, 'device');
      const { error } = c;
      if (!(error instanceof LlamatabError) || !ELSEWHERE.has(error.type) || request.signal.aborted) return;
      const answer = await askElsewhere(error.type).then(
        (answer) => passOn(answer, upstream, error.type),
        (cause) => {
          if (isAbort(cause)) throw cause;
          return errorResponse(withUpstream(error, cause, upstream.baseURL));
        },
      );
      // Not merged with the headers of the error.
      c.res = undefined;
      c.res = answer;
    },
  };
}

function atFirst(options: UpstreamOptions | null): UpstreamStatus | null {
  return options && { baseURL: options.baseURL, answered: 0, lastReason: null };
}

function withModel(body: ArrayBuffer, model: string): BodyInit {
  try {
    return JSON.stringify({ ...JSON.parse(new TextDecoder().decode(body)), model });
  } catch {
    // A form: its model's name is left as it is.
    return body;
  }
}

function passedOn(headers: Headers, baseURL: string): Headers {
  const passed = new Headers({ [ANSWERED_BY]: baseURL });
  for (const name of ['Content-Type', 'Retry-After']) {
    const value = headers.get(name);
    if (value !== null) passed.set(name, value);
  }
  return passed;
}

function withUpstream(error: LlamatabError, cause: unknown, baseURL: string): LlamatabError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LlamatabError(
    error.type,
    `${error.message} The site's upstream server, ${baseURL}, could not be asked either (${why}): it has to be there, and to ` +
      "allow this site's origin (Access-Control-Allow-Origin).",
    { ...error.details, cause },
  );
}
