/**
 * The options of `serve()` that concern the service worker. They belong to the site, since its pages share one service worker: a page
 * that says nothing changes nothing. They are kept in a cache, because a service worker that was stopped keeps nothing else.
 */
import type { SiteOptions, SiteOptionsReply } from '../protocol.ts';

const CACHE = 'llamatab/options';

const DEFAULTS: SiteOptions = { isolate: false, isolationPolicy: null, nativeRoutes: false, intercept: [] };

export interface KeptOptions {
  get(): Promise<SiteOptions>;
  /** The same, once they have been read since this service worker was started. */
  readonly known: SiteOptions | null;
  /** Takes over what a page says. */
  change(wanted: Partial<SiteOptions>): Promise<Omit<SiteOptionsReply, 'version' | 'instance'>>;
}

/** @param scope of the service worker: other sites of the origin have options of their own. */
export function createKeptOptions(scope: string, storage: Pick<CacheStorage, 'open'>): KeptOptions {
  let known: SiteOptions | null = null;
  /** What pages have said so far. */
  let said: Promise<Partial<SiteOptions>> | undefined;

  async function read(): Promise<Partial<SiteOptions>> {
    try {
      const kept = await (await storage.open(CACHE)).match(scope);
      return kept ? await kept.json() : {};
    } catch {
      // Storage is blocked: the options last as long as this service worker.
      return {};
    }
  }

  async function get(): Promise<SiteOptions> {
    said ??= read();
    known = { ...DEFAULTS, ...(await said) };
    return known;
  }

  return {
    get,
    get known() {
      return known;
    },
    async change(wanted) {
      await get();
      const before = (await said) ?? {};
      const after = { ...before, ...wanted };
      said = Promise.resolve(after);
      const names = Object.keys(wanted) as (keyof SiteOptions)[];
      const differs = (name: keyof SiteOptions) => JSON.stringify(before[name]) !== JSON.stringify(wanted[name]);
      const replaced = names.filter((name) => before[name] !== undefined && differs(name));
      if (names.some(differs)) {
        await storage
          .open(CACHE)
          .then((cache) => cache.put(scope, Response.json(after)))
          .catch(() => {});
      }
      return { options: await get(), replaced };
    },
  };
}
