import { afterEach, describe, expect, it, vi } from 'vitest';
import { engineUrls, resolveBase, serviceWorkerUrl, workerConfig } from './site.ts';

afterEach(() => vi.unstubAllGlobals());

describe('resolveBase', () => {
  it.each([
    [undefined, 'https://a.example/deep/page.html', 'https://a.example/'],
    ['/repo/', 'https://a.example/repo/page.html?x=1#y', 'https://a.example/repo/'],
    ['/repo', 'https://a.example/repo/', 'https://a.example/repo/'],
    ['./', 'https://a.example/repo/page.html', 'https://a.example/repo/'],
  ])('%s on %s', (base, page, expected) => {
    expect(resolveBase(base, page)).toBe(expected);
  });

  it('is the site’s base as the Vite plugin puts it', () => {
    vi.stubGlobal('__LLAMATAB_BASE__', '/project/');
    expect(resolveBase(undefined, 'https://a.example/project/page.html')).toBe('https://a.example/project/');
  });
});

const base = 'https://a.example/repo/';

describe('the engine’s files', () => {
  const file = (name: string) => `${base}llamatab/${name}`;

  it.each([
    ['relaxed', false, ['wllama-relaxed.wasm']],
    ['simd128', false, ['wllama-simd128.wasm']],
    ['stock', false, ['wllama.wasm']],
    ['simd128', true, ['wllama-compat-simd128.wasm', 'wllama-compat.js']],
    ['stock', true, ['wllama-compat.wasm', 'wllama-compat.js']],
  ] as const)('%s, compatible: %s', (variant, compat, names) => {
    vi.stubGlobal('__LLAMATAB_KERNELS__', 'version');
    expect(engineUrls(base, { variant, compat })).toEqual(names.map(file));
  });

  it('are wllama’s own in a build without kernels', () => {
    vi.stubGlobal('__LLAMATAB_KERNELS__', '');
    expect(workerConfig(base, {}, false).assets.kernels).toEqual({});
  });
});

describe('serve()’s numbers', () => {
  it('are left to the server where they are not given', () => {
    vi.stubGlobal('__LLAMATAB_KERNELS__', '');
    expect(workerConfig(base, {}, false)).toMatchObject({ memory: undefined, sleepIdleSeconds: undefined });
    const given = { memory: 2 ** 30, sleepIdleSeconds: 60 };
    expect(workerConfig(base, given, false)).toMatchObject(given);
    expect(workerConfig(base, { sleepIdleSeconds: -1 }, false)).toMatchObject({ sleepIdleSeconds: -1 });
  });

  it.each([
    ['memory', 0, 'serve({ memory }) takes a number of bytes above 0, but got 0.'],
    ['memory', '2 GB', 'serve({ memory }) takes a number of bytes above 0, but got "2 GB".'],
    [
      'sleepIdleSeconds',
      -2,
      'serve({ sleepIdleSeconds }) takes a number of seconds above 0, or -1 for none, but got -2.',
    ],
  ])('%s: %j is refused', (name, value, message) => {
    vi.stubGlobal('__LLAMATAB_KERNELS__', '');
    expect(() => workerConfig(base, { [name]: value }, false)).toThrow(message);
  });
});

it('finds its files under the base', () => {
  vi.stubGlobal('__LLAMATAB_KERNELS__', 'version');
  expect(serviceWorkerUrl(base, {})).toBe('https://a.example/repo/llamatab-sw.js');
  expect(serviceWorkerUrl(base, { isolate: true })).toBe('https://a.example/repo/llamatab-sw.js?isolate');
  expect(serviceWorkerUrl(base, { isolate: true, nativeRoutes: false })).toBe(
    'https://a.example/repo/llamatab-sw.js?isolate&v1-only',
  );
  const { catalog, model } = workerConfig(base, {}, false);
  expect([catalog, model]).toEqual(['https://a.example/repo/models/catalog.json', null]);
  expect(workerConfig(base, { catalog: '/elsewhere.json' }, false).catalog).toBe('https://a.example/elsewhere.json');
});
