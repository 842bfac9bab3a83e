import { expect, it } from 'vitest';
import { type EngineBuild, isLeftOut } from './engine-builds.ts';

const FILES = [
  'llamatab-sw.js',
  'llamatab/worker.js',
  'llamatab/build-BpX5e4aG.js',
  'llamatab/wllama.wasm',
  'llamatab/wllama-compat.js',
  'llamatab/wllama-compat.wasm',
  'llamatab/wllama-compat-simd128.wasm',
  'llamatab/wllama-relaxed.wasm',
  'llamatab/wllama-simd128.wasm',
];

const left = (...builds: EngineBuild[]) =>
  FILES.filter((file) => isLeftOut(file, builds)).map((file) => file.replace('llamatab/', ''));

it('knows the files of each build', () => {
  expect(left()).toEqual([]);
  expect(left('compat')).toEqual(['wllama-compat.js', 'wllama-compat.wasm', 'wllama-compat-simd128.wasm']);
  expect(left('stock')).toEqual(['wllama.wasm', 'wllama-compat.wasm']);
  expect(left('simd128')).toEqual(['wllama-compat-simd128.wasm', 'wllama-simd128.wasm']);
  expect(left('relaxed')).toEqual(['wllama-relaxed.wasm']);
});
