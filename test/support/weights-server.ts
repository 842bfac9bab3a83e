/** A file server of another origin that misbehaves as it is told, and counts every byte that it sends. */
import { createHash, type Hash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeGguf } from '../tiny-model/gguf-writer.ts';

/** A file that need not be in memory. */
export interface Content {
  size: number;
  read(start: number, end: number): Uint8Array;
}

/** What one request gets instead of what it asked for. */
export interface Fault {
  /** This status, with a short body. */
  status?: number;
  headers?: Record<string, string>;
  /** A web page. */
  html?: boolean;
  /** The whole file from its beginning, whatever range was asked for. */
  ignoreRange?: boolean;
  /** Bytes after which the connection is cut. */
  drop?: number;
  /** Bytes more, or fewer, than are sent, in `Content-Length`. */
  lie?: number;
  /** One bit of the byte at this offset of the answer is another. */
  flip?: number;
  /** After these bytes nothing more comes. */
  stall?: number;
}

export interface Served {
  path: string;
  /** First byte of the file, and bytes that were sent. */
  start: number;
  sent: number;
  ranged: boolean;
}

export interface WeightsServer {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  put(path: string, content: Content): void;
  /** Asked for each request: what goes wrong with it, if anything. */
  misbehave(fault: (request: { path: string; start: number; number: number }) => Fault | undefined): void;
  /** Of every answer. */
  headers: Record<string, string>;
  /** Bytes a second of each connection; 0 for all that goes. */
  rate: number;
  /** GETs in order. */
  readonly served: Served[];
  /** Bytes of all bodies. */
  readonly sent: number;
  /** Called after each chunk that was sent. */
  onSent: () => void;
  close(): Promise<void>;
}

const CHUNK = 64 * 1024;

export async function startWeightsServer(): Promise<WeightsServer> {
  const files = new Map<string, Content>();
  let faultOf: Parameters<WeightsServer['misbehave']>[0] = () => undefined;
  let total = 0;
  let number = 0;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1);
    // As hubs do: readable from other origins, with nothing exposed that is not by itself.
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    if (request.method === 'OPTIONS') {
      // Asked before a request with a token.
      response.writeHead(204, { 'Access-Control-Allow-Headers': 'authorization, range' }).end();
      return;
    }
    const content = files.get(path);
    if (content === undefined) {
      response.writeHead(404).end('not found');
      return;
    }
    for (const [name, value] of Object.entries(server.headers)) response.setHeader(name, value);
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'Content-Length': content.size }).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const asked = range ? Number(range[1]) : 0;
    const fault = faultOf({ path, start: asked, number: number++ }) ?? {};
    const served: Served = { path, start: asked, sent: 0, ranged: range !== null };
    server.served.push(served);
    if (fault.html) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Log in</title>');
      return;
    }
    if (fault.status !== undefined) {
      response.writeHead(fault.status, fault.headers).end('no');
      return;
    }
    const ranged = range !== null && !fault.ignoreRange;
    if (ranged && asked >= content.size) {
      response.writeHead(416, { 'Content-Range': `bytes */${content.size}` }).end();
      return;
    }
    const start = ranged ? asked : 0;
    const end = ranged ? Math.min(Number(range[2] || content.size) + 1, content.size) : content.size;
    served.start = start;
    response.writeHead(ranged ? 206 : 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': end - start + (fault.lie ?? 0),
      ...(ranged ? { 'Content-Range': `bytes ${start}-${end - 1}/${content.size}` } : { 'Accept-Ranges': 'none' }),
    });
    const stop = Math.min(
      end,
      start + (fault.drop ?? Number.POSITIVE_INFINITY),
      start + (fault.stall ?? Number.POSITIVE_INFINITY),
    );
    for (let at = start; at < stop && !response.destroyed; at += CHUNK) {
      const chunk = Buffer.from(content.read(at, Math.min(at + CHUNK, stop)));
      const flip = (fault.flip ?? -1) - (at - start);
      if (flip >= 0 && flip < chunk.length) chunk[flip] = (chunk[flip] ?? 0) ^ 4;
      const flushed = response.write(chunk);
      served.sent += chunk.length;
      total += chunk.length;
      server.onSent();
      if (server.rate > 0) await sleep((chunk.length / server.rate) * 1000);
      else if (!flushed) await drained(response);
    }
    if (fault.stall !== undefined) return;
    if (fault.drop !== undefined && stop < end) response.destroy();
    else response.end();
  };

  const http = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const server: WeightsServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    put: (path, content) => files.set(path, content),
    misbehave(fault) {
      faultOf = fault;
      number = 0;
    },
    headers: {},
    rate: 0,
    served: [],
    get sent() {
      return total;
    },
    onSent: () => {},
    close: () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/**
 * A GGUF of any size with one tensor of noise, which no engine takes for a model but the store must.
 *
 * @param megabytes MiB of the tensor. @param seed Other bytes, of the same size.
 */
export function syntheticGguf(megabytes: number, seed = 1): Content {
  const elements = megabytes * 2 ** 18;
  const metadata = {
    'general.architecture': { string: 'llama' },
    'general.name': { string: `Noise ${seed}` },
    'llama.context_length': { uint32: 2048 },
    'llama.block_count': { uint32: 1 },
    'llama.embedding_length': { uint32: 64 },
    'llama.attention.head_count': { uint32: 1 },
  };
  const bare = writeGguf(metadata, [{ name: 'noise', dims: [elements], data: new Float32Array() }]);
  const header = new Uint8Array(Math.ceil(bare.length / 32) * 32);
  header.set(bare);
  const noise = new Uint8Array(2 ** 20 + CHUNK);
  let state = seed;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise[i] = state >>> 24;
  }
  const size = header.length + elements * 4;
  return {
    size,
    read(start, end) {
      const bytes = Buffer.alloc(end - start);
      let at = start;
      while (at < end) {
        if (at < header.length) {
          const to = Math.min(end, header.length);
          bytes.set(header.subarray(at, to), at - start);
          at = to;
          continue;
        }
        // Another stretch of the noise for each MiB, so that no two parts are alike.
        const block = Math.floor((at - header.length) / 2 ** 20);
        const inBlock = (at - header.length) % 2 ** 20;
        const length = Math.min(end - at, 2 ** 20 - inBlock);
        const from = inBlock + ((block * 61) % CHUNK);
        bytes.set(noise.subarray(from, from + length), at - start);
        at += length;
      }
      return bytes;
    },
  };
}

/** SHA-256 of the whole, and of each stretch of `partSize` bytes. */
export function hashesOf(content: Content, partSize: number): { sha256: string; parts: string[] } {
  const whole = createHash('sha256');
  const parts: string[] = [];
  let part: Hash = createHash('sha256');
  const step = Math.min(partSize, 2 ** 20);
  for (let at = 0; at < content.size; at += step) {
    const bytes = content.read(at, Math.min(at + step, content.size));
    whole.update(bytes);
    part.update(bytes);
    if ((at + step) % partSize === 0 || at + step >= content.size) {
      parts.push(part.digest('hex'));
      part = createHash('sha256');
    }
  }
  return { sha256: whole.digest('hex'), parts };
}
