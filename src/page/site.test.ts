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

  it('is what the Vite plugin wrote in', () => {
    vi.stubGlobal('__LLAMATAB_BASE__', '/project/');
    expect(resolveBase(undefined, 'https://a.example/project/page.html')).toBe('https://a.example/project/');
  });
});

const base = 'https://a.example/repo/';

it('finds its files under the base', () => {
  expect(serviceWorkerUrl(base, false)).toBe('https://a.example/repo/llamatab-sw.js');
  expect(serviceWorkerUrl(base, true)).toBe('https://a.example/repo/llamatab-sw.js?isolate');
  expect(engineUrls(base, true)).toEqual([
    'https://a.example/repo/llamatab/wllama-compat.wasm',
    'https://a.example/repo/llamatab/wllama-compat.js',
  ]);
  const { catalog, model } = workerConfig(base, {}, false);
  expect([catalog, model]).toEqual(['https://a.example/repo/models/catalog.json', null]);
  expect(workerConfig(base, { catalog: '/elsewhere.json' }, false).catalog).toBe('https://a.example/elsewhere.json');
});
