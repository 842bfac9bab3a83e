import { describe, expect, it } from 'vitest';
import { limitsOf, type Scope, whyUnsupported } from './browser.ts';

/** A browser that has all of it. */
const modern: Scope = {
  navigator: { locks: {}, gpu: {} },
  AbortSignal,
  WebAssembly: Object.assign(Object.create(null), { validate: () => true, Suspending: class {} }),
  crossOriginIsolated: true,
  SharedArrayBuffer,
};

describe('whyUnsupported', () => {
  it('is null in a browser that has all', () => {
    expect(whyUnsupported(modern)).toBeNull();
  });

  it('is null in Node’s V8, but for Web Locks: the module that is tried is valid', () => {
    expect(whyUnsupported({ ...modern, WebAssembly })).toBeNull();
  });

  it('names what is missing, and since when browsers have it', () => {
    expect(whyUnsupported({ ...modern, navigator: {} })).toBe(
      'This browser is too old for llamatab: it lacks Web Locks (Chrome 69, Firefox 96 or Safari 15.4). ' +
        'Update it, or use another one.',
    );
    const old = { ...modern, AbortSignal: {}, WebAssembly: { validate: () => false } };
    expect(whyUnsupported(old)).toMatch(/SIMD in WebAssembly \(.*\), and AbortSignal\.any \(/);
  });
});

describe('limitsOf', () => {
  it('is nothing in a browser that has all', () => {
    expect(limitsOf(modern)).toEqual([]);
  });

  it.each([
    ['JSPI', { WebAssembly: { validate: () => true } }],
    ['64-bit memory', { WebAssembly: Object.assign({ validate: () => false }, { Suspending: class {} }) }],
    ['SharedArrayBuffer', { SharedArrayBuffer: undefined }],
    ['WebGPU', { navigator: { locks: {} } }],
  ])('%s', (name, change) => {
    const limits = limitsOf({ ...modern, ...change } as Scope);
    expect(limits).toEqual([expect.stringContaining(name)]);
  });

  it('does not blame the browser for a page that is not isolated', () => {
    expect(limitsOf({ ...modern, crossOriginIsolated: false, SharedArrayBuffer: undefined })).toEqual([]);
  });
});
