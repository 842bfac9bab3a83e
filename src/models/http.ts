/** What the files of this folder need for fetching. */
import { LlamatabError } from '../errors.ts';

/** `fetch` as this room calls it; tests pass one that misbehaves. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

/** What the browser knows about the network without trying it. */
export interface Network {
  /** False only if there is certainly no network. */
  readonly online: boolean;
  /** Resolves when there is one again, or rejects with the signal's reason. */
  whenOnline(signal: AbortSignal): Promise<void>;
}

/**
 * Milliseconds after which the network is tried although the browser says that there is none: not every system reports its
 * return.
 */
const OFFLINE_PROBE = 30_000;

export const browserNetwork: Network = {
  get online() {
    return globalThis.navigator?.onLine !== false;
  },
  whenOnline(signal) {
    const online = new AbortController();
    const wake = () => online.abort();
    globalThis.addEventListener?.('online', wake);
    return pause(OFFLINE_PROBE, signal, online.signal).finally(() => globalThis.removeEventListener?.('online', wake));
  },
};

/**
 * Whether a web page came instead of a file. Sites with a fallback page (`index.html` for every path) and logins send one.
 *
 * @param start The body's beginning, where it is known: some servers send no content type for JSON, or the wrong one.
 */
export function looksLikeHtml(response: Response, start = ''): boolean {
  return /^text\/html\b/i.test(response.headers.get('content-type') ?? '') || /^\s*<(!doctype|html)/i.test(start);
}

/** What an error status means, and what to do about it. */
export function explainStatus(status: number, withToken: boolean): string {
  switch (status) {
    case 401:
    case 403:
      return `HTTP ${status}: the server does not give it to this browser. ${
        withToken
          ? 'Check that the token may read it, and that its licence was accepted with the same account.'
          : 'It may need a token, or an address that has expired: check the address, or add the model again.'
      }`;
    case 404:
    case 410:
      return `HTTP ${status}. Check that the file is deployed at this address and that the catalog's url is right.`;
    default:
      return `HTTP ${status}. Check the address.`;
  }
}

/**
 * Seconds that the server asks us to wait, by `Retry-After`, which is a number or a date.
 * @returns null if it does not say. Across origins the server has to expose the header.
 */
export function retryAfter(headers: Headers, now = Date.now()): number | null {
  const value = headers.get('retry-after');
  if (value === null) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}

/** Waits. @param wake Ends it early. @throws the reason of `signal` */
export function pause(milliseconds: number, signal: AbortSignal, wake?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      wake?.removeEventListener('abort', onWake);
      settle();
    };
    const onAbort = end(() => reject(signal.reason));
    const onWake = end(resolve);
    const timer = setTimeout(onWake, milliseconds);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
    if (wake?.aborted) onWake();
    else wake?.addEventListener('abort', onWake);
  });
}

/** Called before anything is fetched. @throws LlamatabError if the browser has no SubtleCrypto */
export function requireSha256(): void {
  if (globalThis.crypto?.subtle !== undefined) return;
  throw new LlamatabError(
    'unavailable_error',
    'Models are checked with SHA-256, which browsers offer only to pages from https:// or http://localhost: serve the page from one of them.',
  );
}

/** Hexadecimal, lower case. */
export async function sha256(bytes: Uint8Array<ArrayBuffer> | ArrayBuffer): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** `1.2 GB`, `64.0 MB`: powers of ten, as disks are sold. */
export function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For messages: the query of a private file's address may hold a key. */
export function withoutQuery(url: string): string {
  return url.replace(/\?.*$/s, '');
}
