import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RuntimeManifest } from '../protocol.ts';
import { PROTOCOL_VERSION } from '../transport/locks.ts';
import { deployOf, engineUrls, readDeploy } from './deploy.ts';

const base = 'https://a.example/repo/';
const file = (name: string) => `${base}llamatab/${name}`;
const STOCK = {
  'worker.js': 'worker-1.js',
  'wllama.wasm': 'wllama-2.wasm',
  'wllama-compat.wasm': 'wllama-compat-3.wasm',
  'wllama-compat.js': 'wllama-compat-4.js',
};
const manifest = (files: Record<string, string> = {}): RuntimeManifest => ({
  version: '0.2.0',
  protocol: PROTOCOL_VERSION,
  files: { ...STOCK, ...files },
});
const KERNELS = {
  'wllama-relaxed.wasm': 'wllama-relaxed-5.wasm',
  'wllama-simd128.wasm': 'wllama-simd128-6.wasm',
  'wllama-compat-simd128.wasm': 'wllama-compat-simd128-7.wasm',
};

beforeEach(() => {
  vi.stubGlobal('__LLAMATAB_VERSION__', '0.1.0');
});
afterEach(() => vi.unstubAllGlobals());

describe('the engine’s files', () => {
  it.each([
    ['relaxed', false, ['wllama-relaxed-5.wasm']],
    ['simd128', false, ['wllama-simd128-6.wasm']],
    ['stock', false, ['wllama-2.wasm']],
    ['simd128', true, ['wllama-compat-simd128-7.wasm', 'wllama-compat-4.js']],
    ['stock', true, ['wllama-compat-3.wasm', 'wllama-compat-4.js']],
  ] as const)('%s, compatible: %s', (variant, compat, names) => {
    expect(engineUrls(deployOf(manifest(KERNELS), base), { variant, compat })).toEqual(names.map(file));
  });

  it('are wllama’s own in a build without kernels', () => {
    expect(deployOf(manifest(), base)).toEqual({
      workerUrl: file('worker-1.js'),
      assets: {
        wasm: file('wllama-2.wasm'),
        compatWasm: file('wllama-compat-3.wasm'),
        compatWorker: file('wllama-compat-4.js'),
        kernels: { relaxed: {}, simd128: {} },
      },
    });
  });

  it('of another version than the page’s: it has to be reloaded', () => {
    expect(() => deployOf({ ...manifest(), protocol: PROTOCOL_VERSION + 1 }, base)).toThrow(
      /0\.1\.0.*0\.2\.0.*deployed anew since it was opened, or only in part\. Reload the page\.$/,
    );
  });
});

describe('the manifest', () => {
  it('is asked for with revalidation, and as the browser has it where the network does not come', async () => {
    const asked: [url: unknown, cache: RequestCache | undefined][] = [];
    const answers = [() => Promise.reject(new TypeError('no network')), async () => Response.json(manifest())];
    const fetch = async (url: unknown, init?: RequestInit) => {
      asked.push([url, init?.cache]);
      return (answers.shift() as () => Promise<Response>)();
    };
    expect((await readDeploy(base, fetch)).workerUrl).toBe(file('worker-1.js'));
    expect(asked).toEqual([
      [file('manifest.json'), 'no-cache'],
      [file('manifest.json'), 'force-cache'],
    ]);
  });

  it.each([
    ['the host answers 404', async () => new Response('', { status: 404 })],
    ['the host answers something else', async () => new Response('<!doctype html>')],
    ['the host answers something else', async () => Response.json([])],
    ['no network', () => Promise.reject(new TypeError('no network'))],
  ])('%s: says where it was expected, and what to do', async (reason, answer) => {
    await expect(readDeploy(base, answer)).rejects.toMatchObject({
      type: 'unavailable_error',
      message: `llamatab's files are not at ${file('manifest.json')}: ${reason}. Are they there (the Vite plugin adds them), and is \`base\` right?`,
    });
  });
});
