/**
 * The site's own files (pages, scripts, styles, wasm), kept for visits without a network. They come from the network while there
 * is one, so that an old version is never shown, and from the cache when the network fails. Model files are not among them: those
 * are in IndexedDB.
 *
 * What is kept is bounded: the files that the last deploy lists, and of others that pages asked for the latest ones. What was listed
 * by an earlier deploy goes with the next list. What a host calls `no-store` or `private` is never kept.
 */

/** The list of the site's files, which the Vite plugin writes. Without one, the files that pages ask for are kept. */
const FILE_LIST = 'llamatab/files.json';

/** Files that are kept beside the listed ones. A page with all that it loads has some tens. */
const MAX_UNLISTED = 200;

export interface OfflineFiles {
  /** Whether a request is for a file that should be kept. */
  isFile(request: Request): boolean;
  /** The file from the network, a copy of which is kept in the background; without a network, that copy. */
  fetch(event: Pick<FetchEvent, 'request' | 'waitUntil'>): Promise<Response>;
  /** Keeps every file that the plugin listed, and these. Deletes what the list of an earlier deploy had. */
  keep(urls: string[]): Promise<void>;
}

/** @param scope of the service worker: each site of the origin keeps its own. */
export function createOfflineFiles(scope: string): OfflineFiles {
  const { origin } = new URL(scope);
  const listUrl = new URL(FILE_LIST, scope).href;
  const open = () => caches.open(`llamatab/files:${scope}`);

  /** Absolute URLs of the list that was read last, or that is given. */
  async function listed(cache: Cache, list?: Response): Promise<Set<string>> {
    const files: string[] = await (list ?? (await cache.match(listUrl)))?.json().catch(() => []);
    return new Set((files ?? []).map((file) => new URL(file, scope).href));
  }

  /** Keeps a response, unless the same one is kept already. A full disk is no failure: the page has its file. */
  async function put(request: Request, response: Response): Promise<void> {
    const cache = await open();
    if (!mayBeKept(request, response)) {
      await response.body?.cancel();
      await cache.delete(request);
      return;
    }
    const etag = response.headers.get('ETag');
    const kept = etag === null ? undefined : await cache.match(request);
    if (kept && kept.headers.get('ETag') === etag) await response.body?.cancel();
    else await cache.put(request, response).catch(() => {});
    await prune(cache);
  }

  /** Deletes the unlisted files that were kept first. */
  async function prune(cache: Cache): Promise<void> {
    const files = await listed(cache);
    const unlisted = (await cache.keys()).filter(({ url }) => url !== listUrl && !files.has(url));
    const surplus = unlisted.slice(0, Math.max(0, unlisted.length - MAX_UNLISTED));
    await Promise.all(surplus.map((request) => cache.delete(request)));
  }

  /** @returns what is listed now */
  async function readList(cache: Cache): Promise<Set<string>> {
    const response = await fetch(listUrl, { cache: 'no-cache' }).catch(() => null);
    if (!response?.ok) return listed(cache);
    const [before, now] = [await listed(cache), await listed(cache, response.clone())];
    await cache.put(listUrl, response).catch(() => {});
    const gone = [...before].filter((url) => !now.has(url));
    await Promise.all(gone.map((url) => cache.delete(url)));
    return now;
  }

  return {
    isFile(request) {
      const url = new URL(request.url);
      return (
        request.method === 'GET' &&
        url.origin === origin &&
        // A part of a file, for a media element or a model's download.
        !request.headers.has('Range') &&
        // Chromium's developer tools send these, and fetch() rejects them.
        !(request.cache === 'only-if-cached' && request.mode !== 'same-origin') &&
        isKept(request.destination, url)
      );
    },
    async fetch({ request, waitUntil }) {
      try {
        const response = await fetch(request);
        // Not awaited, or the page would wait until the whole file is on disk.
        if (response.ok && response.type === 'basic') waitUntil(put(request, response.clone()));
        return response;
      } catch (error) {
        const cache = await open();
        // The query of a page's address (`/?utm_source=…`) rarely selects another file.
        const copy =
          (await cache.match(request, { ignoreVary: true })) ??
          (request.mode === 'navigate'
            ? await cache.match(request, { ignoreSearch: true, ignoreVary: true })
            : undefined);
        if (copy) return copy;
        throw error;
      }
    },
    async keep(urls) {
      const cache = await open();
      const all = [...(await readList(cache)), ...urls];
      await Promise.allSettled(
        all.map(async (url) => {
          if (await cache.match(url)) return;
          const request = new Request(url);
          const response = await fetch(request);
          if (response.ok && mayBeKept(request, response)) await cache.put(request, response);
          else await response.body?.cancel();
        }),
      );
      await prune(cache);
    },
  };
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
];

/** Whether it is a kind of file that a page needs to start. A plain fetch has no destination: there the name decides. */
function isKept(destination: RequestDestination, { pathname, search }: URL): boolean {
  if (NEEDED.includes(destination)) return true;
  // With a query it is made for this request: a counter, a map, a thumbnail.
  if (destination === 'image') return search === '';
  return destination === '' && /\.(wasm|js|mjs|css|html)$|\/catalog\.json$|\/llamatab\/manifest\.json$/.test(pathname);
}

/** Not what is meant for one visitor, or for once. */
function mayBeKept(request: Request, response: Response): boolean {
  return (
    !request.headers.has('Authorization') &&
    !/\b(no-store|private)\b/i.test(response.headers.get('Cache-Control') ?? '')
  );
}

/** Earlier versions kept the files of all sites of the origin in one cache, for ever. */
export async function deleteOldCache(): Promise<void> {
  await caches.delete('llamatab/files');
}
