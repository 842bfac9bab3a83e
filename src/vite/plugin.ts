/**
 * The Vite plugin: puts the service worker, the engine worker and the engine's wasm into a site, beside its own files.
 *
 * ```ts
 * import { llamatab } from 'llamatab/vite';
 * export default { plugins: [llamatab()] };
 * ```
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin, Rollup } from 'vite';

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

export function llamatab(options: LlamatabPluginOptions = {}): Plugin {
  const runtime = options.runtime ?? fileURLToPath(new URL('./runtime', import.meta.url));
  let base = '/';
  let publicDir = '';

  return {
    name: 'llamatab',
    config({ base = '/', server, preview }, { command }) {
      const isRelative = base === '' || base.startsWith('.');
      // Vite's development server takes a relative base for `/`.
      const known = !isRelative ? base : command === 'serve' ? '/' : RELATIVE_BASE;
      const headers = (own: object | undefined) =>
        options.isolate === false ? {} : { headers: { ...ISOLATION, ...own } };
      return {
        define: { __LLAMATAB_BASE__: JSON.stringify(known) },
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
    },
    /** In development the files are served as they are. */
    configureServer(server) {
      const files = new Set(listFiles(runtime));
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://localhost').pathname;
        const file = path.startsWith(base) ? path.slice(base.length) : '';
        if (!files.has(file)) return next();
        response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/javascript');
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
      handler(_, bundle) {
        const runtimeFiles = listFiles(runtime);
        if (!runtimeFiles.includes('llamatab-sw.js')) {
          this.error(`${runtime} does not hold llamatab's files: build them first (npm run build:runtime).`);
        }
        for (const file of runtimeFiles) {
          this.emitFile({ type: 'asset', fileName: file, source: readFileSync(join(runtime, file)) });
        }
        this.emitFile({
          type: 'asset',
          fileName: 'llamatab/files.json',
          source: JSON.stringify(offlineFiles(options, sizes(bundle, runtime, publicDir)), null, 1),
        });
      },
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
function sizes(bundle: Rollup.OutputBundle, ...folders: string[]): Map<string, number> {
  const built = Object.values(bundle).map((output): [string, number] => {
    const content = output.type === 'chunk' ? output.code : output.source;
    return [output.fileName, Buffer.byteLength(content)];
  });
  const copied = folders
    .filter((folder) => folder !== '')
    .flatMap((folder) => listFiles(folder).map((file): [string, number] => [file, statSync(join(folder, file)).size]));
  return new Map([...built, ...copied]);
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
