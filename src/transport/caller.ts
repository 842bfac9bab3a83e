/** The caller's end: a trunk to the host, and requests over it. */
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { RequestFrame, ToCallerFrame, ToHostFrame, TrunkMessage, TrunkReply, WhoHostsReply } from '../protocol.ts';
import { toResponse, WINDOW } from './frames.ts';
import { aliveLock, PROTOCOL_VERSION, whenReleased } from './locks.ts';

/**
 * The host is gone. A request that it had not begun to answer may be sent to the next host; an answer that has begun breaks off
 * with this error. It is a TypeError because that is what `fetch` fails with when the network is lost.
 */
export class HostLost extends TypeError {}

export interface HostConnection {
  readonly host: string;
  /** Aborted when the host is gone. */
  readonly closed: AbortSignal;
  /** Requests whose answer is not complete. */
  readonly underWay: number;
  /**
   * Sends one request. The response is streamed; cancelling its body, or aborting `signal`, stops the host's work.
   * @throws HostLost if the host died before it answered; the signal's reason if aborted.
   */
  request(frame: RequestFrame, signal?: AbortSignal): Promise<Response>;
  /** A further trunk to the same host, for another caller. */
  forward(port: MessagePort): void;
}

/**
 * Waits for the host's `hello` on a fresh trunk.
 * @param caller the id under which this context holds its lock (`callerLock`).
 * @param onCandidate called if the other side is a page that does not host yet.
 * @returns null if the host is of an earlier version: one of this version comes.
 * @throws LlamatabError what keeps the other side from hosting; one that says to reload if the host is of a later version
 */
export async function connectToHost(
  trunk: MessagePort,
  caller: string,
  onCandidate: () => void = () => {},
): Promise<HostConnection | null> {
  const first = await new Promise<Exclude<TrunkReply | WhoHostsReply, { type: 'candidate' }>>((resolve) => {
    trunk.onmessage = ({ data }: MessageEvent<TrunkReply | WhoHostsReply>) => {
      if (data.type === 'candidate') onCandidate();
      else resolve(data);
    };
  });
  if (first.type === 'unable' || first.version !== PROTOCOL_VERSION) trunk.close();
  if (first.type === 'unable') {
    throw new LlamatabError('unavailable_error', first.message, first.reload ? { reload: true } : {});
  }
  if (first.version > PROTOCOL_VERSION) {
    throw reloadNeeded(
      `The engine runs in a tab with a later version of llamatab (protocol ${first.version}) than this page's (${PROTOCOL_VERSION})`,
    );
  }
  if (first.version < PROTOCOL_VERSION) return null;

  const closed = new AbortController();
  // The lock shows what the port does not: `close` fires neither for a closed tab nor for a killed worker.
  whenReleased(aliveLock(first.host)).then(() => {
    closed.abort(new HostLost('The tab that ran the engine was closed.'));
    trunk.close();
  });

  let underWay = 0;
  const onSettled = () => {
    underWay--;
  };
  const post = (message: TrunkMessage, transfer: Transferable[]) => trunk.postMessage(message, transfer);
  return {
    host: first.host,
    closed: closed.signal,
    get underWay() {
      return underWay;
    },
    request(frame, signal) {
      const { port1, port2 } = new MessageChannel();
      underWay++;
      const response = receive(port1, closed.signal, signal, onSettled);
      // The frame is copied, not transferred: it may have to be sent again.
      post({ type: 'request', caller, request: frame, port: port2 }, [port2]);
      return response;
    },
    forward: (port) => post({ type: 'connect', port }, [port]),
  };
}

/** Turns the frames of one request's port into a Response. `onSettled` is called once, when no more frames are expected. */
function receive(
  port: MessagePort,
  hostLost: AbortSignal,
  signal: AbortSignal | undefined,
  onSettled: () => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    let body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    let headed = false;
    let received = 0;
    let told = 0;

    const settle = () => {
      onSettled();
      port.close();
      hostLost.removeEventListener('abort', onHostLost);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (reason: unknown) => {
      settle();
      if (headed) body.error(reason);
      else reject(reason);
    };
    const cancel = () => port.postMessage({ type: 'cancel' } satisfies ToHostFrame);
    const onHostLost = () =>
      fail(headed ? new HostLost('The tab that ran the engine was closed while it answered.') : hostLost.reason);
    const onAbort = () => {
      cancel();
      fail(signal?.reason);
    };

    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        body = controller;
      },
      // Called when everything that has arrived has been read.
      pull() {
        if (received - told < WINDOW / 2) return;
        told = received;
        port.postMessage({ type: 'read', bytes: received } satisfies ToHostFrame);
      },
      cancel() {
        cancel();
        settle();
      },
    });

    port.onmessage = ({ data: frame }: MessageEvent<ToCallerFrame>) => {
      switch (frame.type) {
        case 'head':
          headed = true;
          resolve(toResponse(frame, stream));
          break;
        case 'chunk':
          received += frame.bytes.byteLength;
          body.enqueue(frame.bytes);
          break;
        case 'end':
          settle();
          body.close();
          break;
        case 'error':
          fail(new TypeError(frame.message));
          break;
        default:
          frame satisfies never;
      }
    };

    if (hostLost.aborted) return fail(hostLost.reason);
    if (signal?.aborted) return onAbort();
    hostLost.addEventListener('abort', onHostLost);
    signal?.addEventListener('abort', onAbort);
  });
}
