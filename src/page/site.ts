/** Where the site is, and what a page says of its engine. */
import { LlamatabError } from '../errors.ts';
import type { EngineSettings, UpstreamOptions } from '../protocol.ts';
import type { ServeOptions } from './api.ts';

/** What a relative `base` may be relative to. Never the page's address: the same page is shown at `/` and at `/chat/42`. */
export interface BaseContext {
  /** The page's. */
  origin: string;
  /** `href` of the page's `<base>`, absolute; null if it has none. */
  baseElement: string | null;
  /** URL of the module that this code was bundled into. */
  module: string;
}

/** That of the page which this code runs in. */
export function baseContext(): BaseContext {
  const baseElement = document.querySelector<HTMLBaseElement>('base[href]')?.href ?? null;
  return { origin: location.origin, baseElement, module: import.meta.url };
}

/**
 * The site's base as an absolute URL that ends with a slash.
 * @throws LlamatabError `invalid_request_error` if it is no address, or on another origin
 */
export function resolveBase(base: string | undefined, { origin, baseElement, module }: BaseContext): string {
  // The Vite plugin puts the site's own `base` here.
  const known = typeof __LLAMATAB_BASE__ === 'string' ? new URL(__LLAMATAB_BASE__, origin).href : null;
  // Some bundlers give a module the address of its file.
  const folder = URL.canParse(module) && new URL(module).origin === origin ? module : origin;
  const path = base ?? known ?? '/';
  const anchor = baseElement ?? known ?? folder;
  const url = URL.canParse(path, anchor) ? new URL(path, anchor) : null;
  if (url?.origin !== origin) {
    throw new LlamatabError(
      'invalid_request_error',
      `llamatab's files are expected at ${url?.href ?? path}, but browsers start a service worker and an engine worker from the ` +
        `page's own origin only, ${origin}: put llamatab-sw.js and the folder llamatab/ there, and say where with serve({ base }).`,
      { param: 'base' },
    );
  }
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url.href;
}

/** One address, whatever the options: with another one the pages would replace each other's service worker. */
export const serviceWorkerUrl = (base: string) => new URL('llamatab-sw.js', base).href;

/** What this page says of the engine that the site's pages share. */
export function engineSettings(base: string, options: ServeOptions): EngineSettings {
  return {
    catalog: new URL(options.catalog ?? 'models/catalog.json', base).href,
    evict: options.evict ?? false,
    memory: positive('memory', 'bytes', options.memory),
    sleepIdleSeconds: positive('sleepIdleSeconds', 'seconds', options.sleepIdleSeconds, -1),
    model: options.model ?? null,
    aliases: options.aliases ?? {},
    apiKeys: [options.apiKey ?? []].flat(),
    upstream: options.upstream === undefined ? null : upstreamOf(options.upstream),
    engine: options.engine ?? {},
  };
}

/**
 * The addresses of `serve({ intercept })`, without a slash at their end.
 * @throws LlamatabError that names the one that is none, or is the site's own
 */
export function interceptedAddresses(urls: readonly string[], base: string): string[] {
  return urls.map((url) => {
    const address = httpAddress('intercept', url);
    if (!`${address}/`.startsWith(base)) return address;
    throw invalidOption('intercept', `takes addresses of other servers, and ${url} is this site's own: leave it out.`);
  });
}

function upstreamOf({ baseURL, waiting, ...rest }: UpstreamOptions): UpstreamOptions {
  return { ...rest, baseURL: httpAddress('upstream', baseURL), waiting: positive('upstream', 'requests', waiting, 0) };
}

/** @returns without a slash at its end */
function httpAddress(option: string, url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed !== null && /^https?:$/.test(parsed.protocol)) {
    return (parsed.origin + parsed.pathname).replace(/\/+$/, '');
  }
  throw invalidOption(option, `takes absolute addresses, as https://llm.example/v1, but got ${JSON.stringify(url)}.`);
}

function invalidOption(option: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', `serve({ ${option} }) ${message}`, { param: option });
}

/** Checks a number among the options of `serve()`. @param off the value that turns it off @throws LlamatabError that names the option */
function positive(name: string, unit: string, value: number | undefined, off?: number): number | undefined {
  if (value === undefined || value === off || (Number.isFinite(value) && value > 0)) return value;
  const none = off === undefined ? '' : `, or ${off} for none`;
  throw new LlamatabError(
    'invalid_request_error',
    `serve({ ${name} }) takes a number of ${unit} above 0${none}, but got ${JSON.stringify(value)}.`,
    { param: name },
  );
}
