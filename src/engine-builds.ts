/** The engine's builds, by the names of their files, and which of them a site leaves out. */

/**
 * `relaxed` and `simd128`: with our kernels, in relaxed and in plain SIMD; `stock`: as wllama publishes it, for browsers without SIMD;
 * `compat`: all of them for browsers without JSPI or memory64, which take files of their own.
 */
export type EngineBuild = 'relaxed' | 'simd128' | 'stock' | 'compat';

export const ENGINE_BUILDS: readonly EngineBuild[] = ['relaxed', 'simd128', 'stock', 'compat'];

const ENGINE_FILE = /(?:^|\/)wllama(-compat)?(?:-(relaxed|simd128))?\.(wasm|js)$/;

/** Whether a file is of a build that is left out. `wllama-compat-simd128.wasm` goes with `compat`, and with `simd128`. */
export function isLeftOut(file: string, leaveOut: readonly EngineBuild[]): boolean {
  const parts = ENGINE_FILE.exec(file);
  if (parts === null) return false;
  const [, compat, kernels = 'stock', type] = parts;
  const isOf = (build: EngineBuild) =>
    build === 'compat' ? compat !== undefined : type === 'wasm' && build === kernels;
  return leaveOut.some(isOf);
}
