/** The engine's builds, and which of them a site leaves out. */
import type { RuntimeManifest } from './protocol.ts';

/**
 * `relaxed` and `simd128`: with our kernels, in relaxed and in plain SIMD; `stock`: as wllama publishes it, for browsers without SIMD;
 * `compat`: all of them for browsers without JSPI or memory64, which take files of their own.
 */
export type EngineBuild = 'relaxed' | 'simd128' | 'stock' | 'compat';

export const ENGINE_BUILDS: readonly EngineBuild[] = ['relaxed', 'simd128', 'stock', 'compat'];

/** As `llamatab/manifest.json` calls them. */
const ENGINE_FILE = /^wllama(-compat)?(?:-(relaxed|simd128))?\.(wasm|js)$/;

/** Whether a file is of a build that is left out. `wllama-compat-simd128.wasm` goes with `compat`, and with `simd128`. */
function isLeftOut(name: string, leaveOut: readonly EngineBuild[]): boolean {
  const parts = ENGINE_FILE.exec(name);
  if (parts === null) return false;
  const [, compat, kernels = 'stock', type] = parts;
  const isOf = (build: EngineBuild) =>
    build === 'compat' ? compat !== undefined : type === 'wasm' && build === kernels;
  return leaveOut.some(isOf);
}

/** The manifest of a site without these builds: pages then don't ask for them. */
export function withoutBuilds(manifest: RuntimeManifest, leaveOut: readonly EngineBuild[]): RuntimeManifest {
  const files = Object.entries(manifest.files).filter(([name]) => !isLeftOut(name, leaveOut));
  return { ...manifest, files: Object.fromEntries(files) };
}
