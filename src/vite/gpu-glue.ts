/** Build only: puts `src/gpu/` between ggml's WebGPU calls and the browser's. */
import type { Plugin } from 'vite';
import { type GpuGlueMode, withOurGlue } from '../gpu/build.ts';

const WLLAMA = '/@wllama/wllama/esm/index.js';

export function gpuGlue(mode: GpuGlueMode): Plugin {
  return {
    name: 'llamatab:gpu-glue',
    async transform(code, id) {
      return id.endsWith(WLLAMA) ? { code: await withOurGlue(code, mode), map: null } : undefined;
    },
  };
}
