/** What the workers of one origin share for the store: locks, and messages about what each is doing. */
import type { DownloadProgress } from './models.ts';

/** Messages to the other tabs. */
export type TabMessage =
  | { type: 'progress'; key: string; progress: DownloadProgress }
  /** A model's record changed. */
  | { type: 'changed'; key: string };

export interface Tabs {
  /**
   * Runs `work` when no other tab is running work under the same name.
   * @param onWaiting Called if it has to wait. @param signal Ends the wait.
   */
  alone<T>(name: string, work: () => Promise<T>, onWaiting: () => void, signal: AbortSignal): Promise<T>;
  /** Marks a model as in use until the returned function is called. */
  use(key: string): () => void;
  /** Runs `work` if no tab uses the model. @returns whether it ran. */
  unlessUsed(key: string, work: () => Promise<void>): Promise<boolean>;
  tell(message: TabMessage): void;
  listen(listener: (message: TabMessage) => void): void;
}

const CHANNEL = 'llamatab:models';
const download = (name: string) => `llamatab:download:${name}`;
const inUse = (key: string) => `llamatab:in-use:${key}`;

/**
 * Uses Web Locks and a BroadcastChannel. Without locks (in Node, and in very old browsers) it knows only this worker.
 *
 * @param locks undefined where there are none.
 */
export function createTabs(locks: LockManager | undefined = globalThis.navigator?.locks): Tabs {
  const used = new Map<string, number>();
  const channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(CHANNEL);
  // Node's channel would keep the process alive.
  (channel as { unref?: () => void } | undefined)?.unref?.();

  return {
    async alone(name, work, onWaiting, signal) {
      if (locks === undefined || (await areRefused(locks))) return work();
      const free = await locks.request(download(name), { ifAvailable: true }, async (lock) =>
        lock === null ? null : { result: await work() },
      );
      if (free !== null) return free.result;
      onWaiting();
      return await locks.request(download(name), { signal }, work);
    },

    use(key) {
      used.set(key, (used.get(key) ?? 0) + 1);
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      locks?.request(inUse(key), { mode: 'shared' }, () => released).catch(() => {});
      let over = false;
      return () => {
        if (over) return;
        over = true;
        used.set(key, (used.get(key) ?? 1) - 1);
        release();
      };
    },

    async unlessUsed(key, work) {
      if ((used.get(key) ?? 0) > 0) return false;
      if (locks === undefined || (await areRefused(locks))) {
        await work();
        return true;
      }
      return await locks.request(inUse(key), { ifAvailable: true }, async (lock) => {
        if (lock === null) return false;
        await work();
        return true;
      });
    },

    tell: (message) => channel?.postMessage(message),
    listen: (listener) => channel?.addEventListener('message', ({ data }: MessageEvent<TabMessage>) => listener(data)),
  };
}

/** Where the visitor has blocked site data, browsers refuse locks too. There are no other tabs to agree with then. */
function areRefused(locks: LockManager): Promise<boolean> {
  return locks.query().then(
    () => false,
    () => true,
  );
}
