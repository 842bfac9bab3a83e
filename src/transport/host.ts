/** The host's end: accepts trunks, passes their requests to the server, and sends frames back. */
import { anySignal } from '../abortable.ts';
import type { Attachments, RequestFrame, ToCallerFrame, ToHostFrame, TrunkMessage, TrunkReply } from '../protocol.ts';
import { fromRequestFrame, transferable, WINDOW } from './frames.ts';
import { callerLock, PROTOCOL_VERSION, whenReleased } from './locks.ts';

/** Where something has been delivered, answers with the rest, with the same status, or rejects with why it can't. */
export type Handle = (request: Request, attachments: Attachments) => Promise<Response>;

/**
 * Milliseconds that an answer waits for a reader who is `WINDOW` bytes behind. It may hold a slot of the engine, and a client that
 * has stopped reading for that long does not come back.
 */
export const STALL_LIMIT = 300_000;

const STALLED = `The answer was given up: nothing of it was read for ${STALL_LIMIT / 60_000} minutes. Ask again.`;

export interface HostEndpoint {
  accept(trunk: MessagePort): void;
  /** URLs of the requests whose answer is not complete. */
  readonly underWay: readonly string[];
}

/**
 * @param host this host's id, under which it holds `aliveLock`.
 * @param handle the server.
 */
export function createHostEndpoint(host: string, handle: Handle): HostEndpoint {
  const underWay = new Set<RequestFrame>();
  /** One signal for each caller, aborted when the caller dies: a killed service worker or a closed tab can't say so itself. */
  const callers = new Map<string, AbortSignal>();

  function callerSignal(caller: string): AbortSignal {
    const known = callers.get(caller);
    if (known) return known;
    const gone = new AbortController();
    callers.set(caller, gone.signal);
    whenReleased(callerLock(caller)).then(() => {
      callers.delete(caller);
      gone.abort(new DOMException('Whoever asked is gone.', 'AbortError'));
    });
    return gone.signal;
  }

  function accept(trunk: MessagePort) {
    trunk.onmessage = ({ data: message }: MessageEvent<TrunkMessage>) => {
      switch (message.type) {
        case 'request':
          underWay.add(message.request);
          answer(message, callerSignal(message.caller), handle).finally(() => underWay.delete(message.request));
          break;
        case 'connect':
          accept(message.port);
          break;
        default:
          message satisfies never;
      }
    };
    trunk.postMessage({ type: 'hello', version: PROTOCOL_VERSION, host } satisfies TrunkReply);
  }

  return {
    accept,
    get underWay() {
      return [...underWay].map(({ url }) => url);
    },
  };
}

async function answer(
  { request: frame, delivered, port }: Extract<TrunkMessage, { type: 'request' }>,
  callerGone: AbortSignal,
  handle: Handle,
): Promise<void> {
  const { files, client, identity, again } = frame;
  const cancelled = new AbortController();
  let bytesRead = 0;
  let onRead = () => {};
  port.onmessage = ({ data }: MessageEvent<ToHostFrame>) => {
    if (data.type === 'cancel') cancelled.abort();
    else bytesRead = data.bytes;
    onRead();
  };
  const signal = anySignal(cancelled.signal, callerGone);
  const send = (message: ToCallerFrame, transfer: Transferable[] = []) => port.postMessage(message, transfer);

  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    const response = await handle(fromRequestFrame(frame, signal), { files, client, identity, delivered, again });
    reader = response.body?.getReader();
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reader?.cancel(signal.reason).catch(() => {}));

    send({ type: 'head', status: response.status, headers: [...response.headers] });
    let bytesSent = 0;
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      const bytes = transferable(value);
      bytesSent += bytes.byteLength;
      send({ type: 'chunk', bytes }, [bytes.buffer]);
      while (bytesSent - bytesRead > WINDOW && !signal.aborted) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        await new Promise<void>((resolve, reject) => {
          onRead = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
          timer = setTimeout(() => reject(new Error(STALLED)), STALL_LIMIT);
        }).finally(() => clearTimeout(timer));
      }
    }
    // A body that is cancelled ends like one that is complete.
    signal.throwIfAborted();
    send({ type: 'end' });
  } catch (error) {
    // If the answer has not failed by itself, it is given up, and what it holds is freed.
    reader?.cancel(error).catch(() => {});
    // After an abort nobody listens; but a caller whose lock was lost, and who is there, must not wait for ever.
    send({ type: 'error', message: error instanceof Error ? error.message : String(error) });
  } finally {
    port.close();
  }
}
