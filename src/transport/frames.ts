/** `Request` and `Response` to frames and back. */
import type { RequestFrame, ToCallerFrame } from '../protocol.ts';

/**
 * The whole of a request, body included: it may have to be sent again, to the next host.
 * @param url what the server shall see, if not the request's own (see `address.ts`).
 * @param files Beside the body, by reference.
 */
export async function toRequestFrame(
  request: Request,
  url = request.url,
  files?: readonly File[],
): Promise<RequestFrame> {
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  return {
    method: request.method,
    url,
    headers: [...request.headers],
    body: hasBody ? await request.arrayBuffer() : null,
    ...(files === undefined ? {} : { files }),
  };
}

export function fromRequestFrame(frame: RequestFrame, signal: AbortSignal): Request {
  return new Request(frame.url, { method: frame.method, headers: frame.headers, body: frame.body, signal });
}

/**
 * Bytes of a body that may be on their way: far more than any answer of a model's has, and little of a file of gigabytes that
 * is read faster than it is saved.
 */
export const WINDOW = 8 * 1024 * 1024;

/** Statuses whose Response must not have a body (Fetch, "null body status"). */
const NULL_BODY_STATUSES = [101, 103, 204, 205, 304];

export function toResponse(
  head: Extract<ToCallerFrame, { type: 'head' }>,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): Response {
  const { status, headers } = head;
  return new Response(NULL_BODY_STATUSES.includes(status) ? null : body, { status, headers });
}

/** The same bytes in a buffer of their own, which can be transferred without taking others along. */
export function transferable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
}
