/**
 * Whether the host runs. A tab that the browser has frozen keeps its locks, and so does one that can't come to itself; only an
 * answer shows that there is anybody. The engine worker answers, not its page, whose main thread a site may well block; and it
 * does so while it computes: llama.cpp runs in a worker of its own.
 */
import type { HeartbeatChannel, HeartbeatMessage } from '../protocol.ts';
import type { HostConnection } from './caller.ts';

/** Milliseconds between two pings, and that each is waited for. */
export const PING_INTERVAL = 3_000;

/**
 * Pings in a row without an answer that show a host to be dead. The longest that a worker is known to answer nothing is 8 seconds, on a
 * busy desktop: two million spaces are tokenized. A device may be a few times slower. Pings are counted and not time, so that a device
 * that was asleep is not taken for one that is dead.
 */
export const MAX_SILENCE = 10;

/** The same for a host that is only beginning: its code may come over a slow network. */
export const MAX_START = 40;

const channelOf = (base: string): HeartbeatChannel => `llamatab/4:heartbeat:${base}`;

export interface Answer {
  host: string;
  /** False while it loads its code. */
  ready: boolean;
}

/** Answers from now on for the worker that holds the site's lock. */
export function answerHeartbeats(base: string, answer: () => Answer): void {
  const channel = new BroadcastChannel(channelOf(base));
  channel.onmessage = ({ data }: MessageEvent<HeartbeatMessage>) => {
    if (data.type === 'ping') channel.postMessage({ type: 'pong', ...answer() } satisfies HeartbeatMessage);
  };
}

/** Asks once. @returns undefined if nobody has answered within `PING_INTERVAL` */
export async function ping(base: string): Promise<Answer | undefined> {
  const channel = new BroadcastChannel(channelOf(base));
  try {
    return await new Promise((resolve) => {
      channel.onmessage = ({ data }: MessageEvent<HeartbeatMessage>) => {
        if (data.type === 'pong') resolve(data);
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
  /**
   * The connection to the host, if there is one: its worker may well answer while its page can't hand one over. It is lost when another
   * host answers: whoever took that one's place may have ended before it had freed its lock.
   */
  connection(): Pick<HostConnection, 'host' | 'lose'> | null;
  /**
   * Called when the host has not answered, or could not be reached, `MAX_SILENCE` times in a row; when one has been beginning
   * `MAX_START` times.
   * @param host undefined if it has not answered
   */
  onSilence(host: string | undefined): void;
}

/** @returns to be called when somebody may begin to wait; it goes on until nobody does */
export function watchHeartbeat(base: string, { isNeeded, connection, onSilence }: HeartbeatWatch): () => void {
  let watching = false;

  async function watch(): Promise<void> {
    let silence = 0;
    let before = '';
    while (isNeeded()) {
      const began = performance.now();
      const answer = await ping(base);
      const found = `${answer?.host} ${answer?.ready}`;
      const connected = connection();
      // Twice: the first answer may be the last one of a host that is replaced.
      if (answer?.ready && found === before && connected !== null && connected.host !== answer.host) connected.lose();
      if (answer?.ready && connected !== null) silence = 0;
      else silence = found === before ? silence + 1 : 1;
      before = found;
      if (silence === (answer?.ready === false ? MAX_START : MAX_SILENCE)) {
        silence = 0;
        onSilence(answer?.host);
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
