/**
 * What the browser visits: the built site, and the pages of this benchmark beside it.
 * @module
 */
import { EventEmitter, once } from 'node:events';
import { appendFileSync, cpSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import sirv from 'sirv';
import { build } from 'vite';
import { root } from '../src/cli/prerequisites.mjs';

/** @typedef {import('./pages/contender.ts').Outcome<unknown>} Outcome */

const SITE = join(root, 'dist/bench');

/**
 * @typedef {object} Site
 * @property {string} url
 * @property {string} model URL of the default model as one file
 * @property {() => Promise<Outcome>} nextReport what a page will send
 * @property {() => Promise<void>} close
 */

/** @returns {Promise<Site>} */
export async function startSite() {
  // A copy: the built site may change while this runs.
  rmSync(SITE, { recursive: true, force: true });
  cpSync(join(root, 'dist/site'), SITE, { recursive: true });
  await buildPages();
  const model = joinPieces();

  // As long as on GitHub Pages, so that raw wllama need not fetch its wasm again either.
  const files = sirv(SITE, { etag: true, maxAge: 600, setHeaders: isolate });
  const reports = new EventEmitter();
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return files(request, response);
    const report = JSON.parse(await text(request));
    response.end();
    if (report.error) reports.emit('error', new Error(report.error));
    else reports.emit('report', report);
  });
  await new Promise((resolve) => server.listen(0, 'localhost', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://localhost:${port}/`;
  return {
    url,
    model: url + model,
    nextReport: async () => (await once(reports, 'report'))[0],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** @param {import('node:http').ServerResponse} response */
function isolate(response) {
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
}

async function buildPages() {
  const pages = join(root, 'bench/pages');
  await build({
    configFile: false,
    logLevel: 'warn',
    root: pages,
    publicDir: false,
    worker: { format: 'es' },
    build: {
      outDir: SITE,
      emptyOutDir: false,
      target: 'es2022',
      assetsDir: 'bench',
      rolldownOptions: { input: [join(pages, 'raw.html'), join(pages, 'llamatab.html')] },
    },
  });
}

/** The default model as one file, because wllama takes no pieces. */
function joinPieces() {
  const folder = join(SITE, 'models');
  const catalog = JSON.parse(readFileSync(join(folder, 'catalog.json'), 'utf8'));
  const model = catalog.models.find((/** @type {{ id: string }} */ { id }) => id === catalog.default);
  const [file] = model.files;
  const path = join(SITE, file.name);
  for (const { url } of file.pieces) appendFileSync(path, readFileSync(join(folder, url)));
  return file.name;
}
