/** Where llamatab's files are on this site. */
import { isLeftOut } from '../engine-builds.ts';
import { LlamatabError } from '../errors.ts';
import type { EngineWorkerConfig, UpstreamOptions } from '../protocol.ts';
import type { ModelRuntime, ServeOptions } from './api.ts';

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

/**
 * A file of llamatab's, in the version that this code was built with: a cache that holds that of another deploy does not know this
 * address. Hosts ignore the query.
 */
function fileUrl(base: string, name: string): string {
  const version = typeof __LLAMATAB_FILES__ === 'object' ? __LLAMATAB_FILES__[name] : undefined;
  return new URL(`llamatab/${name}${version === undefined ? '' : `?v=${version}`}`, base).href;
}

export const workerUrl = (base: string) => fileUrl(base, 'worker.js');

/** As `src/vite/engine-files.ts` names them. */
function engineAssets(base: string): EngineWorkerConfig['assets'] {
  const leftOut = typeof __LLAMATAB_LEFT_OUT__ === 'object' ? __LLAMATAB_LEFT_OUT__ : [];
  const asset = <T extends string>(key: T, name: string): { [K in T]?: string } =>
    isLeftOut(name, leftOut) ? {} : ({ [key]: fileUrl(base, name) } as { [K in T]: string });
  return {
    ...asset('wasm', 'wllama.wasm'),
    ...asset('compatWasm', 'wllama-compat.wasm'),
    ...asset('compatWorker', 'wllama-compat.js'),
    kernels: __LLAMATAB_KERNELS__
      ? {
          relaxed: asset('wasm', 'wllama-relaxed.wasm'),
          simd128: { ...asset('wasm', 'wllama-simd128.wasm'), ...asset('compatWasm', 'wllama-compat-simd128.wasm') },
        }
      : {},
  };
}

/** The files that the engine fetches for this build. */
export function engineUrls(base: string, { variant, compat }: Pick<ModelRuntime, 'variant' | 'compat'>): string[] {
  const { kernels, ...stock } = engineAssets(base);
  const files: { wasm?: string; compatWasm?: string } = (variant !== 'stock' && kernels[variant]) || stock;
  const urls = compat ? [files.compatWasm ?? stock.compatWasm, stock.compatWorker] : [files.wasm ?? stock.wasm];
  return urls.filter((url) => url !== undefined);
}

export function workerConfig(base: string, options: ServeOptions, solo: boolean): EngineWorkerConfig {
  return {
    base,
    solo,
    catalog: new URL(options.catalog ?? 'models/catalog.json', base).href,
    evict: options.evict ?? false,
    memory: positive('memory', 'bytes', options.memory),
    sleepIdleSeconds: positive('sleepIdleSeconds', 'seconds', options.sleepIdleSeconds, -1),
    assets: engineAssets(base),
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
