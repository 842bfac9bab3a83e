import type { ConfigEnv, UserConfig } from 'vite';
import { expect, it } from 'vitest';
import { type LlamatabPluginOptions, llamatab } from './plugin.ts';

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
