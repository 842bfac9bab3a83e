/** Constants that the build replaces. */

/** `version` of package.json. */
declare const __LLAMATAB_VERSION__: string;

/** The site's base path, if the Vite plugin built the site. Not declared otherwise, so test it with `typeof`. */
declare const __LLAMATAB_BASE__: string;

/** A version of each file in `llamatab/`, by its content (`src/vite/file-versions.ts`). Not declared where nothing was built. */
declare const __LLAMATAB_FILES__: Record<string, string>;

/**
 * Builds of the engine that the site left out (`src/engine-builds.ts`). Not declared where the plugin or `npx llamatab init` did not
 * say so.
 */
declare const __LLAMATAB_LEFT_OUT__: readonly import('./engine-builds.ts').EngineBuild[];

/** Version of the kernels that the build put into the engine (`src/vite/engine-files.ts`); empty if there are none. */
declare const __LLAMATAB_KERNELS__: string;

/** Names what the build wrote into wllama's WebGPU glue (`src/gpu/build.ts`); empty if nothing. */
declare const __LLAMATAB_GPU_GLUE__: string;
