/** Constants that the build writes in. */

/** `version` of package.json. */
declare const __LLAMATAB_VERSION__: string;

/** The site's base path, where the Vite plugin built the site; undeclared elsewhere, so ask with `typeof`. */
declare const __LLAMATAB_BASE__: string;

/** Whether the build put our kernels into the engine: the files that `src/vite/engine-files.ts` names are there. */
declare const __LLAMATAB_KERNELS__: boolean;
