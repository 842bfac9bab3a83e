/** The caller's end: a trunk to the host, and requests over it. */
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type {
  Delivered,
  RequestFrame,
  ToCallerFrame,
  ToHostFrame,
  TrunkMessage,
  TrunkReply,
  WhoHostsReply,
} from '../protocol.ts';
import { WINDOW } from './frames.ts';
import { aliveLock, PROTOCOL_VERSION, whenReleased } from './locks.ts';

/**
 * The host is gone. The next one goes on with the request; where that can't be, its answer breaks off with this error. It is a
 * TypeError because that is what `fetch` fails with when the network is lost.
 */
export class HostLost extends TypeError {}

export type Head = Extract<ToCallerFrame, { type: 'head' }>;

/** Where the frames of one request go. */
export interface Receiver {
  onHead(head: Head): void;
  onChunk(bytes: Uint8Array<ArrayBuffer>): void;
}

/** One request on its way. */
export interface Exchange {
  /**
   * Settles with the answer's end. Rejects with `HostLost` if the host died before; with a TypeError if the answer broke off;
   * with the signal's reason if aborted.
   */
  readonly ended: Promise<void>;
  /** All that has come was read: the host may send more. */
  onRead(): void;
}

export interface HostConnection {
  readonly host: string;
  /** Aborted when the host is gone. */
  readonly closed: AbortSignal;
  /** Takes the host for gone, whatever its lock says. */
  lose(): void;
  /**
   * Sends one request. Aborting `signal` stops the host's work.
   * @param delivered what the caller has of the answer from an earlier host; only the rest comes.
   */
  exchange(frame: RequestFrame, delivered: Delivered | undefined, receiver: Receiver, signal: AbortSignal): Exchange;
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
  const lose = () => {
    closed.abort(new HostLost('The tab that ran the engine was closed.'));
    trunk.close();
  };
  whenReleased(aliveLock(first.host)).then(lose);

  const post = (message: TrunkMessage, transfer: Transferable[]) => trunk.postMessage(message, transfer);
  return {
    host: first.host,
    closed: closed.signal,
    lose,
    exchange(request, delivered, receiver, signal) {
      const { port1, port2 } = new MessageChannel();
      const exchange = receive(port1, receiver, closed.signal, signal);
      // Copied, not transferred: both may have to be sent again.
      post({ type: 'request', caller, request, ...(delivered ? { delivered } : {}), port: port2 }, [port2]);
      return exchange;
    },
    forward: (port) => post({ type: 'connect', port }, [port]),
  };
}

/** Hands the frames of one request's port on. */
function receive(port: MessagePort, receiver: Receiver, hostLost: AbortSignal, signal: AbortSignal): Exchange {
  let received = 0;
  let told = 0;
  const post = (frame: ToHostFrame) => port.postMessage(frame);

  const ended = new Promise<void>((resolve, reject) => {
    const settle = (settled: () => void) => {
      port.close();
      hostLost.removeEventListener('abort', onHostLost);
      signal.removeEventListener('abort', onAbort);
      settled();
    };
    const fail = (reason: unknown) => settle(() => reject(reason));
    const onHostLost = () => fail(hostLost.reason);
    const onAbort = () => {
      post({ type: 'cancel' });
      fail(signal.reason);
    };

    port.onmessage = ({ data: frame }: MessageEvent<ToCallerFrame>) => {
      switch (frame.type) {
        case 'head':
          receiver.onHead(frame);
          break;
        case 'chunk':
          received += frame.bytes.byteLength;
          receiver.onChunk(frame.bytes);
          break;
        case 'end':
          settle(resolve);
          break;
        case 'error':
          fail(new TypeError(frame.message));
          break;
        default:
          frame satisfies never;
      }
    };

    if (hostLost.aborted) return onHostLost();
    if (signal.aborted) return onAbort();
    hostLost.addEventListener('abort', onHostLost);
    signal.addEventListener('abort', onAbort);
  });

  return {
    ended,
    onRead() {
      if (received - told < WINDOW / 2) return;
      told = received;
      post({ type: 'read', bytes: received });
    },
  };
}
