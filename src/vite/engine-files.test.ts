import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { engineFiles, kernelsVersion } from './engine-files.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llamatab-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const build = (kernels: boolean) => engineFiles({ cacheDir: join(folder, 'cache'), kernels });

const STOCK = ['wllama-compat.js', 'wllama-compat.wasm', 'wllama.wasm'];

it('puts wllama’s binaries there, and those with kernels; links each once', () => {
  expect([...build(true).keys()].sort()).toEqual(
    [...STOCK, 'wllama-compat-simd128.wasm', 'wllama-relaxed.wasm', 'wllama-simd128.wasm'].sort(),
  );
  const cache = join(folder, 'cache');
  const cached = readdirSync(cache).map((name) => join(cache, name));
  expect(cached).toHaveLength(3);

  // What a second build has is what the cache holds.
  for (const file of cached) writeFileSync(file, `cached ${statSync(file).size}`);
  expect(Buffer.from(build(true).get('wllama-relaxed.wasm') ?? []).toString()).toMatch(/^cached \d+$/);
  expect(readdirSync(cache)).toHaveLength(3);
});

it('puts wllama’s binaries there alone where kernels are off', () => {
  expect([...build(false).keys()].sort()).toEqual(STOCK);
  expect(kernelsVersion(false)).toBe('');
  expect(kernelsVersion(true)).toMatch(/^[0-9a-f]{8}$/);
});
