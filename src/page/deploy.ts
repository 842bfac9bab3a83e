/** What the site's host has now: the files of the deploy that is current when a worker is started, not when the page was opened. */
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { EngineWorkerConfig, RuntimeManifest } from '../protocol.ts';
import { PROTOCOL_VERSION } from '../transport/locks.ts';
import type { ModelRuntime } from './api.ts';

/** Milliseconds that a connection which is neither up nor down may take to tell; after that, what the browser has kept will do. */
const REVALIDATION_TIMEOUT = 3_000;

const MANIFEST = 'llamatab/manifest.json';

const policy = watchPolicy(globalThis, ({ blockedURI }) => blockedURI.endsWith(MANIFEST));

export interface Deploy {
  /** Absolute URL of the engine worker's script. */
  workerUrl: string;
  assets: EngineWorkerConfig['assets'];
}

/**
 * @param base absolute URL of the site's base.
 * @throws LlamatabError `unavailable_error` if the files are not there, or this page is of another version than they are
 */
export async function readDeploy(base: string, fetch = globalThis.fetch): Promise<Deploy> {
  const url = new URL(MANIFEST, base).href;
  const missing = (reason: string, remedy = 'Are they there (the Vite plugin adds them), and is `base` right?') =>
    new LlamatabError('unavailable_error', `llamatab's files are not at ${url}: ${reason}. ${remedy}`);
  let response: Response;
  try {
    // Whatever the host says of caching: the names in it may be gone after the next deploy.
    response = await fetch(url, { cache: 'no-cache', signal: AbortSignal.timeout(REVALIDATION_TIMEOUT) }).catch(() =>
      fetch(url, { cache: 'force-cache' }),
    );
  } catch (error) {
    const remedy = await policy.remedyOfFailure();
    throw missing(error instanceof Error ? error.message : String(error), remedy ?? undefined);
  }
  if (!response.ok) throw missing(`the host answers ${response.status}`);
  const manifest: Partial<RuntimeManifest> | null = await response.json().catch(() => null);
  if (typeof manifest?.files !== 'object') throw missing('the host answers something else');
  return deployOf(manifest as RuntimeManifest, base);
}

/** @throws LlamatabError that says to reload, if the page and the files would not understand each other */
export function deployOf({ version, protocol, files }: RuntimeManifest, base: string): Deploy {
  if (protocol !== PROTOCOL_VERSION) {
    throw reloadNeeded(
      `This page has another version of llamatab (${__LLAMATAB_VERSION__}, protocol ${PROTOCOL_VERSION}) than the site's folder ` +
        `llamatab/ (${version}, protocol ${protocol}): the site was deployed anew since it was opened, or only in part`,
    );
  }
  const file = (name: string) => new URL(`llamatab/${files[name] ?? name}`, base).href;
  // Not there if the site left it out, or was built without kernels.
  const asset = <T extends string>(key: T, name: string): { [K in T]?: string } =>
    name in files ? ({ [key]: file(name) } as { [K in T]: string }) : {};
  return {
    workerUrl: file('worker.js'),
    assets: {
      ...asset('wasm', 'wllama.wasm'),
      ...asset('compatWasm', 'wllama-compat.wasm'),
      ...asset('compatWorker', 'wllama-compat.js'),
      kernels: {
        relaxed: asset('wasm', 'wllama-relaxed.wasm'),
        simd128: { ...asset('wasm', 'wllama-simd128.wasm'), ...asset('compatWasm', 'wllama-compat-simd128.wasm') },
      },
    },
  };
}

/** The files that the engine fetches for this build. */
export function engineUrls(
  { assets }: Deploy,
  { variant, compat }: Pick<ModelRuntime, 'variant' | 'compat'>,
): string[] {
  const { kernels, ...stock } = assets;
  const files: { wasm?: string; compatWasm?: string } = (variant !== 'stock' && kernels[variant]) || stock;
  const urls = compat ? [files.compatWasm ?? stock.compatWasm, stock.compatWorker] : [files.wasm ?? stock.wasm];
  return urls.filter((url) => url !== undefined);
}
