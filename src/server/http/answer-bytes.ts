/** Streams answers that are not text. */
import { DEFAULT_PING_INTERVAL } from './answer.ts';

export interface BytesOptions {
  headers: Record<string, string>;
  /** Aborts the work behind `chunks`; called when the reader of the body goes away. */
  abort: AbortController;
  /** Settles once only a failure of the engine itself can make the request fail. */
  accepted: Promise<void>;
  /** Seconds of silence until the answer is committed to 200: a binary body has no room for signs of life. */
  patience?: number;
}

/**
 * A failure after the status breaks the body off, since a binary body has no room for an error.
 * @throws What `chunks` throws before the status is sent.
 */
export async function answerBytes(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  { headers, abort, accepted, patience = DEFAULT_PING_INTERVAL }: BytesOptions,
): Promise<Response> {
  let pending: ReturnType<typeof chunks.next> | undefined = chunks.next();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patience * 1000);
  });
  try {
    await Promise.race([pending, accepted, silence]);
  } finally {
    clearTimeout(timer);
  }
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const next = pending ?? chunks.next();
      pending = undefined;
      const { done, value } = await next;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel() {
      abort.abort();
      // Not awaited: it settles only when the work under way has ended, and nobody is interested in its failure.
      chunks.return(undefined).catch(() => {});
    },
  });
  return new Response(body, { headers });
}
