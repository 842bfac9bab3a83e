/** Constants that the build writes in. */

/** `version` of package.json. */
declare const __LLAMATAB_VERSION__: string;

/** The site's base path, where the Vite plugin built the site; undeclared elsewhere, so ask with `typeof`. */
declare const __LLAMATAB_BASE__: string;

/** Names the kernels that the build put into the engine (`src/vite/engine-files.ts`); empty if it put none. */
declare const __LLAMATAB_KERNELS__: string;

/** Names what the build wrote into wllama's WebGPU glue (`src/vite/gpu-glue.ts`); empty if nothing. */
declare const __LLAMATAB_GPU_GLUE__: string;
