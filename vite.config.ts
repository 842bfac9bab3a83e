import { cpSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin, type UserConfig } from 'vite';
import packageJson from './package.json' with { type: 'json' };
import { llamatab } from './src/vite/plugin.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** What the Vite plugin copies into a site: the service worker, the engine worker and the engine's wasm. */
const RUNTIME = here('./dist/lib/runtime');

const define = { __LLAMATAB_VERSION__: JSON.stringify(packageJson.version) };

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
    plugins: [copyWllama()],
    build: {
      outDir: `${RUNTIME}/llamatab`,
      target: 'es2022',
      lib: { entry: here('./src/worker/worker.ts'), formats: ['es'], fileName: () => 'worker.js' },
      rolldownOptions: { output: { chunkFileNames: '[name].js' } },
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
  library: {
    define,
    publicDir: false,
    build: {
      outDir: here('./dist/lib'),
      emptyOutDir: false,
      target: 'es2022',
      minify: false,
      lib: { entry: { index: here('./src/index.ts'), vite: here('./src/vite/plugin.ts') }, formats: ['es'] },
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
  },
  // Not the fallback of single-page applications: a path that is nobody's is a 404, as on a static host.
  appType: 'mpa',
  server: { headers: ISOLATION },
  preview: { headers: ISOLATION, strictPort: true, host: 'localhost' },
};

export default defineConfig(({ mode }) => builds[mode] ?? site);

/** Puts wllama's binaries beside the worker that loads them. */
function copyWllama(): Plugin {
  return {
    name: 'llamatab:wllama',
    closeBundle() {
      const require = createRequire(import.meta.url);
      const wllama = dirname(require.resolve('@wllama/wllama/esm/index.js'));
      const compat = resolve(dirname(require.resolve('@wllama/wllama-compat')), 'wasm');
      mkdirSync(`${RUNTIME}/llamatab`, { recursive: true });
      cpSync(`${wllama}/wasm/wllama.wasm`, `${RUNTIME}/llamatab/wllama.wasm`);
      cpSync(`${compat}/wllama.wasm`, `${RUNTIME}/llamatab/wllama-compat.wasm`);
      cpSync(`${compat}/wllama.js`, `${RUNTIME}/llamatab/wllama-compat.js`);
    },
  };
}
