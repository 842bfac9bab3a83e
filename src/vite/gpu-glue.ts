/**
 * Build only: puts `src/gpu/` between ggml's WebGPU calls and the browser's. wllama carries its glue as a string in its module,
 * which this plugin gives another value.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { build, type Plugin } from 'vite';
import { patchGlue, RUNTIME } from '../gpu/patch-glue.ts';

const WLLAMA = '/@wllama/wllama/esm/index.js';
const GLUE = /^var WLLAMA_EMSCRIPTEN_CODE = (.*);$/m;

export function gpuGlue(): Plugin {
  return {
    name: 'llamatab:gpu-glue',
    async transform(code, id) {
      if (!id.endsWith(WLLAMA)) return;
      const runtime = await gpuRuntime();
      return { code: withGlue(code, (glue) => patchGlue(glue, runtime)), map: null };
    },
  };
}

/** The script that is written into the glue. */
export async function gpuRuntime(): Promise<string> {
  const entry = fileURLToPath(new URL('../gpu/runtime.ts', import.meta.url));
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
