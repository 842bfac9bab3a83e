import { expect, it } from 'vitest';
import { type EngineBuild, withoutBuilds } from './engine-builds.ts';

const NAMES = [
  'worker.js',
  'build-BpX5e4aG.js',
  'wllama.wasm',
  'wllama-compat.js',
  'wllama-compat.wasm',
  'wllama-compat-simd128.wasm',
  'wllama-relaxed.wasm',
  'wllama-simd128.wasm',
];
const manifest = {
  version: '1',
  protocol: 1,
  files: Object.fromEntries(NAMES.map((name) => [name, `${name}-hashed`])),
};

const missing = (...builds: EngineBuild[]) => {
  const { files } = withoutBuilds(manifest, builds);
  return NAMES.filter((name) => files[name] === undefined);
};

it('knows the files of each build', () => {
  expect(withoutBuilds(manifest, [])).toEqual(manifest);
  expect(missing('compat')).toEqual(['wllama-compat.js', 'wllama-compat.wasm', 'wllama-compat-simd128.wasm']);
  expect(missing('stock')).toEqual(['wllama.wasm', 'wllama-compat.wasm']);
  expect(missing('simd128')).toEqual(['wllama-compat-simd128.wasm', 'wllama-simd128.wasm']);
  expect(missing('relaxed')).toEqual(['wllama-relaxed.wasm']);
});
