/** A static host for tests, which misbehaves on demand. Its `fetch` answers from memory, and keeps a list of the requests. */
import type { FetchLike } from '../http.ts';

/** What one request gets instead of the file. */
export type Fault =
  | { status: number; headers?: Record<string, string> }
  /** A web page with status 200. */
  | 'html'
  /** The last byte is missing, or one too many comes; `announced` in Content-Length too. */
  | { cut: number; announced?: boolean }
  | 'flipped-bit'
  /** The connection is lost after half of the bytes. */
  | 'dropped'
  /** No connection at all. */
  | 'offline'
  /** Half of the bytes, and then nothing until the request is aborted. */
  | 'stalled';

const ORIGIN = 'https://site.example/models/';
/** Bytes of a chunk: small enough that each body comes in several. */
const CHUNK = 50_000;

export class FakeSite {
  readonly catalogUrl = `${ORIGIN}catalog.json`;
  /** By path below the catalog's folder. */
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Every request: the path, the cache mode that it asked for, its `Range` and its token. */
  readonly requests: {
    path: string;
    method: string;
    cache: RequestCache | undefined;
    range: string | null;
    authorization: string | null;
  }[] = [];
  /** Whether it supports `Range`. */
  ranges = true;
  /** Whether `Content-Range` may be seen, which other origins hide. */
  exposesRanges = true;
  /** Further headers of every file. */
  headers: Record<string, string> = {};
  /** Bytes that were sent in bodies. */
  sent = 0;
  /** Requests whose body is under way, now and at most. */
  underway = 0;
  mostUnderway = 0;
  /** Faults of the next requests for a path; when they are used up, the file comes. */
  readonly #faults = new Map<string, Fault[]>();

  /** Makes the next requests for a file fail, one fault each. */
  break(path: string, ...faults: Fault[]): void {
    this.#faults.set(path, faults);
  }

  /** How often a file was asked for. */
  count(path: string): number {
    return this.requests.filter((request) => request.path === path).length;
  }

  readonly fetch: FetchLike = async (url, init) => {
    const path = url.slice(ORIGIN.length);
    const sent = new Headers(init.headers);
    const range = sent.get('range');
    const method = init.method ?? 'GET';
    this.requests.push({ path, method, cache: init.cache, range, authorization: sent.get('authorization') });
    // A network never answers at once.
    await new Promise((resolve) => setTimeout(resolve, 1));
    init.signal?.throwIfAborted();
    const fault = this.#faults.get(path)?.shift();
    const file = this.files.get(path);
    if (fault === 'offline') throw new TypeError('Failed to fetch');
    if (fault === 'html') {
      return new Response('<!DOCTYPE html>', { headers: { 'Content-Type': 'text/html; charset=utf-8' } });
    }
    if (typeof fault === 'object' && 'status' in fault) {
      return new Response('no', { status: fault.status, headers: fault.headers ?? {} });
    }
    if (file === undefined) return new Response('not found', { status: 404 });
    if (method === 'HEAD') {
      return new Response(null, { headers: { 'Content-Length': String(file.length), ...this.headers } });
    }
    const wanted = this.ranges ? /^bytes=(\d+)-(\d*)$/.exec(range ?? '') : null;
    if (wanted === null) return this.#respond(file, { status: 200, headers: {} }, fault, init.signal ?? undefined);
    const [start, end] = [Number(wanted[1]), Math.min(Number(wanted[2] || file.length) + 1, file.length)];
    if (start >= file.length) return new Response('', { status: 416 });
    const contentRange = { 'Content-Range': `bytes ${start}-${end - 1}/${file.length}` };
    const head = { status: 206, headers: this.exposesRanges ? contentRange : {} };
    return this.#respond(file.slice(start, end), head, fault, init.signal ?? undefined);
  };

  #respond(
    file: Uint8Array<ArrayBuffer>,
    head: { status: number; headers: Record<string, string> },
    fault: Fault | undefined,
    signal: AbortSignal | undefined,
  ): Response {
    let bytes = file.slice();
    let announced = file.length;
    if (typeof fault === 'object' && 'cut' in fault) {
      bytes = new Uint8Array(file.length - fault.cut);
      bytes.set(file.subarray(0, bytes.length));
      if (fault.announced) announced = bytes.length;
    }
    if (fault === 'flipped-bit') bytes[100] = (bytes[100] ?? 0) ^ 4;
    const end = fault === 'dropped' || fault === 'stalled' ? Math.floor(bytes.length / 2) : bytes.length;

    this.underway++;
    this.mostUnderway = Math.max(this.mostUnderway, this.underway);
    let over = false;
    const done = () => {
      if (!over) this.underway--;
      over = true;
    };
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        signal?.addEventListener('abort', () => {
          done();
          controller.error(signal.reason);
        });
      },
      pull: async (controller) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (signal?.aborted) return;
        if (sent < end) {
          const chunk = bytes.slice(sent, Math.min(sent + CHUNK, end));
          sent += chunk.length;
          this.sent += chunk.length;
          controller.enqueue(chunk);
        } else if (fault === 'dropped') {
          done();
          controller.error(new TypeError('network error'));
        } else if (fault !== 'stalled') {
          done();
          controller.close();
        }
      },
    });
    const headers = { 'Content-Length': String(announced), ...this.headers, ...head.headers };
    return new Response(body, { status: head.status, headers });
  }
}
