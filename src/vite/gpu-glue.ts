/** Build only: puts `src/gpu/` between ggml's WebGPU calls and the browser's. */
import type { Plugin } from 'vite';
import { withOurGlue } from '../gpu/build.ts';

const WLLAMA = '/@wllama/wllama/esm/index.js';

export function gpuGlue(): Plugin {
  return {
    name: 'llamatab:gpu-glue',
    async transform(code, id) {
      return id.endsWith(WLLAMA) ? { code: await withOurGlue(code), map: null } : undefined;
    },
  };
}
