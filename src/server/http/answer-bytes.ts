/** Answers that are no text: their bytes as they come. */
import { DEFAULT_PING_INTERVAL } from './answer.ts';

export interface BytesOptions {
  headers: Record<string, string>;
  /** Aborts the work behind `chunks`; called when the reader of the body goes away. */
  abort: AbortController;
  /** Settles when nothing but the engine itself can fail any more. */
  accepted: Promise<void>;
  /** Seconds of silence until the answer begins without a word from the engine. Such a body can't tell signs of life. */
  patience?: number;
}

/**
 * A failure after the first bytes breaks the body off: there is no place in it for an error.
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
      // Not awaited: it settles when what is under way has ended, and a failure concerns nobody any more.
      chunks.return(undefined).catch(() => {});
    },
  });
  return new Response(body, { headers });
}
