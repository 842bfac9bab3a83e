/**
 * The measurement: one visit, all glues in turn.
 * @module
 */
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { build, runnerImport } from 'vite';
import { root } from '../../src/cli/prerequisites.mjs';
import { executableOf, openBrowser } from '../store/browser.mjs';

/** @typedef {import('./page.ts').Report} Report */
/** @typedef {Report & { date: string, machine: string, loadAverage: number[], runs: number, tokens: number }} GpuCallsResult */

/** Chromium has WebGPU on SwiftShader only if it is told to. */
const ARGS = ['--enable-unsafe-webgpu', '--ignore-gpu-blocklist'];

/**
 * @param {{ runs: number, tokens: number, chromium: string | null }} options
 * @returns {Promise<GpuCallsResult>}
 */
export async function measureGpuCalls({ runs, tokens, chromium }) {
  const { executable, version } = executableOf(chromium);
  const loadBefore = loadavg()[0] ?? 0;
  const server = await serve(await contents());
  const browser = openBrowser(executable, `${server.url}?runs=${runs}&tokens=${tokens}`, ARGS);
  try {
    const { report, error } = await server.report;
    if (error) throw new Error(error);
    return {
      ...report,
      date: new Date().toISOString(),
      machine: `${cpus()[0]?.model}, ${cpus().length} cores, ${process.platform} ${process.arch}, ${version} (headless)`,
      loadAverage: [loadBefore, loadavg()[0] ?? 0],
      runs,
      tokens,
    };
  } finally {
    await browser.close();
    await server.close();
  }
}

/** @returns {Promise<Record<string, [type: string, body: string | Buffer]>>} by path */
async function contents() {
  const wllama = join(root, 'node_modules/@wllama/wllama/esm');
  // It is TypeScript, which Node 20 does not run.
  const glue = join(root, 'src/gpu/build.ts');
  /** @type {{ module: typeof import('../../src/gpu/build.ts') }} */
  const { module } = await runnerImport(glue, { configFile: false, logLevel: 'error' });
  const { off, unfused, on } = await module.wllamaModules();
  const inFront = `${await bundle('bench/gpu-calls/null-shaders.ts')};`;
  const emptied = (/** @type {string} */ code) => module.withGlue(code, (text) => inFront + text);
  const page = `<!doctype html><title>bench</title><script type="module">${await bundle('bench/gpu-calls/page.ts')}</script>`;
  return {
    '/': ['text/html', page],
    '/published.js': ['text/javascript', emptied(off)],
    '/unfused.js': ['text/javascript', emptied(unfused)],
    '/ours.js': ['text/javascript', emptied(on)],
    '/wllama.wasm': ['application/wasm', readFileSync(join(wllama, 'wasm/wllama.wasm'))],
    '/model.gguf': ['application/octet-stream', embeddedModel()],
  };
}

/** The default model of the site, whole. */
function embeddedModel() {
  const folder = join(root, 'public/models');
  const catalog = JSON.parse(readFileSync(join(folder, 'catalog.json'), 'utf8'));
  const model = catalog.models.find((/** @type {{ id: string }} */ { id }) => id === catalog.default);
  const pieces = model.files[0].pieces.map((/** @type {{ url: string }} */ { url }) => readFileSync(join(folder, url)));
  return Buffer.concat(pieces);
}

/** @param {string} entry a module that exports nothing which is needed */
async function bundle(entry) {
  const result = await build({
    configFile: false,
    root,
    publicDir: false,
    logLevel: 'warn',
    build: { write: false, target: 'es2022', lib: { entry: join(root, entry), formats: ['iife'], name: 'bench' } },
  });
  const [output] = /** @type {import('vite').Rolldown.RolldownOutput[]} */ (result);
  const [chunk] = output?.output ?? [];
  if (chunk?.type !== 'chunk') throw new Error(`${entry} has no code.`);
  return chunk.code;
}

/** @param {Record<string, [type: string, body: string | Buffer]>} files */
async function serve(files) {
  const reports = new EventEmitter();
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      reports.emit('report', JSON.parse(await text(request)));
      return response.end();
    }
    const [type, body] = files[new URL(request.url ?? '/', 'http://localhost').pathname] ?? [];
    if (type === undefined) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': type }).end(body);
  });
  const report = once(reports, 'report').then(([body]) => /** @type {{ report: Report, error?: string }} */ (body));
  await new Promise((resolve) => server.listen(0, 'localhost', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://localhost:${port}/`,
    report,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve(undefined));
        server.closeAllConnections();
      }),
  };
}
