/**
 * Whether the host runs. A tab that the browser has frozen keeps its locks, and so does one that can't come to itself; only an
 * answer shows that there is anybody. The engine worker answers, not its page, whose main thread a site may well block; and it
 * does so while it computes: llama.cpp runs in a worker of its own.
 */
import type { HeartbeatChannel, HeartbeatMessage } from '../protocol.ts';

/** Milliseconds between two pings, and that each is waited for. */
export const PING_INTERVAL = 3_000;

/**
 * Pings in a row without an answer that show a host to be dead. An engine worker was never seen to be busy for more than a
 * second; counting pings rather than time, a device that was asleep is not taken for one that is dead.
 */
export const MAX_SILENCE = 5;

const channelOf = (base: string): HeartbeatChannel => `llamatab/4:heartbeat:${base}`;

/** Null for a worker that is about to be a host: it loads its code. */
export type HostId = string | null;

/** Answers from now on for the worker that holds the site's lock. */
export function answerHeartbeats(base: string, host: () => HostId): void {
  const channel = new BroadcastChannel(channelOf(base));
  channel.onmessage = ({ data }: MessageEvent<HeartbeatMessage>) => {
    if (data.type === 'ping') channel.postMessage({ type: 'pong', host: host() } satisfies HeartbeatMessage);
  };
}

/** Asks once. @returns undefined if nobody has answered within `PING_INTERVAL` */
export async function ping(base: string): Promise<HostId | undefined> {
  const channel = new BroadcastChannel(channelOf(base));
  try {
    return await new Promise((resolve) => {
      channel.onmessage = ({ data }: MessageEvent<HeartbeatMessage>) => {
        if (data.type === 'pong') resolve(data.host);
      };
      setTimeout(resolve, PING_INTERVAL);
      channel.postMessage({ type: 'ping' } satisfies HeartbeatMessage);
    });
  } finally {
    channel.close();
  }
}

export interface HeartbeatWatch {
  /** Whether somebody waits for the host: it is asked only then. */
  isNeeded(): boolean;
  /** Whether there is a connection to the host. Its worker may well answer while its page can't hand one over. */
  isConnected(): boolean;
  /**
   * Called when the host has not answered, or could not be reached, `MAX_SILENCE` times in a row.
   * @param host undefined if it has not answered
   */
  onSilence(host: string | undefined): void;
}

/** @returns to be called when somebody may begin to wait; it goes on until nobody does */
export function watchHeartbeat(base: string, { isNeeded, isConnected, onSilence }: HeartbeatWatch): () => void {
  let watching = false;

  async function watch(): Promise<void> {
    let silence = 0;
    let before: HostId | undefined;
    while (isNeeded()) {
      const began = performance.now();
      const host = await ping(base);
      // A host that has just come, or is about to, is given its time.
      const isFine = host === null || (host !== undefined && (isConnected() || host !== before));
      silence = isFine ? 0 : silence + 1;
      before = host;
      if (silence === MAX_SILENCE) {
        silence = 0;
        onSilence(host ?? undefined);
      }
      const rest = PING_INTERVAL - (performance.now() - began);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
    watching = false;
  }

  return () => {
    if (watching) return;
    watching = true;
    watch();
  };
}
