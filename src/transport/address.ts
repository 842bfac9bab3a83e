/** Which requests the server answers. All others are the site's. */

/**
 * llama-server's own routes outside `/v1/`, each with the methods that its clients use. Exact paths: a file beside them
 * (`/models/catalog.json`) is the site's.
 */
export const NATIVE_ROUTES: ReadonlyMap<string, readonly string[]> = new Map([
  ['/apply-template', ['POST']],
  ['/audio/transcriptions', ['POST']],
  ['/chat/completions', ['POST']],
  ['/chat/completions/input_tokens', ['POST']],
  ['/completion', ['POST']],
  ['/completions', ['POST']],
  ['/cors-proxy', ['GET', 'POST']],
  ['/detokenize', ['POST']],
  ['/embedding', ['POST']],
  ['/embeddings', ['POST']],
  ['/health', ['GET']],
  ['/infill', ['POST']],
  ['/lora-adapters', ['GET', 'POST']],
  ['/metrics', ['GET']],
  ['/models', ['GET', 'POST', 'DELETE']],
  ['/models/load', ['POST']],
  ['/models/sse', ['GET']],
  ['/models/unload', ['POST']],
  ['/props', ['GET', 'POST']],
  ['/rerank', ['POST']],
  ['/reranking', ['POST']],
  ['/responses', ['POST']],
  ['/responses/input_tokens', ['POST']],
  ['/slots', ['GET']],
  ['/tokenize', ['POST']],
  ['/tools', ['GET', 'POST']],
]);

/** `POST /slots/:id` */
const SLOT = /^\/slots\/\d+$/;

/** `DELETE /models/:id`. With any other method, the path is a file of the site. */
const MODEL = /^\/models\/./;

/** What llama-server's GET routes take. A router's own parameter (`/models?_rsc=1`) shows that the site is asked. */
const QUERY: ReadonlySet<string> = new Set(['autoload', 'fail_on_no_slot', 'model', 'reload']);

/** What a person may open as a page, or save by a link: it has no route but GET, and no page of a site is likely to be there. */
const OPENED: ReadonlySet<string> = new Set([
  '/v1/health',
  '/v1/metrics',
  '/v1/models',
  '/v1/models/export',
  '/v1/models/space',
  '/v1/props',
  '/v1/slots',
]);

export interface AddressOptions {
  /** Whether llama-server's routes outside `/v1/` are answered. */
  nativeRoutes: boolean;
  /** Absolute URLs without a slash at their end, each of which stands for the site's `/v1`. */
  intercept?: readonly string[];
}

type Asked = Pick<Request, 'url' | 'method' | 'mode' | 'destination' | 'headers'>;

/**
 * At the end of an address: the request is for the network, whoever else would answer it. The engine asks the site's upstream server
 * so, whose address may be one that is intercepted: it would ask itself. A service worker sees a URL's fragment, and no server does.
 */
const PAST_SERVICE_WORKER = '#llamatab-upstream';

/** @param url without a fragment. */
export function pastServiceWorker(url: string): string {
  return url + PAST_SERVICE_WORKER;
}

export function isPastServiceWorker({ url }: Pick<Request, 'url'>): boolean {
  return url.endsWith(PAST_SERVICE_WORKER);
}

/** At the end of an address: the service worker answers by itself, with who it is. A page learns so where its requests go. */
const PROBE = '#llamatab-probe';

/** Of that answer: the service worker's `SiteOptionsReply.instance`. */
export const INSTANCE_HEADER = 'X-Llamatab-Service-Worker';

/** @param url without a fragment. */
export function probe(url: string): string {
  return url + PROBE;
}

export function isProbe({ url }: Pick<Request, 'url'>): boolean {
  return url.endsWith(PROBE);
}

/**
 * The URL as the server's routes have it, or null if the server doesn't answer the request.
 *
 * It answers what a program asks for under `/v1/` below the site's base (`https://user.github.io/project/v1/…`), which is cut off,
 * and llama-server's native routes in the same place. A page that is opened, or that a client router fetches (`Accept: text/html`),
 * an image or a script are the site's, or another site's of the same origin. Of other origins it answers what `intercept` names.
 * @param base absolute URL of the site's base, with a slash at its end.
 */
export function serverUrl(
  request: Asked,
  base: string,
  { nativeRoutes, intercept = [] }: AddressOptions,
): string | null {
  const target = new URL(request.url);
  const site = new URL(base);
  const address = target.origin + target.pathname;
  const intercepted = intercept.find((url) => address.startsWith(`${url}/`));
  if (intercepted !== undefined) {
    return isOfProgram(request) ? `${site.origin}/v1${address.slice(intercepted.length)}${target.search}` : null;
  }
  if (target.origin !== site.origin || !target.pathname.startsWith(site.pathname)) return null;
  const path = `/${target.pathname.slice(site.pathname.length)}`;
  const isOurs = isOfProgram(request)
    ? path.startsWith('/v1/') || (nativeRoutes && isNative(path, request.method, target.searchParams))
    : request.mode === 'navigate' && OPENED.has(path);
  return isOurs ? target.origin + path + target.search : null;
}

function isNative(path: string, method: string, query: URLSearchParams): boolean {
  const methods = NATIVE_ROUTES.get(path);
  switch (method) {
    case 'GET':
    case 'HEAD':
      return methods?.includes('GET') === true && [...query.keys()].every((name) => QUERY.has(name));
    case 'POST':
      return methods?.includes('POST') === true || SLOT.test(path);
    case 'DELETE':
      return methods?.includes('DELETE') === true || MODEL.test(path);
    case 'OPTIONS':
      return methods !== undefined || SLOT.test(path);
    default:
      return false;
  }
}

/** Whether it may be one that `intercept` names: of another origin, by a program. */
export function mayBeIntercepted(request: Asked, base: string): boolean {
  return isOfProgram(request) && new URL(request.url).origin !== new URL(base).origin;
}

function isOfProgram({ mode, destination, headers }: Asked): boolean {
  return mode !== 'navigate' && destination === '' && !/\btext\/html\b/i.test(headers.get('Accept') ?? '');
}
