/**
 * The site's own files (pages, scripts, styles, wasm), kept for visits without a network. They come from the network while there
 * is one, so that an old version is never shown, and from the cache when the network fails. Model files are not among them: those
 * are in IndexedDB.
 *
 * What is kept is bounded: the files that the last deploy lists, those of llamatab's that it has, and of others that pages asked for the
 * latest ones, by number and by bytes. What only an earlier deploy had goes with the next list. What a host calls `no-store` or
 * `private` is never kept.
 */

import type { RuntimeManifest } from '../protocol.ts';

/** The list of the site's files, which the Vite plugin writes. Without one, the files that pages ask for are kept. */
const FILE_LIST = 'llamatab/files.json';
const MANIFEST = 'llamatab/manifest.json';

/** Of files beside the listed ones. A page with all that it loads has some tens, and a few megabytes. */
const MAX_OTHERS = 200;
const MAX_OTHER_BYTES = 50 * 2 ** 20;

/** What `files.json` says: the paths below the scope, and how many bytes of other files; or the paths alone; or to keep nothing. */
type FileList = { files: string[]; otherBytes?: number } | string[] | false;

/** What is to be kept. */
interface Kept {
  /** Absolute URLs. */
  listed: ReadonlySet<string>;
  /** Of llamatab's files, those of the current deploy; null where they are not known. */
  runtime: ReadonlySet<string> | null;
  otherBytes: number;
  nothing: boolean;
}

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
  const manifestUrl = new URL(MANIFEST, scope).href;
  const folder = new URL('.', manifestUrl).href;
  const open = () => caches.open(`llamatab/files:${scope}`);
  /** Bytes of each file, as far as they have been asked for since this service worker was started. */
  const sizes = new Map<string, number>();

  /** What the list and the manifest say that were read last. */
  async function whatToKeep(cache: Cache): Promise<Kept> {
    const read = async (url: string) => (await cache.match(url))?.json().catch(() => undefined);
    const list: FileList = (await read(listUrl)) ?? [];
    const manifest: Partial<RuntimeManifest> | undefined = await read(manifestUrl);
    const { files, otherBytes = MAX_OTHER_BYTES } = Array.isArray(list) ? { files: list } : list || { files: [] };
    return {
      listed: new Set(files.map((file) => new URL(file, scope).href)),
      runtime: manifest?.files
        ? new Set([manifestUrl, ...Object.values(manifest.files).map((name) => new URL(name, folder).href)])
        : null,
      otherBytes,
      nothing: list === false,
    };
  }

  /** Keeps a response, unless the same one is kept already. A full disk is no failure: the page has its file. */
  async function put(request: Request, response: Response): Promise<void> {
    const cache = await open();
    if (!mayBeKept(request, response)) {
      discard(response);
      await cache.delete(request);
      return;
    }
    const etag = response.headers.get('ETag');
    const copy = etag === null ? undefined : await cache.match(request);
    if (copy && copy.headers.get('ETag') === etag) discard(response);
    else {
      sizes.delete(request.url);
      await cache.put(request, response).catch(() => {});
    }
    await prune(cache);
  }

  /** Deletes of other files those that were kept first; or all. */
  async function prune(cache: Cache): Promise<void> {
    const { listed, otherBytes, nothing } = await whatToKeep(cache);
    let [others, bytes] = [0, 0];
    // The latest first.
    for (const request of [...(await cache.keys())].reverse()) {
      const isBounded = !listed.has(request.url) && !request.url.startsWith(folder);
      if (nothing && request.url !== listUrl) await cache.delete(request);
      if (nothing || !isBounded) continue;
      const size = await sizeOf(cache, request);
      if (others < MAX_OTHERS && bytes + size <= otherBytes) {
        others++;
        bytes += size;
      } else await cache.delete(request);
    }
  }

  /** Deletes what an earlier deploy had: what it listed, and its version of llamatab. */
  async function pruneDeploys(cache: Cache, before: Kept, now: Kept): Promise<void> {
    for (const { url } of await cache.keys()) {
      if (now.listed.has(url) || url === listUrl) continue;
      const isOfRuntime = url.startsWith(folder);
      const stays = isOfRuntime && now.runtime !== null ? now.runtime.has(url) : !before.listed.has(url);
      if (!stays) await cache.delete(url);
    }
  }

  async function sizeOf(cache: Cache, request: Request): Promise<number> {
    const known = sizes.get(request.url);
    if (known !== undefined) return known;
    const response = await cache.match(request, { ignoreVary: true });
    const size = response ? await bytesOf(response) : 0;
    sizes.set(request.url, size);
    return size;
  }

  async function fetchOnce(cache: Cache, url: string): Promise<void> {
    if (await cache.match(url)) return;
    const request = new Request(url);
    const response = await fetch(request);
    if (response.ok && mayBeKept(request, response)) await cache.put(request, response);
    else await response.body?.cancel();
  }

  /** Reads what the site lists now. */
  async function readList(cache: Cache): Promise<void> {
    for (const url of [listUrl, manifestUrl]) {
      const response = await fetch(url, { cache: 'no-cache' }).catch(() => null);
      if (response?.ok) await cache.put(url, response).catch(() => {});
    }
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
        if (response.status === 404 && request.url.startsWith(folder)) {
          // A deploy took it away, and a page of the last one needs it: named by its content, it can't be out of date.
          const copy = await (await open()).match(request, { ignoreVary: true });
          if (copy) return copy;
        }
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
      const before = await whatToKeep(cache);
      await readList(cache);
      const now = await whatToKeep(cache);
      if (!now.nothing) await Promise.allSettled([...now.listed, ...urls].map((url) => fetchOnce(cache, url)));
      // Not before the new files are there.
      await pruneDeploys(cache, before, now);
      await prune(cache);
    },
  };
}

/**
 * Not awaited: of a clone it ends when the page has read its own copy, which it may never do. An event that waits for that would keep
 * the next service worker from taking over for five minutes.
 */
function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
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
    request.cache !== 'no-store' &&
    !/\b(no-store|private)\b/i.test(response.headers.get('Cache-Control') ?? '')
  );
}

async function bytesOf(response: Response): Promise<number> {
  const { headers } = response;
  const length = headers.has('Content-Encoding') ? null : headers.get('Content-Length');
  return length === null ? (await response.blob()).size : Number(length);
}

/** Earlier versions kept the files of all sites of the origin in one cache, for ever. */
export async function deleteOldCache(): Promise<void> {
  await caches.delete('llamatab/files');
}
