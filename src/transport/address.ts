/** Which URLs the server answers. */

/**
 * llama-server's own routes outside `/v1/`. These exact paths only: files of the site beside them (`/models/catalog.json`) stay
 * the site's.
 */
export const NATIVE_PATHS: ReadonlySet<string> = new Set([
  '/apply-template',
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

/** `DELETE /models/:id`. With any other method, the path is a file of the site. */
const MODEL = /^\/models\/./;

export interface AddressOptions {
  /** Whether llama-server's routes outside `/v1/` are answered. */
  nativeRoutes: boolean;
  /** The request's. Default: GET. */
  method?: string;
}

/**
 * The URL as the server's routes have it, or null if the server doesn't answer it.
 *
 * It answers what is under `/v1/` below the site's base (`https://user.github.io/project/v1/…`), which is cut off, and
 * llama-server's native routes in the same place. All other paths are the site's, or another site's of the same origin.
 * @param url absolute.
 * @param base absolute URL of the site's base, with a slash at its end.
 */
export function serverUrl(url: string, base: string, { nativeRoutes, method = 'GET' }: AddressOptions): string | null {
  const target = new URL(url);
  const site = new URL(base);
  if (target.origin !== site.origin || !target.pathname.startsWith(site.pathname)) return null;
  const path = `/${target.pathname.slice(site.pathname.length)}`;
  const isOurs = path.startsWith('/v1/') || (nativeRoutes && isNative(path, method));
  return isOurs ? target.origin + path + target.search : null;
}

function isNative(path: string, method: string): boolean {
  return NATIVE_PATHS.has(path) || SLOT.test(path) || (method === 'DELETE' && MODEL.test(path));
}

/** Whether a program sent the request: navigations, images and the like are left to the site, which may use the same paths. */
export function isFetch({ mode, destination }: Pick<Request, 'mode' | 'destination'>): boolean {
  return mode !== 'navigate' && destination === '';
}
