/** Cross-origin isolation, which SharedArrayBuffer and so threads need, for hosts that can't set headers. */
import type { IsolationPolicy } from '../protocol.ts';

/**
 * Document-Isolation-Policy, which Chromium has, leaves images, iframes and popups of other origins alone. A browser that knows it
 * would obey the others too, so it gets that one only. Not all that know the others know `credentialless`.
 */
const HEADERS: Record<IsolationPolicy, Record<string, string>> = {
  'document-isolation': { 'Document-Isolation-Policy': 'isolate-and-credentialless' },
  credentialless: {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'credentialless',
  },
  'require-corp': {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  },
  none: {},
};

export function isolated(response: Response, policy: IsolationPolicy): Response {
  // An opaque redirect or an error has no headers to change.
  if (response.type === 'opaqueredirect' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS[policy])) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/**
 * Whether the answer to a request needs the headers: a page, or a worker's script, without which Firefox and Safari do not load
 * the worker of an isolated page.
 */
export function needsIsolation({ mode, destination }: Pick<Request, 'mode' | 'destination'>): boolean {
  return mode === 'navigate' || destination === 'worker' || destination === 'sharedworker';
}
