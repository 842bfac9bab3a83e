/** One piece from the network: fetched, counted, and handed on only if its SHA-256 is the catalog's. */
import { LlamatabError } from '../errors.ts';
import { type FetchLike, looksLikeHtml } from './http.ts';
import type { CatalogPiece } from './models.ts';

/**
 * Milliseconds to wait before each further attempt after a lost connection or a server in trouble. Two: a tunnel or a
 * restarting server is over in seconds, and what lasts longer the person in front of the screen should hear of.
 */
const RETRY_DELAYS: readonly number[] = [500, 3000];

/** Milliseconds without a byte after which a connection counts as lost: browsers themselves wait for minutes. */
const STALL_TIMEOUT = 30_000;

const OUT_OF_STEP = 'The file and the catalog are not of the same version, or the file is damaged: deploy both again.';

export interface PieceDownload {
  piece: CatalogPiece;
  /** Absolute. */
  url: string;
  /** For messages: which piece of which file. */
  label: string;
  fetch: FetchLike;
  signal: AbortSignal;
  /** Bytes received in this attempt; starts again at 0 with a further one. */
  onBytes: (received: number) => void;
  retryDelays?: readonly number[] | undefined;
  stallTimeout?: number | undefined;
}

/** Whether another attempt can help. */
type Again = 'never' | 'later' | 'past-cache';
type Attempt = { blob: Blob } | { failure: LlamatabError; again: Again };
type Fail = (again: Again, what: string, cause?: unknown) => Attempt;

/**
 * Downloads and verifies a piece. Lost connections and 5xx are tried again `retryDelays.length` times; wrong bytes once,
 * past the HTTP cache, which may hold an older version of the file or a damaged one.
 *
 * @throws LlamatabError `unavailable_error` naming the piece, what was wrong with it and what to do; the signal's reason when aborted.
 */
export async function downloadPiece(download: PieceDownload): Promise<Blob> {
  const { signal, retryDelays = RETRY_DELAYS } = download;
  if (globalThis.crypto?.subtle === undefined) {
    throw new LlamatabError(
      'unavailable_error',
      'Models are checked with SHA-256, which browsers offer only to pages from https:// or http://localhost: serve the page from one of them.',
    );
  }
  let cache: RequestCache = 'default';
  let retries = 0;
  for (;;) {
    const attempt = await attemptDownload(download, cache);
    signal.throwIfAborted();
    if ('blob' in attempt) return attempt.blob;
    download.onBytes(0);
    const delay = retryDelays[retries];
    if (attempt.again === 'past-cache' && cache === 'default') {
      cache = 'reload';
    } else if (attempt.again === 'later' && delay !== undefined) {
      retries++;
      await pause(delay, signal);
    } else {
      throw attempt.failure;
    }
  }
}

async function attemptDownload(download: PieceDownload, cache: RequestCache): Promise<Attempt> {
  const { piece, url, label, fetch, signal, stallTimeout = STALL_TIMEOUT } = download;
  const fail: Fail = (again, what, cause) => ({
    failure: new LlamatabError('unavailable_error', `${label} (${url}): ${what}`, { cause }),
    again,
  });

  // By hand and not by AbortSignal.any(), which Safari has since 17.4 only.
  const attempt = new AbortController();
  const abort = () => attempt.abort(signal.reason);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  const stall = () => attempt.abort(new Error(`nothing came for ${stallTimeout / 1000} s`));
  let stallTimer = setTimeout(stall, stallTimeout);

  let received = 0;
  const onBytes = (total: number) => {
    received = total;
    clearTimeout(stallTimer);
    stallTimer = setTimeout(stall, stallTimeout);
    download.onBytes(total);
  };
  try {
    const response = await fetch(url, { cache, signal: attempt.signal });
    return judgeHead(response, piece, fail) ?? (await readBody(response, piece, onBytes, fail));
  } catch (error) {
    // fetch and its body reject with a TypeError that says little ("Failed to fetch"); a stall is told by its reason.
    const reason = attempt.signal.aborted ? attempt.signal.reason : error;
    const message = reason instanceof Error ? reason.message : String(reason);
    return fail(
      'later',
      `the connection was lost at byte ${received} of ${piece.size} (${message}). ` +
        'What is complete stays stored: try again when the network is back.',
      error,
    );
  } finally {
    clearTimeout(stallTimer);
    signal.removeEventListener('abort', abort);
    // Ends the transfer of an answer that was refused.
    attempt.abort();
  }
}

/** What the status and the headers give away before a byte of the body is read; undefined if nothing is wrong. */
function judgeHead(response: Response, piece: CatalogPiece, fail: Fail): Attempt | undefined {
  const { status, headers } = response;
  if (!response.ok) {
    if (status >= 500 || status === 429 || status === 408) return fail('later', `HTTP ${status}. Try again later.`);
    return fail(
      'never',
      `HTTP ${status}. Check that the file is deployed at this address and that the catalog's url is right.`,
    );
  }
  if (looksLikeHtml(response)) {
    return fail(
      'never',
      'the server answered with a web page instead of bytes. Sites with a fallback page or a login do that: ' +
        "check that the file is deployed at this address and that the catalog's url is right.",
    );
  }
  // With a content encoding the length is that of the compressed bytes.
  const length = headers.get('content-length');
  if (length !== null && !headers.has('content-encoding') && Number(length) !== piece.size) {
    return fail('past-cache', `the file has ${length} bytes, the catalog says ${piece.size}. ${OUT_OF_STEP}`);
  }
  return undefined;
}

/**
 * Reads the body into one buffer of the piece's size. `response.blob()` would take less memory (22 MB against 580 for 500 MB,
 * measured in Chromium), but tells no progress, and SubtleCrypto hashes nothing but a buffer as a whole; with pieces of
 * 24 to 64 MiB the buffer is small, and it is garbage as soon as the Blob is stored.
 */
async function readBody(
  response: Response,
  piece: CatalogPiece,
  onBytes: (received: number) => void,
  fail: Fail,
): Promise<Attempt> {
  const bytes = new Uint8Array(piece.size);
  let received = 0;
  const reader = response.body?.getReader();
  for (let next = await reader?.read(); next !== undefined && !next.done; next = await reader?.read()) {
    if (received + next.value.length > piece.size) {
      return fail('past-cache', `the file goes on after the ${piece.size} bytes that the catalog says. ${OUT_OF_STEP}`);
    }
    bytes.set(next.value, received);
    received += next.value.length;
    onBytes(received);
  }
  if (received < piece.size) {
    return fail('past-cache', `the file ends after ${received} of ${piece.size} bytes. ${OUT_OF_STEP}`);
  }
  const actual = hex(await crypto.subtle.digest('SHA-256', bytes));
  if (actual !== piece.sha256) {
    return fail('past-cache', `its SHA-256 is ${actual}, the catalog says ${piece.sha256}. ${OUT_OF_STEP}`);
  }
  return { blob: new Blob([bytes]) };
}

function hex(buffer: ArrayBuffer): string {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', abort, { once: true });
  });
}
