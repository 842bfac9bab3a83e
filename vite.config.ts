import { fileURLToPath } from 'node:url';
import { defineConfig, type UserConfig } from 'vite';
import packageJson from './package.json' with { type: 'json' };
import { gpuGlueMode, gpuGlueVersion } from './src/gpu/build.ts';
import { PROTOCOL_VERSION } from './src/transport/locks.ts';
import { engineFiles, kernelsVersion } from './src/vite/engine-files.ts';
import { gpuGlue } from './src/vite/gpu-glue.ts';
import { llamatab } from './src/vite/plugin.ts';
import { runtimeManifest } from './src/vite/runtime-manifest.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** What the Vite plugin copies into a site: the service worker, the engine worker and the engine's wasm. */
const RUNTIME = here('./dist/lib/runtime');

const CACHE = here('./node_modules/.cache/llamatab');
/** `LLAMATAB_KERNELS=off npm run build` leaves our kernels out of the engine. */
const KERNELS = process.env.LLAMATAB_KERNELS !== 'off';
/** `LLAMATAB_GPU_GLUE=off npm run build` leaves wllama's WebGPU calls as they are published, `=unfused` its dispatches. */
const GPU_GLUE = gpuGlueMode(process.env.LLAMATAB_GPU_GLUE);

const define = {
  __LLAMATAB_VERSION__: JSON.stringify(packageJson.version),
  __LLAMATAB_KERNELS__: JSON.stringify(kernelsVersion(KERNELS)),
  __LLAMATAB_GPU_GLUE__: JSON.stringify(await gpuGlueVersion(GPU_GLUE)),
};

/** Make the page cross-origin isolated, so that the engine may use threads. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** One build per environment, because each has other globals and another format: `vite build --mode <name>`. */
const builds: Record<string, UserConfig> = {
  /** The engine worker: a module; wllama sits in a chunk of its own, loaded when the worker is elected. */
  worker: {
    define,
    publicDir: false,
    plugins: [
      runtimeManifest({ version: packageJson.version, protocol: PROTOCOL_VERSION }, () =>
        engineFiles({ cacheDir: CACHE, kernels: KERNELS }),
      ),
      gpuGlue(GPU_GLUE),
    ],
    build: {
      outDir: `${RUNTIME}/llamatab`,
      target: 'es2022',
      lib: { entry: { worker: here('./src/worker/worker.ts') }, formats: ['es'], fileName: () => '[name]-[hash].js' },
      rolldownOptions: { output: { chunkFileNames: '[name]-[hash].js' } },
    },
  },
  /** Classic, because module service workers are younger than everything else that we need. */
  'service-worker': {
    define,
    publicDir: false,
    build: {
      outDir: RUNTIME,
      emptyOutDir: false,
      target: 'es2022',
      lib: {
        entry: here('./src/service-worker/service-worker.ts'),
        formats: ['iife'],
        name: 'llamatab',
        fileName: () => 'llamatab-sw.js',
      },
    },
  },
  /** The OpenAI client as one file of the site, for the browser's developer tools. */
  openai: {
    publicDir: false,
    build: {
      outDir: here('./dist/site/examples'),
      target: 'es2022',
      lib: { entry: here('./node_modules/openai/index.mjs'), formats: ['es'], fileName: () => 'openai.js' },
    },
  },
  /** The library as one module, which `npx llamatab init` puts into a site without a bundler. */
  page: {
    define,
    publicDir: false,
    build: {
      outDir: here('./dist/lib/page'),
      target: 'es2022',
      lib: { entry: here('./src/index.ts'), formats: ['es'], fileName: () => 'llamatab.js' },
    },
  },
  library: {
    define,
    publicDir: false,
    build: {
      outDir: here('./dist/lib'),
      emptyOutDir: false,
      target: 'es2022',
      minify: false,
      lib: {
        entry: {
          index: here('./src/index.ts'),
          vite: here('./src/vite/plugin.ts'),
          cli: here('./src/cli/llamatab.ts'),
        },
        formats: ['es'],
      },
      rolldownOptions: { external: [/^node:/, 'vite'] },
    },
  },
};

const site: UserConfig = {
  root: here('./src/console'),
  define,
  publicDir: here('./public'),
  plugins: [llamatab({ runtime: RUNTIME })],
  build: {
    outDir: here('./dist/site'),
    emptyOutDir: true,
    target: 'es2022',
    rolldownOptions: { input: [here('./src/console/index.html'), here('./src/console/docs/index.html')] },
  },
  // Not the fallback of single-page applications: a path that is nobody's is a 404, as on a static host.
  appType: 'mpa',
  server: { headers: ISOLATION },
  preview: { headers: ISOLATION, strictPort: true, host: 'localhost' },
};

export default defineConfig(({ mode }) => builds[mode] ?? site);
