import type { ConfigEnv, UserConfig } from 'vite';
import { describe, expect, it } from 'vitest';
import { type LlamatabPluginOptions, llamatab, offlineFiles } from './plugin.ts';

/** What the plugin adds to a site's configuration. */
function configOf(config: UserConfig, command: ConfigEnv['command'] = 'build', options: LlamatabPluginOptions = {}) {
  const hook = llamatab(options).config as (config: UserConfig, env: ConfigEnv) => UserConfig;
  return hook(config, { command, mode: 'test' });
}
const baseOf = (...args: Parameters<typeof configOf>) => configOf(...args).define?.__LLAMATAB_BASE__;

it('writes the site’s base into the code; a relative one later, when each chunk’s place is known', () => {
  expect(baseOf({})).toBe('"/"');
  expect(baseOf({ base: '/project/' })).toBe('"/project/"');
  for (const base of ['', './']) {
    expect(baseOf({ base }, 'serve')).toBe('"/"');
    const define = baseOf({ base });
    const render = llamatab().renderChunk as (code: string, chunk: object, output: object) => { code: string } | null;
    const rendered = (fileName: string, format = 'es') => render(`f(${define})`, { fileName }, { format })?.code;
    expect(rendered('index.js')).toBe('f(new URL("./", import.meta.url).href)');
    expect(rendered('assets/js/index.js')).toBe('f(new URL("../../", import.meta.url).href)');
    expect(rendered('index.js', 'iife')).toBe('f(new URL("./", document.baseURI).href)');
    expect(render('f("/")', { fileName: 'index.js' }, { format: 'es' })).toBeNull();
  }
});

it('isolates pages in development and preview, beside headers of the site’s own', () => {
  const isolated = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'credentialless' };
  expect(configOf({})).toMatchObject({ server: { headers: isolated }, preview: { headers: isolated } });
  const own = { 'Cross-Origin-Embedder-Policy': 'require-corp', 'X-Own': '1' };
  expect(configOf({ server: { headers: own } }).server?.headers).toEqual({ ...isolated, ...own });
  expect(configOf({}, 'serve', { isolate: false }).server).toEqual({});
});

describe('what is kept for offline visits', () => {
  const files = new Map([
    ['index.html', 100],
    ['about/index.html', 100],
    ['assets/index.js', 1000],
    ['assets/film.mp4', 100 * 2 ** 20],
    ['llamatab/worker-1.js', 1000],
    ['llamatab/wllama-2.wasm', 1000],
    ['llamatab/wllama-compat-3.js', 1000],
    ['models/catalog.json', 100],
    ['models/model.gguf', 1000],
  ]);

  it('is what a page needs to start', () => {
    expect(offlineFiles({}, files)).toEqual([
      '',
      'about/',
      'assets/index.js',
      'llamatab/worker-1.js',
      'models/catalog.json',
    ]);
  });

  it('is what the site says', () => {
    const offline = (file: string, size: number) => file.startsWith('assets/') && size < 5000;
    expect(offlineFiles({ offline }, files)).toEqual(['assets/index.js']);
    expect(offlineFiles({ offline, offlineOtherBytes: 0 }, files)).toEqual({
      files: ['assets/index.js'],
      otherBytes: 0,
    });
    expect(offlineFiles({ offline: false }, files)).toBe(false);
  });
});
