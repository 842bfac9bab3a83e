/** What `catalog.ts` and `download.ts` share about fetching. */

/** `fetch` as this room calls it; tests pass one that misbehaves. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Whether a page came instead of a file: what sites with a fallback page (`index.html` for every path) and logins send.
 *
 * @param start The body's beginning, where it is known: some servers send no content type for JSON, or the wrong one.
 */
export function looksLikeHtml(response: Response, start = ''): boolean {
  return /^text\/html\b/i.test(response.headers.get('content-type') ?? '') || /^\s*<(!doctype|html)/i.test(start);
}
