/** A static host for tests that misbehaves on demand: its `fetch` answers from memory and remembers what was asked for. */
import type { FetchLike } from './http.ts';

/** What one request gets instead of the file. */
export type Fault =
  | { status: number }
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
/** Bytes of a chunk, so that a body is never one. */
const CHUNK = 50_000;

export class FakeSite {
  readonly catalogUrl = `${ORIGIN}catalog.json`;
  /** By path below the catalog's folder. */
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Every request: the path, and the cache mode that it asked for. */
  readonly requests: { path: string; cache: RequestCache | undefined }[] = [];
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
    this.requests.push({ path, cache: init.cache });
    // As a network does: never at once.
    await new Promise((resolve) => setTimeout(resolve, 1));
    init.signal?.throwIfAborted();
    const fault = this.#faults.get(path)?.shift();
    const file = this.files.get(path);
    if (fault === 'offline') throw new TypeError('Failed to fetch');
    if (fault === 'html') {
      return new Response('<!DOCTYPE html>', { headers: { 'Content-Type': 'text/html; charset=utf-8' } });
    }
    if (typeof fault === 'object' && 'status' in fault) return new Response('no', { status: fault.status });
    if (file === undefined) return new Response('not found', { status: 404 });
    return this.#respond(file, fault, init.signal ?? undefined);
  };

  #respond(file: Uint8Array<ArrayBuffer>, fault: Fault | undefined, signal: AbortSignal | undefined): Response {
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
    const done = () => {
      this.underway--;
    };
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        signal?.addEventListener('abort', () => {
          if (sent < end || fault === 'stalled') done();
          controller.error(signal.reason);
        });
      },
      pull: async (controller) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (signal?.aborted) return;
        if (sent < end) {
          const chunk = bytes.slice(sent, Math.min(sent + CHUNK, end));
          sent += chunk.length;
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
    return new Response(body, { headers: { 'Content-Length': String(announced) } });
  }
}
