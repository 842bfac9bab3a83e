/** Turns `Request` and `Response` into frames and back. */
import { LlamatabError } from '../errors.ts';
import type { RequestFrame, ToCallerFrame, WhoHostsReply } from '../protocol.ts';

/**
 * A whole request with its body: it may have to be sent again, to the next host.
 * @param url the URL that the server gets, if not the request's own (see `address.ts`).
 * @param client names the page or worker that asks.
 * @param files files that go with the body, by reference.
 */
export async function toRequestFrame(
  request: Request,
  url: string,
  client: string,
  files?: readonly File[],
): Promise<RequestFrame> {
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  return {
    method: request.method,
    url,
    headers: [...request.headers],
    body: hasBody ? await request.arrayBuffer() : null,
    ...(files === undefined ? {} : { files }),
    client,
    identity: { seed: crypto.randomUUID().replaceAll('-', ''), time: Date.now() },
    again: false,
  };
}

export function fromRequestFrame(frame: RequestFrame, signal: AbortSignal): Request {
  return new Request(frame.url, { method: frame.method, headers: frame.headers, body: frame.body, signal });
}

/**
 * Bytes of a body that may be sent ahead of the reader. Far more than a model's answer ever has; but a file of gigabytes that is
 * read faster than it is saved must not pile up in memory.
 */
export const WINDOW = 8 * 1024 * 1024;

/** Statuses whose Response can't have a body (Fetch, "null body status"). */
const NULL_BODY_STATUSES = [101, 103, 204, 205, 304];

export function toResponse(
  head: Extract<ToCallerFrame, { type: 'head' }>,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): Response {
  const { status, headers } = head;
  return new Response(NULL_BODY_STATUSES.includes(status) ? null : body, { status, headers });
}

/** The same bytes in a buffer of their own, so that a transfer takes no other bytes along. */
export function transferable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
}

/** Says over a trunk why there is no host at its end. */
export function unable(error: unknown): WhoHostsReply {
  const { message, details } = LlamatabError.from(error);
  return { type: 'unable', message, reload: details.reload === true };
}
