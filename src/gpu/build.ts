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

/** wllama's module with our glue in it. */
export async function withOurGlue(module: string): Promise<string> {
  const runtime = await gpuRuntime();
  return withGlue(module, (glue) => patchGlue(glue, runtime));
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

/** wllama's module, as it is published and with our glue. */
export async function wllamaModules(): Promise<{ published: string; ours: string }> {
  const path = createRequire(import.meta.url).resolve('@wllama/wllama/esm/index.js');
  const published = readFileSync(path, 'utf8');
  const runtime = await gpuRuntime();
  return { published, ours: withGlue(published, (glue) => patchGlue(glue, runtime)) };
}

/** Names the module with our glue: speeds that were measured hold for it. Empty without ours. */
export async function gpuGlueVersion(on: boolean): Promise<string> {
  if (!on) return '';
  const { ours } = await wllamaModules();
  return createHash('sha256').update(ours).digest('hex').slice(0, 8);
}
