import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { engineFiles, kernelsVersion } from './engine-files.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llamatab-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function build(kernels: boolean): string[] {
  const outDir = join(folder, 'out');
  const plugin = engineFiles({ outDir, cacheDir: join(folder, 'cache'), kernels });
  (plugin.closeBundle as () => void)();
  return readdirSync(outDir).sort();
}

const STOCK = ['wllama-compat.js', 'wllama-compat.wasm', 'wllama.wasm'];

it('puts wllama’s binaries there, and those with kernels; links each once', () => {
  expect(build(true)).toEqual(
    [...STOCK, 'wllama-compat-simd128.wasm', 'wllama-relaxed.wasm', 'wllama-simd128.wasm'].sort(),
  );
  const cache = join(folder, 'cache');
  const cached = readdirSync(cache).map((name) => join(cache, name));
  expect(cached).toHaveLength(3);

  // What a second build puts there is what the cache holds.
  for (const file of cached) writeFileSync(file, `cached ${statSync(file).size}`);
  build(true);
  expect(readFileSync(join(folder, 'out', 'wllama-relaxed.wasm'), 'utf8')).toMatch(/^cached \d+$/);
  expect(readdirSync(cache)).toHaveLength(3);
});

it('puts wllama’s binaries there alone where kernels are off', () => {
  expect(build(false)).toEqual(STOCK);
  expect(kernelsVersion(false)).toBe('');
  expect(kernelsVersion(true)).toMatch(/^[0-9a-f]{8}$/);
});
