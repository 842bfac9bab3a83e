import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ServeOptions } from './api.ts';
import { engineSettings, interceptedAddresses, resolveBase, serviceWorkerUrl } from './site.ts';

afterEach(() => vi.unstubAllGlobals());

describe('resolveBase', () => {
  const origin = 'https://a.example';
  const context = { origin, baseElement: null, module: `${origin}/app/assets/index.js` };

  it.each([
    [undefined, '/'],
    ['/repo/', '/repo/'],
    ['/repo?x=1#y', '/repo/'],
    [`${origin}/repo/`, '/repo/'],
    ['../', '/app/'],
  ])('%s without the Vite plugin', (base, expected) => {
    expect(resolveBase(base, context)).toBe(origin + expected);
  });

  it.each([
    ['/project/', '/project/'],
    // What the plugin makes of a relative base.
    [`${origin}/project/`, '/project/'],
  ])('is the site’s base as the Vite plugin puts it: %s', (known, expected) => {
    vi.stubGlobal('__LLAMATAB_BASE__', known);
    expect(resolveBase(undefined, context)).toBe(origin + expected);
    expect(resolveBase('./', context)).toBe(origin + expected);
  });

  it('starts from the page’s <base>, where it is relative', () => {
    const withBase = { ...context, baseElement: `${origin}/app/` };
    expect(resolveBase('./', withBase)).toBe(`${origin}/app/`);
    expect(resolveBase(undefined, withBase)).toBe(`${origin}/`);
  });

  it('does without the module’s address where a bundler gives another', () => {
    expect(resolveBase('./', { ...context, module: 'file:///src/index.js' })).toBe(`${origin}/`);
  });

  it('refuses another origin, and says what to do', () => {
    expect(() => resolveBase('https://cdn.example/', context)).toThrow(/https:\/\/cdn\.example\/.*serve\(\{ base \}\)/);
    expect(() => resolveBase('http://', context)).toThrow('are expected at http://');
  });
});

const base = 'https://a.example/repo/';

describe('serve()’s numbers', () => {
  it('are left to the server where they are not given', () => {
    expect(engineSettings(base, {})).toMatchObject({ memory: undefined, sleepIdleSeconds: undefined });
    const given = { memory: 2 ** 30, sleepIdleSeconds: 60 };
    expect(engineSettings(base, given)).toMatchObject(given);
    expect(engineSettings(base, { sleepIdleSeconds: -1 })).toMatchObject({ sleepIdleSeconds: -1 });
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
    expect(() => engineSettings(base, { [name]: value })).toThrow(message);
  });
});

it('finds its files under the base', () => {
  expect(serviceWorkerUrl(base)).toBe('https://a.example/repo/llamatab-sw.js');
  const { catalog, model } = engineSettings(base, {});
  expect([catalog, model]).toEqual(['https://a.example/repo/models/catalog.json', null]);
  expect(engineSettings(base, { catalog: '/elsewhere.json' }).catalog).toBe('https://a.example/elsewhere.json');
});

describe('addresses of other servers', () => {
  it('are taken without a slash at their end', () => {
    expect(interceptedAddresses(['https://api.example/v1/', 'http://localhost:8080/v1?x#y'], base)).toEqual([
      'https://api.example/v1',
      'http://localhost:8080/v1',
    ]);
    const config = (upstream: ServeOptions['upstream']) => engineSettings(base, upstream ? { upstream } : {}).upstream;
    expect(config(undefined)).toBeNull();
    expect(config({ baseURL: 'https://llm.example/v1/', model: 'm' })).toEqual({
      baseURL: 'https://llm.example/v1',
      model: 'm',
    });
  });

  it.each([
    [['/v1'], /serve\(\{ intercept \}\) takes absolute addresses.*"\/v1"/],
    [['ftp://x.example/v1'], /takes absolute addresses/],
    [[`${base}v1`], /is this site's own: leave it out/],
  ])('%j are refused', (urls, message) => {
    expect(() => interceptedAddresses(urls, base)).toThrow(message);
  });

  it('an upstream that is none is refused', () => {
    expect(() => engineSettings(base, { upstream: { baseURL: 'llm.example' } })).toThrow(/serve\(\{ upstream \}\)/);
    const waiting = { upstream: { baseURL: 'https://llm.example/v1', waiting: -1 } };
    expect(() => engineSettings(base, waiting)).toThrow(/serve\(\{ upstream \}\) takes a number of requests/);
  });
});
