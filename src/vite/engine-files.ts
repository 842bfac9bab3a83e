/**
 * Part of the build: the engine's files, which lie beside the worker that loads them. These are wllama's binaries, with our
 * kernels in them (`src/kernels/`), which is what browsers run, and without, for those that have no SIMD.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { buildEngine, cacheKey, type Level, withoutKernels } from '../kernels/build.ts';
import type { RuntimeFiles } from './runtime-manifest.ts';

export interface EngineFilesOptions {
  /** Folder that keeps what was linked, by content. */
  cacheDir: string;
  /** False leaves the kernels out: for a version of wllama that the linker does not know yet. */
  kernels: boolean;
}

type Wllama = 'default' | 'compat';

/** Where npm put wllama's binary. */
function published(wllama: Wllama): string {
  const require = createRequire(import.meta.url);
  const script = wllama === 'default' ? '@wllama/wllama/esm/index.js' : '@wllama/wllama-compat';
  return join(dirname(require.resolve(script)), 'wasm', 'wllama.wasm');
}

/**
 * The binaries with kernels: their names, wllama's file and the level. Browsers that need the compatible build have no relaxed
 * SIMD.
 */
const LINKED: [name: string, wllama: Wllama, level: Level][] = [
  ['wllama-relaxed.wasm', 'default', 'relaxed'],
  ['wllama-simd128.wasm', 'default', 'simd128'],
  ['wllama-compat-simd128.wasm', 'compat', 'simd128'],
];

/** Identifies the kernels in the engine, since measured speeds hold only for these. Empty without kernels. */
export function kernelsVersion(kernels: boolean): string {
  if (!kernels) return '';
  const keys = LINKED.map(([, wllama, level]) => cacheKey(readFileSync(published(wllama)), level));
  return createHash('sha256').update(keys.join()).digest('hex').slice(0, 8);
}

/** By the names that pages know them by. */
export function engineFiles({ cacheDir, kernels }: EngineFilesOptions): RuntimeFiles {
  const files = new Map([
    ['wllama.wasm', withoutKernels(readFileSync(published('default')))],
    ['wllama-compat.wasm', withoutKernels(readFileSync(published('compat')))],
    ['wllama-compat.js', readFileSync(join(dirname(published('compat')), 'wllama.js'))],
  ]);
  if (!kernels) return files;

  mkdirSync(cacheDir, { recursive: true });
  for (const [name, wllama, level] of LINKED) {
    const bytes = readFileSync(published(wllama));
    const cached = join(cacheDir, `${cacheKey(bytes, level)}.wasm`);
    if (!existsSync(cached)) writeFileSync(cached, buildEngine(bytes, level));
    files.set(name, readFileSync(cached));
  }
  return files;
}
