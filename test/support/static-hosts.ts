/** Servers that behave as common static hosts do, where that matters to a site with a service worker, wasm and big files. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, type Page } from '@playwright/test';

export interface HostBehaviour {
  /** Where the site is. Default: `/`. */
  folder?: string;
  /** By extension; others are `application/octet-stream`. Default: as registered. */
  types?: Record<string, string>;
  /** Of all files, or by path. */
  cacheControl?: string | ((path: string) => string);
  /** Further headers by path, as rules of a `_headers` file. */
  headers?: Record<string, string>;
  /** Extensions of what is sent compressed. */
  gzip?: string[];
  /** Answers `Range`. */
  ranges?: boolean;
  etag?: boolean;
  /** What is answered where there is no file: a status, or the site's first page as 200, as for single-page applications. */
  missing: 403 | 404 | 'index.html';
  /** Bytes of the largest file that it takes. */
  limit?: number;
}

export interface Host {
  /** The site's base. */
  url: string;
  stop(): Promise<void>;
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

export async function startHost(files: string, behaviour: HostBehaviour): Promise<Host> {
  const { folder = '/', types = TYPES, cacheControl, headers = {}, gzip = [], ranges = true, etag = true } = behaviour;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (!pathname.startsWith(folder)) return answerMissing(response, 404);
    const file = decodeURIComponent(pathname.slice(folder.length)).replace(/(^|\/)$/, '$1index.html');
    const path = join(files, file);
    if (!existsSync(path) || !statSync(path).isFile() || statSync(path).size > (behaviour.limit ?? Infinity)) {
      if (behaviour.missing !== 'index.html') return answerMissing(response, behaviour.missing);
      response.setHeader('Content-Type', TYPES['.html'] ?? '');
      return response.end(readFileSync(join(files, 'index.html')));
    }
    let body: Buffer = readFileSync(path);
    const tag = `"${createHash('sha1').update(body).digest('hex').slice(0, 12)}"`;
    response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
    if (cacheControl) {
      response.setHeader('Cache-Control', typeof cacheControl === 'string' ? cacheControl : cacheControl(file));
    }
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (etag) response.setHeader('ETag', tag);
    if (etag && request.headers['if-none-match'] === tag) {
      response.statusCode = 304;
      return response.end();
    }
    const range = ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null;
    if (range) {
      const [start, end] = [Number(range[1]), range[2] ? Math.min(Number(range[2]) + 1, body.length) : body.length];
      response.statusCode = 206;
      response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${body.length}`);
      body = body.subarray(start, end);
    } else if (gzip.includes(extname(file))) {
      response.setHeader('Content-Encoding', 'gzip');
      body = gzipSync(body, { level: 1 });
    }
    response.setHeader('Content-Length', body.length);
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${folder}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerMissing(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/html');
  response.end('<h1>There is no such file</h1>');
}

/** The real one: no ranges, no ETag, no compression, HTTP/1.0. */
export async function startPython(files: string): Promise<Host> {
  const child = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1'], {
    cwd: files,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const port = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.stdout.on('data', (data: Buffer) => {
      const found = /port (\d+)/.exec(String(data))?.[1];
      if (found) resolve(found);
    });
  });
  return {
    url: `http://localhost:${port}/`,
    stop: async () => {
      child.kill();
      await gone;
    },
  };
}

/** Resolves once the service worker keeps this page, its scripts and a build of the engine, which it does in the background. */
export async function untilKept(page: Page): Promise<void> {
  const kept = () =>
    page.evaluate(async () => {
      const name = (await caches.keys()).find((name) => name.startsWith('llamatab/files:'));
      const requests = name === undefined ? [] : await (await caches.open(name)).keys();
      const urls = requests.map(({ url }) => url);
      const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
      const needed = [location.href, ...loaded.filter((url) => url.endsWith('.js'))];
      return {
        missing: needed.filter((url) => !urls.includes(url)),
        engine: urls.some((url) => url.endsWith('.wasm')),
      };
    });
  await expect.poll(kept).toEqual({ missing: [], engine: true });
}

/** A file in the format of Netlify's and Cloudflare's `_headers`, whose one rule is for all paths. */
export function parseHeaders(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^ {2}([\w-]+): (.+)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}
