/** Which URLs are the server's. */

/**
 * llama-server's own routes outside `/v1/`. By their exact paths: a site's files beside them (`/models/catalog.json`) stay its
 * own.
 */
export const NATIVE_PATHS: ReadonlySet<string> = new Set([
  '/apply-template',
  '/audio/transcriptions',
  '/chat/completions',
  '/chat/completions/input_tokens',
  '/completion',
  '/completions',
  '/cors-proxy',
  '/detokenize',
  '/embedding',
  '/embeddings',
  '/health',
  '/infill',
  '/lora-adapters',
  '/metrics',
  '/models',
  '/models/load',
  '/models/sse',
  '/models/unload',
  '/props',
  '/rerank',
  '/reranking',
  '/responses',
  '/responses/input_tokens',
  '/slots',
  '/tokenize',
  '/tools',
]);

/** `POST /slots/:id` */
const SLOT = /^\/slots\/\d+$/;

/** `DELETE /models/:id`; by other methods the path is a site's file. */
const MODEL = /^\/models\/./;

export interface AddressOptions {
  /** Whether llama-server's routes outside `/v1/` are ours. */
  nativeRoutes: boolean;
  /** Of the request. Default: GET. */
  method?: string;
}

/**
 * The URL as the server's routes know it, or null if it is not ours.
 *
 * Ours is what lies under `/v1/` at the root of the origin, where OpenAI's clients look, or under the base of the site
 * (`https://user.github.io/project/v1/…`), which is cut off; and llama-server's native routes in the same two places. Other
 * paths stay the site's own.
 * @param url absolute.
 * @param base absolute URL of the site's base, with a slash at its end.
 */
export function serverUrl(url: string, base: string, { nativeRoutes, method = 'GET' }: AddressOptions): string | null {
  const target = new URL(url);
  const site = new URL(base);
  if (target.origin !== site.origin) return null;
  const underBase = target.pathname.startsWith(site.pathname)
    ? `/${target.pathname.slice(site.pathname.length)}`
    : target.pathname;
  for (const path of [underBase, target.pathname]) {
    if (path.startsWith('/v1/') || (nativeRoutes && isNative(path, method)))
      return target.origin + path + target.search;
  }
  return null;
}

function isNative(path: string, method: string): boolean {
  return NATIVE_PATHS.has(path) || SLOT.test(path) || (method === 'DELETE' && MODEL.test(path));
}

/** Whether a program asks, not a person who opens a page, nor a page that shows an image: those may have the same paths. */
export function isFetch({ mode, destination }: Pick<Request, 'mode' | 'destination'>): boolean {
  return mode !== 'navigate' && destination === '';
}
