/** Constants that the build replaces. */

/** `version` of package.json. */
declare const __LLAMATAB_VERSION__: string;

/** The site's base path, if the Vite plugin built the site. Not declared otherwise, so test it with `typeof`. */
declare const __LLAMATAB_BASE__: string;

/** Version of the kernels that the build put into the engine (`src/vite/engine-files.ts`); empty if there are none. */
declare const __LLAMATAB_KERNELS__: string;

/** Names what the build wrote into wllama's WebGPU glue (`src/gpu/build.ts`); empty if nothing. */
declare const __LLAMATAB_GPU_GLUE__: string;
