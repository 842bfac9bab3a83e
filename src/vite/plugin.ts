/**
 * The Vite plugin: puts the service worker, the engine worker and the engine's wasm into a site, beside its own files.
 *
 * ```ts
 * import { llamatab } from 'llamatab/vite';
 * export default { plugins: [llamatab()] };
 * ```
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { type EngineBuild, isLeftOut } from '../engine-builds.ts';
import { versionOf } from './file-versions.ts';
import { NO_MODELS, prepareModels, type SiteModel, type SiteModels, serveModels } from './site-models.ts';

export type { EngineBuild, SiteModel };

export interface LlamatabPluginOptions {
  /**
   * Send the headers of cross-origin isolation in development and preview, so that the engine may use threads; headers of your own
   * stay as they are. Default: true.
   */
  isolate?: boolean;
  /**
   * Which of the site's files are kept for offline visits from the start, by their path below the base. Default: all but models,
   * WebAssembly and source maps.
   */
  offline?: (file: string) => boolean;
  /**
   * Models of the site, the first of which is its default: ids of the models that come with llamatab (package `llamatab-models`),
   * GGUF files, URLs of such, or a hub's `owner/repo:quant`. In place of a `models/catalog.json` of the site's own.
   */
  models?: readonly (string | SiteModel)[];
  /**
   * Builds of the engine that the site does without, to be smaller. `compat` (38 of 67 MB) is for browsers without JSPI or memory64
   * (Firefox, Safari), `stock` for those without SIMD. A visitor's browser fetches one build. Default: none.
   */
  leaveOut?: readonly EngineBuild[];
  /** Folder of the files to put into the site. Default: the package's own. */
  runtime?: string;
}

/** Files that a site does not keep for offline use from the start: they are big, or not every browser needs them. */
const NOT_LISTED = /\.(wasm|map|gguf)$|\.gguf\.|wllama-compat\.js$/;

/** Stands for the site's base in a build with a relative one, until each chunk's place below it is known. */
const RELATIVE_BASE = '__LLAMATAB_RELATIVE_BASE__';

const WORKER = 'llamatab/worker.js';

/** `credentialless` leaves images and scripts of other origins as they are. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'credentialless',
};

/** Where the models are in `public/`. The store keeps them in IndexedDB, and they may be gigabytes. */
const MODELS = 'models/';
const CATALOG = `${MODELS}catalog.json`;

export function llamatab(options: LlamatabPluginOptions = {}): Plugin {
  const runtime = options.runtime ?? fileURLToPath(new URL('./runtime', import.meta.url));
  const { leaveOut = [] } = options;
  let base = '/';
  let publicDir = '';
  let prepare: () => Promise<SiteModels> = async () => NO_MODELS;
  const runtimeFiles = () => listFiles(runtime).filter((file) => !isLeftOut(file, leaveOut));

  return {
    name: 'llamatab',
    config({ base = '/', server, preview }, { command }) {
      const isRelative = base === '' || base.startsWith('.');
      // Vite's development server takes a relative base for `/`.
      const known = !isRelative ? base : command === 'serve' ? '/' : RELATIVE_BASE;
      const headers = (own: object | undefined) =>
        options.isolate === false ? {} : { headers: { ...ISOLATION, ...own } };
      return {
        define: {
          __LLAMATAB_BASE__: JSON.stringify(known),
          ...(leaveOut.length === 0 ? {} : { __LLAMATAB_LEFT_OUT__: JSON.stringify(leaveOut) }),
        },
        server: headers(server?.headers),
        preview: headers(preview?.headers),
      };
    },
    /** A relative base is known from where the chunk lies, as a page's address may be any. */
    renderChunk(code, { fileName }, { format }) {
      if (!code.includes(RELATIVE_BASE)) return null;
      const up = '../'.repeat(fileName.split('/').length - 1) || './';
      const from = format === 'es' ? 'import.meta.url' : 'document.baseURI';
      const expression = `new URL(${JSON.stringify(up)}, ${from}).href`;
      return { code: code.replaceAll(new RegExp(`(["'\`])${RELATIVE_BASE}\\1`, 'g'), expression), map: null };
    },
    configResolved(config) {
      base = config.base;
      publicDir = config.publicDir;
      const { models = [] } = options;
      if (models.length === 0) return;
      const own = join(publicDir, CATALOG);
      if (publicDir && existsSync(own)) {
        throw new Error(
          `llamatab({ models }) makes the site's catalog, and ${own} is one too: leave out one of them (\`npx llamatab add\` adds to the file).`,
        );
      }
      const context = { root: config.root, cacheDir: join(config.cacheDir, 'llamatab-models') };
      let prepared: Promise<SiteModels> | undefined;
      prepare = () => {
        prepared ??= prepareModels(models, context, (line) => config.logger.info(line));
        return prepared;
      };
    },
    /** In development the files are served as they are. */
    configureServer(server) {
      const files = new Set(runtimeFiles());
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://localhost').pathname;
        const file = path.startsWith(base) ? path.slice(base.length) : '';
        if (file.startsWith(MODELS)) {
          prepare().then((models) => serveModels(models, file, request, response, next), next);
          return;
        }
        if (!files.has(file)) return next();
        response.setHeader('Content-Type', file.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
        response.setHeader('Cache-Control', 'no-cache');
        // A worker of an isolated page needs the headers itself.
        for (const [name, value] of Object.entries(server.config.server.headers ?? {})) {
          if (value !== undefined) response.setHeader(name, value);
        }
        response.end(readFileSync(join(runtime, file)));
      });
    },
    generateBundle: {
      // After Vite's own plugins, because the pages are not in the bundle before.
      order: 'post',
      async handler(_, bundle) {
        const { catalog } = await prepare();
        if (catalog !== null) this.emitFile({ type: 'asset', fileName: CATALOG, source: catalog });
        const files = runtimeFiles();
        if (!files.includes('llamatab-sw.js')) {
          this.error(`${runtime} does not hold llamatab's files: build them first (npm run build:runtime).`);
        }
        for (const file of files) {
          this.emitFile({ type: 'asset', fileName: file, source: readFileSync(join(runtime, file)) });
        }
        const catalogs = catalog === null ? [] : [CATALOG];
        const own = [
          ...Object.keys(bundle),
          ...files,
          ...catalogs,
          ...(existsSync(publicDir) ? listFiles(publicDir) : []),
        ];
        const listed = own.filter(options.offline ?? ((file) => !NOT_LISTED.test(file) && !isModelFile(file)));
        const pages = listed.map((file) =>
          // As pages ask for it: an index page by the address of its folder, the engine worker by its version.
          file === WORKER
            ? `${WORKER}?v=${versionOf(readFileSync(join(runtime, WORKER)))}`
            : file.replace(/(^|\/)index\.html$/, '$1'),
        );
        this.emitFile({
          type: 'asset',
          fileName: 'llamatab/files.json',
          source: JSON.stringify([...new Set(pages)].sort(), null, 1),
        });
      },
    },
    /** Past the bundle: models are too big to be held in memory. */
    async writeBundle({ dir = '' }) {
      const { files } = await prepare();
      for (const [file, path] of files) {
        mkdirSync(dirname(join(dir, file)), { recursive: true });
        cpSync(path, join(dir, file));
      }
    },
  };
}

function isModelFile(file: string): boolean {
  return file.startsWith(MODELS) && !file.endsWith('catalog.json');
}

/** Paths of a folder's files, relative to it, with slashes. */
function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => statSync(join(folder, path)).isFile());
}
