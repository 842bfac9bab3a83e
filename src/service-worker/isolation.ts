/**
 * Cross-origin isolation for hosts that can't set headers (SharedArrayBuffer, and so threads, need it).
 *
 * Chromium has Document-Isolation-Policy, which leaves images, iframes and popups of other origins alone; elsewhere it is
 * COOP and COEP. Browsers ignore what they do not know, but Chromium would heed all three: so one or the other.
 */
export function isolated(response: Response, userAgent: string): Response {
  // An opaque redirect or an error has no headers to change.
  if (response.type === 'opaqueredirect' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  if (/Chrom(e|ium)\//.test(userAgent)) {
    headers.set('Document-Isolation-Policy', 'isolate-and-credentialless');
  } else {
    headers.set('Cross-Origin-Opener-Policy', 'same-origin');
    // Safari knows no `credentialless`.
    headers.set('Cross-Origin-Embedder-Policy', /Firefox\//.test(userAgent) ? 'credentialless' : 'require-corp');
  }
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
