/**
 * The measurement: curl and the store in turn, from one server, each to a disk without the file.
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { build } from 'vite';
import { root } from '../../src/cli/prerequisites.mjs';
import { executableOf, openBrowser } from './browser.mjs';
import { writeNoise } from './gguf.mjs';

/** @typedef {'parts' | 'whole' | 'none'} Hashes which SHA-256 the catalog has: of each part, of the whole, or none */
/** @typedef {{ seconds: number, memory: number }} Sample memory: bytes at most, above the idle page */
/** @typedef {{ size: number, curl: number[], store: Record<Hashes, Sample[]> }} Measured curl: seconds */
/** @typedef {{ date: string, machine: string, loadAverage: number[], runs: number, measured: Measured[] }} StoreResult */

/** @type {Hashes[]} */
const HASHES = ['parts', 'whole', 'none'];
/** Milliseconds between two readings of the memory. */
const INTERVAL = 50;

/**
 * @param {{ runs: number, sizes: number[], chromium: string | null }} options
 * @returns {Promise<StoreResult>}
 */
export async function measureStore({ runs, sizes, chromium }) {
  const { executable, version } = executableOf(chromium);
  const folder = mkdtempSync(join(tmpdir(), 'llamatab-bench-store-'));
  const loadBefore = loadavg()[0] ?? 0;
  const code = await bundle();
  const server = await serve(folder, code);
  try {
    /** @type {Measured[]} */
    const measured = [];
    for (const bytes of sizes) {
      const name = 'noise.gguf';
      const file = writeNoise(join(folder, name), bytes);
      /** @type {Measured} */
      const one = { size: file.size, curl: [], store: { parts: [], whole: [], none: [] } };
      for (let run = 1; run <= runs; run++) {
        one.curl.push(await curl(`${server.url}${name}`, join(folder, 'copy')));
        for (const hashes of HASHES) {
          server.model = modelOf(`${server.url}${name}`, file, hashes);
          one.store[hashes].push(await visit(executable, server));
        }
        const rate = (/** @type {number} */ seconds) => `${Math.round(file.size / 1e6 / seconds)} MB/s`;
        console.error(
          `${Math.round(file.size / 1e6)} MB, run ${run} of ${runs}: curl ${rate(one.curl.at(-1) ?? 0)}, ` +
            HASHES.map((hashes) => `${hashes} ${rate(one.store[hashes].at(-1)?.seconds ?? 0)}`).join(', '),
        );
      }
      measured.push(one);
    }
    return {
      date: new Date().toISOString(),
      machine: `${cpus()[0]?.model}, ${cpus().length} cores, ${process.platform} ${process.arch}, ${version} (headless), Node ${process.versions.node}`,
      loadAverage: [loadBefore, loadavg()[0] ?? 0],
      runs,
      measured,
    };
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns {Promise<string>} */
async function bundle() {
  const result = await build({
    configFile: false,
    root,
    publicDir: false,
    logLevel: 'warn',
    build: { write: false, target: 'es2022', lib: { entry: join(root, 'bench/store/page.ts'), formats: ['es'] } },
  });
  const [output] = /** @type {import('vite').Rolldown.RolldownOutput[]} */ (result);
  const [chunk] = output?.output ?? [];
  if (chunk?.type !== 'chunk') throw new Error('The page has no code.');
  return chunk.code;
}

/**
 * @param {string} url
 * @param {{ size: number, sha256: string, parts: string[] }} file
 * @param {Hashes} hashes
 * @returns {import('../../src/models/models.ts').CatalogModel}
 */
function modelOf(url, { size, sha256, parts }, hashes) {
  const known = hashes === 'parts' ? { sha256, parts } : hashes === 'whole' ? { sha256 } : {};
  return {
    id: 'noise',
    files: [{ name: 'noise.gguf', size, pieces: [{ url, size, ...known }] }],
    capabilities: ['completion'],
    contextLength: 2048,
    name: 'Noise',
    authors: 'nobody',
    license: 'none',
  };
}

/**
 * @param {string} url
 * @param {string} path
 */
async function curl(url, path) {
  const start = performance.now();
  const [code] = await once(spawn('curl', ['--silent', '--fail', '--output', path, url], { stdio: 'inherit' }), 'exit');
  const seconds = (performance.now() - start) / 1000;
  if (code !== 0) throw new Error(`curl ended with ${code}.`);
  rmSync(path);
  return seconds;
}

/**
 * @param {string} executable
 * @param {Awaited<ReturnType<typeof serve>>} server
 * @returns {Promise<Sample>}
 */
async function visit(executable, server) {
  const browser = openBrowser(executable, server.url);
  try {
    await server.nextReport();
    const before = browser.memory();
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, browser.memory());
    }, INTERVAL);
    const { milliseconds, state } = await server.nextReport();
    clearInterval(timer);
    if (state !== 'complete') throw new Error(`The model is ${state}.`);
    return { seconds: milliseconds / 1000, memory: peak - before };
  } finally {
    await browser.close();
  }
}

/**
 * A static host that knows `Range`, and the page.
 * @param {string} folder
 * @param {string} code
 */
async function serve(folder, code) {
  /** @type {{ error?: string, milliseconds: number, state: string }[]} */
  const reports = [];
  let wake = () => {};
  const state = {
    url: '',
    /** @type {object} */
    model: {},
    /** @returns {Promise<(typeof reports)[number]>} */
    async nextReport() {
      while (reports.length === 0) {
        await new Promise((resolve) => {
          wake = () => resolve(undefined);
        });
      }
      const report = /** @type {(typeof reports)[number]} */ (reports.shift());
      if (report.error !== undefined) throw new Error(report.error);
      return report;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve(undefined));
        server.closeAllConnections();
      }),
  };
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      reports.push(JSON.parse(await text(request)));
      response.end();
      wake();
    } else if (request.url === '/') {
      response
        .setHeader('Content-Type', 'text/html')
        .end('<!doctype html><script type="module" src="/page.js"></script>');
    } else if (request.url === '/page.js') response.setHeader('Content-Type', 'text/javascript').end(code);
    else if (request.url === '/model.json') response.end(JSON.stringify(state.model));
    else if (request.url === '/noise.gguf') sendFile(join(folder, 'noise.gguf'), request, response);
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, 'localhost', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  state.url = `http://localhost:${port}/`;
  return state;
}

/**
 * @param {string} path
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function sendFile(path, request, response) {
  const { size } = statSync(path);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range ? Math.min(Number(range[2]), size - 1) : size - 1;
  response.writeHead(range ? 206 : 200, {
    'Content-Length': end - start + 1,
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {}),
    'Content-Type': 'application/octet-stream',
    'Cache-Control': 'no-store',
  });
  createReadStream(path, { start, end, highWaterMark: 2 ** 20 }).pipe(response);
}
