/**
 * Cross-origin isolation, which SharedArrayBuffer and so threads need, for hosts that can't set headers.
 *
 * Chromium has Document-Isolation-Policy, which leaves images, iframes and popups of other origins alone; other browsers need
 * COOP and COEP. A browser ignores headers that it doesn't know, but Chromium would obey all three, so it gets only its own. Not
 * every Chromium knows it (Android's before 146, WebViews): what came of it decides, and the page then asks for the other two.
 * @param embedderPolicy whether it has asked.
 */
export function isolated(response: Response, userAgent: string, embedderPolicy = false): Response {
  // An opaque redirect or an error has no headers to change.
  if (response.type === 'opaqueredirect' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  if (/Chrom(e|ium)\//.test(userAgent) && !embedderPolicy) {
    headers.set('Document-Isolation-Policy', 'isolate-and-credentialless');
  } else {
    headers.set('Cross-Origin-Opener-Policy', 'same-origin');
    // Safari doesn't know `credentialless`.
    headers.set(
      'Cross-Origin-Embedder-Policy',
      /(Firefox|Chrome|Chromium)\//.test(userAgent) ? 'credentialless' : 'require-corp',
    );
  }
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
