/**
 * Build only: wllama's module with this room's code in its WebGPU glue. wllama carries the glue as a string, which gets another
 * value here.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { build } from 'vite';
import { patchGlue, RUNTIME } from './patch-glue.ts';

const GLUE = /^var WLLAMA_EMSCRIPTEN_CODE = (.*);$/m;

/** The script that is written into the glue. */
export async function gpuRuntime(): Promise<string> {
  const entry = fileURLToPath(new URL('runtime.ts', import.meta.url));
  const bundled = await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    build: { write: false, target: 'es2022', lib: { entry, formats: ['iife'], name: RUNTIME } },
  });
  const [output] = Array.isArray(bundled) ? bundled : [bundled];
  if (output === undefined || !('output' in output)) throw new Error('Vite built no script of src/gpu/runtime.ts.');
  return output.output[0].code;
}

/** What `LLAMATAB_GPU_GLUE` names: wllama's glue as it is published, ours, or ours without fusing dispatches. */
export type GpuGlueMode = 'off' | 'on' | 'unfused';

export function gpuGlueMode(value = 'on'): GpuGlueMode {
  if (value === 'off' || value === 'on' || value === 'unfused') return value;
  throw new Error(`LLAMATAB_GPU_GLUE is "${value}": it may be "on", "unfused" or "off".`);
}

/** wllama's module with our glue in it. */
export async function withOurGlue(module: string, mode: GpuGlueMode = 'on'): Promise<string> {
  if (mode === 'off') return module;
  const runtime = await gpuRuntime();
  return withGlue(module, (glue) => patchGlue(glue, runtime, { fuse: mode === 'on' }));
}

/** wllama's module with another glue. */
export function withGlue(module: string, change: (glue: string) => string): string {
  const [, literal] = GLUE.exec(module) ?? [];
  if (literal === undefined) {
    throw new Error(
      '@wllama/wllama/esm/index.js holds no WLLAMA_EMSCRIPTEN_CODE: install the version of package.json, or build with LLAMATAB_GPU_GLUE=off.',
    );
  }
  const changed = JSON.stringify(change(runInNewContext(literal)));
  return module.replace(GLUE, () => `var WLLAMA_EMSCRIPTEN_CODE = ${changed};`);
}

/** wllama's module, in each way. */
export async function wllamaModules(): Promise<Record<GpuGlueMode, string>> {
  const path = createRequire(import.meta.url).resolve('@wllama/wllama/esm/index.js');
  const off = readFileSync(path, 'utf8');
  return { off, unfused: await withOurGlue(off, 'unfused'), on: await withOurGlue(off) };
}

/** Names the module: speeds that were measured hold for it. Empty for the published one. */
export async function gpuGlueVersion(mode: GpuGlueMode): Promise<string> {
  if (mode === 'off') return '';
  const modules = await wllamaModules();
  return createHash('sha256').update(modules[mode]).digest('hex').slice(0, 8);
}
