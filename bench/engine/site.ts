/**
 * The site that the browser visits (this benchmark's pages, the engines and the model files), and calls to the open page.
 */
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import sirv from 'sirv';
import { build } from 'vite';
import { root } from '../../src/cli/prerequisites.mjs';
import { buildEngine } from '../../src/kernels/build.ts';
import type { Answer, Call, Commands, EnginesPage, PageMessage } from './protocol.ts';

/** Everything that is made for this benchmark. */
export const WORK = join(root, 'dist/bench-engine');

export interface Site<Page extends Commands<Page> = EnginesPage> {
  url: string;
  /** Calls a function of the page that is open. */
  call<Name extends keyof Page>(name: Name, ...args: Parameters<Page[Name]>): ReturnType<Page[Name]>;
  close(): Promise<void>;
}

/**
 * @param page which of `pages/` to build
 * @param folders further folders to serve at the root; the first one that has a file wins
 */
export async function startSite<Page extends Commands<Page>>(
  page: 'engines' | 'soak',
  folders: string[] = [],
): Promise<Site<Page>> {
  await buildPage(page);
  const handlers = [join(WORK, 'site'), ...folders].map((folder) => sirv(folder, { dev: true, setHeaders: isolate }));

  let pending: { call: Call; answer: (answer: Answer) => void } | null = null;
  let waiting: ((call: Call) => void) | null = null;
  const deliver = () => {
    if (!waiting || !pending) return;
    waiting(pending.call);
    waiting = null;
  };
  const onPageAnswer: RequestListener = async (request, response) => {
    const message = JSON.parse(await text(request)) as PageMessage;
    if (message !== 'ready') pending?.answer(message);
    waiting = (call) => response.end(JSON.stringify(call));
    deliver();
  };

  const server = createServer((request, response) => {
    if (request.method === 'POST') return onPageAnswer(request, response);
    const next = (index: number): void => {
      const handler = handlers[index];
      if (handler) handler(request, response, () => next(index + 1));
      else response.writeHead(404).end();
    };
    next(0);
  });
  // A call may take minutes.
  server.requestTimeout = 0;
  server.listen(0, 'localhost');
  await once(server, 'listening');

  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    call(name, ...args) {
      const answered = new Promise((resolve, reject) => {
        pending = {
          call: { name: String(name), args },
          answer(answer) {
            pending = null;
            if ('error' in answer) reject(new Error(`${String(name)}: ${answer.error}`));
            else resolve(answer.result);
          },
        };
        deliver();
      });
      return answered as ReturnType<Page[typeof name]>;
    },
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function isolate(response: ServerResponse): void {
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
}

async function buildPage(page: string): Promise<void> {
  const pages = join(root, 'bench/engine/pages');
  await build({
    configFile: false,
    logLevel: 'warn',
    root: pages,
    publicDir: false,
    worker: { format: 'es' },
    // As it is published.
    resolve: { alias: { llamatab: join(root, 'dist/lib/index.js') } },
    build: {
      outDir: join(WORK, 'site'),
      emptyOutDir: false,
      target: 'es2022',
      assetsDir: 'bench',
      rolldownOptions: { input: join(pages, `${page}.html`) },
    },
  });
}

export type Build = 'published' | 'simd128' | 'relaxed';

/** wllama's binary, or ours. @returns its path in the site */
export function writeEngine(engine: Build): string {
  const published = readFileSync(createRequire(import.meta.url).resolve('@wllama/wllama/esm/wasm/wllama.wasm'));
  mkdirSync(join(WORK, 'site/engines'), { recursive: true });
  writeFileSync(
    join(WORK, `site/engines/${engine}.wasm`),
    engine === 'published' ? published : buildEngine(published, engine),
  );
  return `/engines/${engine}.wasm`;
}

export interface ModelFile {
  /** For native llama.cpp, and in the site. */
  path: string;
  url: string;
}

/** A model that ships with the project, joined into one file, which native llama.cpp needs. */
export async function joinModel(id: string): Promise<ModelFile> {
  const folder = join(root, 'public/models');
  const catalog = JSON.parse(readFileSync(join(folder, 'catalog.json'), 'utf8'));
  const model = catalog.models.find((model: { id: string }) => model.id === id);
  const [{ name, size, pieces }] = model.files;
  const file = modelFile(name);
  if (!existsSync(file.path) || statSync(file.path).size !== size) {
    const output = createWriteStream(file.path);
    for (const { url } of pieces) await pipeline(createReadStream(join(folder, url)), output, { end: false });
    output.end();
    await once(output, 'finish');
  }
  return file;
}

export function modelFile(name: string): ModelFile {
  mkdirSync(join(WORK, 'site/models'), { recursive: true });
  return { path: join(WORK, 'site/models', name), url: `/models/${name}` };
}
