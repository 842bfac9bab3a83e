/**
 * The Vite plugin: puts the service worker, the engine worker and the engine's wasm into a site, beside its own files.
 *
 * ```ts
 * import { llamatab } from 'llamatab/vite';
 * export default { plugins: [llamatab()] };
 * ```
 */
import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin, Rollup } from 'vite';
import { listFiles, runtimeFiles } from '../cli/runtime-files.ts';
import type { EngineBuild } from '../engine-builds.ts';
import { NO_MODELS, prepareModels, type SiteModel, type SiteModels, serveModels } from './site-models.ts';

export type { EngineBuild, SiteModel };

export interface LlamatabPluginOptions {
  /**
   * Send the headers of cross-origin isolation in development and preview, so that the engine may use threads; headers of your own
   * stay as they are. Default: true.
   */
  isolate?: boolean;
  /**
   * Which of the site's files are kept for offline visits from the start, by their path below the base and their size in bytes; false to
   * keep nothing at all. Default: all up to 5 MiB but models, WebAssembly and source maps.
   */
  offline?: ((file: string, size: number) => boolean) | false;
  /** Of other files that pages ask for, how many bytes of the latest are kept; 0 for none. Default: 50 MiB. */
  offlineOtherBytes?: number;
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
const LARGE = 5 * 2 ** 20;
const NOT_LISTED = /\.(wasm|map|gguf)$|\.gguf\.|wllama-compat-\w+\.js$/;

/** Stands for the site's base in a build with a relative one, until each chunk's place below it is known. */
const RELATIVE_BASE = '__LLAMATAB_RELATIVE_BASE__';

/** `credentialless` leaves images and scripts of other origins as they are. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'credentialless',
};

const TYPES: Record<string, string> = { '.wasm': 'application/wasm', '.json': 'application/json' };

/** Where the models are in `public/`. The store keeps them in IndexedDB, and they may be gigabytes. */
const MODELS = 'models/';
const CATALOG = `${MODELS}catalog.json`;

export function llamatab(options: LlamatabPluginOptions = {}): Plugin {
  const runtime = options.runtime ?? fileURLToPath(new URL('./runtime', import.meta.url));
  const { leaveOut = [] } = options;
  let base = '/';
  let publicDir = '';
  let prepare: () => Promise<SiteModels> = async () => NO_MODELS;

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
      const files = runtimeFiles(runtime, leaveOut);
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://localhost').pathname;
        const file = path.startsWith(base) ? path.slice(base.length) : '';
        if (file.startsWith(MODELS)) {
          prepare()
            .then((models) => serveModels(models, file, request, response, next))
            .catch(next);
          return;
        }
        const read = files.get(file);
        if (read === undefined) return next();
        response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/javascript');
        response.setHeader('Cache-Control', 'no-cache');
        // A worker of an isolated page needs the headers itself.
        for (const [name, value] of Object.entries(server.config.server.headers ?? {})) {
          if (value !== undefined) response.setHeader(name, value);
        }
        response.end(read());
      });
    },
    generateBundle: {
      // After Vite's own plugins, because the pages are not in the bundle before.
      order: 'post',
      async handler(_, bundle) {
        const { catalog } = await prepare();
        if (catalog !== null) this.emitFile({ type: 'asset', fileName: CATALOG, source: catalog });
        const files = runtimeFiles(runtime, leaveOut);
        if (files.size === 0) {
          this.error(`${runtime} does not hold llamatab's files: build them first (npm run build:runtime).`);
        }
        const known = sizes(bundle, publicDir);
        for (const [file, read] of files) {
          const source = read();
          known.set(file, source.byteLength);
          this.emitFile({ type: 'asset', fileName: file, source });
        }
        if (catalog !== null) known.set(CATALOG, Buffer.byteLength(catalog));
        this.emitFile({
          type: 'asset',
          fileName: 'llamatab/files.json',
          source: JSON.stringify(offlineFiles(options, known), null, 1),
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

/** What `src/service-worker/offline-files.ts` reads. */
export function offlineFiles(
  { offline = byDefault, offlineOtherBytes }: LlamatabPluginOptions,
  files: Map<string, number>,
): string[] | { files: string[]; otherBytes: number } | false {
  if (offline === false) return false;
  const listed = [...files].filter(([file, size]) => offline(file, size));
  // As pages ask for it: an index page by the address of its folder.
  const paths = [...new Set(listed.map(([file]) => file.replace(/(^|\/)index\.html$/, '$1')))].sort();
  return offlineOtherBytes === undefined ? paths : { files: paths, otherBytes: offlineOtherBytes };
}

function byDefault(file: string, size: number): boolean {
  return size <= LARGE && !NOT_LISTED.test(file) && !isModelFile(file);
}

/** Of all files of the site, in bytes. */
function sizes(bundle: Rollup.OutputBundle, publicDir: string): Map<string, number> {
  const built = Object.values(bundle).map((output): [string, number] => {
    const content = output.type === 'chunk' ? output.code : output.source;
    return [output.fileName, Buffer.byteLength(content)];
  });
  const copied = existsSync(publicDir) ? listFiles(publicDir) : [];
  return new Map([...built, ...copied.map((file): [string, number] => [file, statSync(join(publicDir, file)).size])]);
}

function isModelFile(file: string): boolean {
  return file.startsWith(MODELS) && !file.endsWith('catalog.json');
}
