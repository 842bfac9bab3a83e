/** What the build writes into wllama's glue, as one script (`patch-glue.ts`). */
export { GpuGlue } from './gpu-glue.ts';
export { requestAdapter } from './request-adapter.ts';
