/** GPUs for browsers that have none: scripts that run in front of the engine's workers. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { FakeGpu } from '../../src/gpu/fake-gpu.ts';
import { path } from './paths.ts';
import type { SiteServer } from './site-server.ts';

/** `test/bundles/fake-gpu.ts`, as a script. */
export const fakeGpu = () => readFileSync(path('dist/test/fake-gpu.js'), 'utf8');

/**
 * Has a script run in front of the engine worker's code, and of wllama's in it: that one is made of a Blob, which the script
 * is put into.
 */
export function inEngineWorkers(site: SiteServer, script: string): void {
  const folder = path('dist/site/llamatab');
  // Named by its content.
  const name = readdirSync(folder).find((name) => /^build-.*\.js$/.test(name));
  if (name === undefined) throw new Error(`${folder} has no build-*.js: run \`npm run build\` first.`);
  const code = readFileSync(`${folder}/${name}`, 'utf8');
  site.put(`/llamatab/${name}`, `${script};\n${inWllamaWorker(script)};\n${code}`);
}

/** Code of the same effect, for a page or worker that uses wllama itself. */
export function inWllamaWorker(script: string): string {
  return `globalThis.Blob = new Proxy(Blob, {
    construct(target, [parts, options]) {
      const isWllama = parts?.some?.((part) => typeof part === 'string' && part.includes('_emwgpu'));
      return new target(isWllama ? [${JSON.stringify(script)}, ';', ...parts] : parts, options);
    },
  })`;
}

/** What was called of the GPU of `fakeGpu`, since it began. */
export function gpuCalls(page: Page): Promise<Pick<FakeGpu, 'calls' | 'asked' | 'pipelines'>> {
  return page.evaluate(
    () =>
      new Promise<Pick<FakeGpu, 'calls' | 'asked' | 'pipelines'>>((resolve) => {
        const channel = new BroadcastChannel('gpu-calls');
        channel.onmessage = ({ data }) => {
          if (data === null) return;
          channel.close();
          resolve(data);
        };
        channel.postMessage(null);
      }),
  );
}
