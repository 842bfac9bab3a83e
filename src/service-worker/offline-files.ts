/**
 * The site's own files (pages, scripts, styles, wasm), kept for visits without a network: from the network while there is
 * one, so that nobody sees an old version, and from the cache when it fails. Model files are not here: they are in
 * IndexedDB.
 */

const CACHE = 'llamatab/files';
/** Written by the Vite plugin: the files of the site. A site built without it keeps what its pages ask for. */
const FILE_LIST = 'llamatab/files.json';

/** Whether a request is for a file that may be kept. */
export function isFile(request: Request, origin: string): boolean {
  return (
    request.method === 'GET' &&
    new URL(request.url).origin === origin &&
    // Part of a file: a media element, or a model's download.
    !request.headers.has('Range') &&
    // Chromium's developer tools ask so, and nobody else may answer it.
    !(request.cache === 'only-if-cached' && request.mode !== 'same-origin') &&
    isKept(request.destination, new URL(request.url).pathname)
  );
}

/** Kinds of files that a page needs to start. Fetches without a destination count by their name. */
function isKept(destination: RequestDestination, pathname: string): boolean {
  if (['document', 'script', 'style', 'worker', 'sharedworker', 'font', 'manifest', 'image'].includes(destination)) {
    return true;
  }
  return destination === '' && /\.(wasm|js|mjs|css|html)$|\/catalog\.json$/.test(pathname);
}

/** The file from the network, of which a copy is kept in the background; without a network, the copy. */
export async function fetchFile({ request, waitUntil }: Pick<FetchEvent, 'request' | 'waitUntil'>): Promise<Response> {
  try {
    const response = await fetch(request);
    // Not awaited: the page would wait until the whole file is on disk.
    if (response.ok && response.type === 'basic') waitUntil(keep(request, response.clone()));
    return response;
  } catch (error) {
    const cache = await caches.open(CACHE);
    // Queries of a page's address (`/?utm_source=…`) do not choose a file.
    const copy = await cache.match(request, { ignoreSearch: request.mode === 'navigate', ignoreVary: true });
    if (copy) return copy;
    throw error;
  }
}

/** Keeps a response, unless it is what is kept already. A full disk is no reason to fail: the file was answered. */
async function keep(request: Request, response: Response): Promise<void> {
  const cache = await caches.open(CACHE);
  const etag = response.headers.get('ETag');
  const kept = etag === null ? undefined : await cache.match(request);
  if (kept && kept.headers.get('ETag') === etag) await response.body?.cancel();
  else await cache.put(request, response).catch(() => {});
}

/** Everything that the plugin listed. A file that can't be had is no reason to go without the others. */
export async function keepListedFiles(scope: string): Promise<void> {
  const response = await fetch(new URL(FILE_LIST, scope), { cache: 'no-cache' }).catch(() => null);
  if (!response?.ok) return;
  const files: string[] = await response.json().catch(() => []);
  await keepFiles(files.map((file) => new URL(file, scope).href));
}

/** Fetches what is not kept yet. */
export async function keepFiles(urls: string[]): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.allSettled(
    urls.map(async (url) => {
      if (!(await cache.match(url))) await cache.add(url);
    }),
  );
}
