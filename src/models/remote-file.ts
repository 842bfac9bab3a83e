/** Reads a file on a server by ranges, to find out what it is before gigabytes of it are downloaded. */
import { anySignal } from '../abortable.ts';
import { LlamatabError } from '../errors.ts';
import type { ByteSource } from '../gguf/reader.ts';
import { explainStatus, type FetchLike, looksLikeHtml, messageOf, withoutQuery } from './http.ts';

/** Bytes fetched at once: most headers, with their vocabularies, take two or three of these. */
const WINDOW = 4 * 1024 * 1024;

/** Milliseconds. */
const TIMEOUT = 60_000;

export interface RemoteFileOptions {
  fetch: FetchLike;
  headers: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Bytes, where it is known already. */
  size?: number | undefined;
}

/**
 * @throws LlamatabError `unavailable_error` if it can't be reached or read, `invalid_request_error` if its server does not tell
 *   its size.
 */
export async function openRemoteFile(url: string, options: RemoteFileOptions): Promise<ByteSource> {
  const beginning = options.size === undefined ? await readBeginning(url, options) : undefined;
  const size = options.size ?? beginning?.size ?? 0;
  let window: Uint8Array<ArrayBuffer> = beginning?.bytes ?? new Uint8Array();
  let windowStart = 0;
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    if (start < windowStart || end > windowStart + window.length) {
      windowStart = start;
      window = await fetchRange(url, start, Math.min(size, Math.max(end, start + WINDOW)), options);
    }
    return window.slice(start - windowStart, end - windowStart).buffer;
  };
  return {
    size,
    slice: (start, end) => ({ arrayBuffer: () => read(Math.min(start, size), Math.min(end, size)) }),
  };
}

/**
 * The file's first bytes, and its size. Not by `HEAD`: servers refuse it, answer it slowly, or tell the length of compressed bytes,
 * which across origins can't be told from the file's own. A request with a range is answered uncompressed, because browsers ask
 * for that (Fetch, "Accept-Encoding: identity"), and one to the end of the file has the file's size as its length, which is
 * visible to other origins where `Content-Range` is not.
 */
async function readBeginning(
  url: string,
  options: RemoteFileOptions,
): Promise<{ size: number; bytes: Uint8Array<ArrayBuffer> }> {
  const response = await request(url, { headers: { Range: 'bytes=0-' } }, options);
  check(url, response, options);
  const reader = response.body?.getReader();
  try {
    const bytes = new Uint8Array(WINDOW);
    let length = 0;
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      const taken = next.value.subarray(0, WINDOW - length);
      bytes.set(taken, length);
      length += taken.length;
      if (length === WINDOW) return { size: declaredSize(url, response), bytes };
    }
    // A file that ended within the window is as long as it was, whatever its server says.
    return { size: length, bytes: bytes.slice(0, length) };
  } catch (error) {
    options.signal?.throwIfAborted();
    throw unreachable(url, error);
  } finally {
    await reader?.cancel().catch(() => {});
  }
}

function declaredSize(url: string, { headers }: Response): number {
  const total = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1];
  const size = Number(total ?? (headers.has('content-encoding') ? 0 : headers.get('content-length')));
  if (size > 0) return size;
  throw new LlamatabError(
    'invalid_request_error',
    `${withoutQuery(url)}: its server does not say how long the file is (no Content-Length), so it could not be known when it is complete. Download the file yourself and add it from disk.`,
    { param: 'url' },
  );
}

async function fetchRange(
  url: string,
  start: number,
  end: number,
  options: RemoteFileOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(url, { headers: { Range: `bytes=${start}-${end - 1}` } }, options);
  check(url, response, options);
  const bytes = new Uint8Array(end - start);
  // A server without `Range` sends the file from its beginning: what comes before `start` is skipped.
  let at = response.status === 206 ? start : 0;
  const reader = response.body?.getReader();
  try {
    while (at < end) {
      const next = await reader?.read();
      if (next === undefined || next.done) {
        throw new LlamatabError(
          'unavailable_error',
          `${withoutQuery(url)} ends at byte ${at} of ${options.size ?? end}.`,
        );
      }
      const skip = Math.max(0, start - at);
      if (skip < next.value.length)
        bytes.set(next.value.subarray(skip, skip + end - Math.max(at, start)), Math.max(at, start) - start);
      at += next.value.length;
    }
    return bytes;
  } catch (error) {
    options.signal?.throwIfAborted();
    throw unreachable(url, error);
  } finally {
    await reader?.cancel().catch(() => {});
  }
}

async function request(
  url: string,
  init: RequestInit,
  { fetch, headers, signal }: RemoteFileOptions,
): Promise<Response> {
  const timeout = AbortSignal.timeout(TIMEOUT);
  try {
    return await fetch(url, {
      ...init,
      cache: 'no-store',
      headers: { ...headers, ...init.headers },
      signal: signal ? anySignal(signal, timeout) : timeout,
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw unreachable(url, error);
  }
}

/** @throws LlamatabError if the answer is not a file */
function check(url: string, response: Response, { headers }: RemoteFileOptions): void {
  const fail = (what: string) => new LlamatabError('unavailable_error', `${withoutQuery(url)}: ${what}`);
  if (!response.ok) throw fail(explainStatus(response.status, 'Authorization' in headers));
  if (looksLikeHtml(response)) {
    throw fail('the server answered with a web page instead of a file. Take the address that downloads it.');
  }
}

export function unreachable(url: string, error: unknown): LlamatabError {
  if (error instanceof LlamatabError) return error;
  return new LlamatabError(
    'unavailable_error',
    `${withoutQuery(url)} can't be read (${messageOf(error)}). Is the network there, does the server allow other origins (CORS), and does ` +
      "the site's Content-Security-Policy, if it has one, name that server in connect-src?",
    { cause: error },
  );
}
