/**
 * The site's own files (pages, scripts, styles, wasm), kept for visits without a network. They come from the network while there
 * is one, so that an old version is never shown, and from the cache when the network fails. Model files are not among them: those
 * are in IndexedDB.
 */

const CACHE = 'llamatab/files';
/** The list of the site's files, which the Vite plugin writes. Without one, the files that pages ask for are kept. */
const FILE_LIST = 'llamatab/files.json';

/** Whether a request is for a file that should be kept. */
export function isFile(request: Request, origin: string): boolean {
  return (
    request.method === 'GET' &&
    new URL(request.url).origin === origin &&
    // A part of a file, for a media element or a model's download.
    !request.headers.has('Range') &&
    // Chromium's developer tools send these, and fetch() rejects them.
    !(request.cache === 'only-if-cached' && request.mode !== 'same-origin') &&
    isKept(request.destination, new URL(request.url).pathname)
  );
}

const NEEDED: readonly RequestDestination[] = [
  'document',
  'iframe',
  'script',
  'style',
  'worker',
  'sharedworker',
  'font',
  'manifest',
  'image',
];

/** Whether it is a kind of file that a page needs to start. A plain fetch has no destination: there the name decides. */
function isKept(destination: RequestDestination, pathname: string): boolean {
  if (NEEDED.includes(destination)) return true;
  return destination === '' && /\.(wasm|js|mjs|css|html)$|\/catalog\.json$/.test(pathname);
}

/** The file from the network, a copy of which is kept in the background; without a network, that copy. */
export async function fetchFile({ request, waitUntil }: Pick<FetchEvent, 'request' | 'waitUntil'>): Promise<Response> {
  try {
    const response = await fetch(request);
    // Not awaited, or the page would wait until the whole file is on disk.
    if (response.ok && response.type === 'basic') waitUntil(keep(request, response.clone()));
    return response;
  } catch (error) {
    const cache = await caches.open(CACHE);
    // The query of a page's address (`/?utm_source=…`) doesn't select another file.
    const copy = await cache.match(request, { ignoreSearch: request.mode === 'navigate', ignoreVary: true });
    if (copy) return copy;
    throw error;
  }
}

/** Keeps a response, unless the same one is kept already. A full disk is no failure: the page has its file. */
async function keep(request: Request, response: Response): Promise<void> {
  const cache = await caches.open(CACHE);
  const etag = response.headers.get('ETag');
  const kept = etag === null ? undefined : await cache.match(request);
  if (kept && kept.headers.get('ETag') === etag) await response.body?.cancel();
  else await cache.put(request, response).catch(() => {});
}

/** Keeps every file that the plugin listed. One that can't be fetched doesn't stop the others. */
export async function keepListedFiles(scope: string): Promise<void> {
  const response = await fetch(new URL(FILE_LIST, scope), { cache: 'no-cache' }).catch(() => null);
  if (!response?.ok) return;
  const files: string[] = await response.json().catch(() => []);
  await keepFiles(files.map((file) => new URL(file, scope).href));
}

/** Fetches those that are not kept yet. */
export async function keepFiles(urls: string[]): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.allSettled(
    urls.map(async (url) => {
      if (!(await cache.match(url))) await cache.add(url);
    }),
  );
}
