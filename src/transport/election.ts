/** One engine worker of a site is elected to be its host, by a Web Lock; one that does not run is replaced. */
import { ping } from './heartbeat.ts';
import { aliveLock, type HeldLock, holdLock, hostLock, takeOverLock } from './locks.ts';

type Locks = Pick<LockManager, 'request' | 'query'>;

export interface Election {
  /** Settles once this worker is elected, which may never be. */
  readonly won: Promise<HeldLock>;
  /**
   * Takes the place of a host that does not run, by stealing its lock. Does nothing if there is another one by now.
   * @param silent the id of the host that can't be reached; undefined if it does not answer
   */
  takeOver(silent: string | undefined): Promise<void>;
}

/** @param base of the site. */
export function standForElection(base: string, locks: Locks = navigator.locks): Election {
  const queue = new AbortController();
  let over = false;
  let win: (lock: HeldLock) => void;
  const won = new Promise<HeldLock>((resolve, reject) => {
    win = resolve;
    holdLock(hostLock(base), { signal: queue.signal }, locks).then(
      (lock) => {
        // Granted while another's was being stolen.
        if (over) return lock.release();
        over = true;
        resolve(lock);
      },
      (error: unknown) => queue.signal.aborted || reject(error),
    );
  });

  async function replace(silent: string | undefined): Promise<void> {
    const answer = await ping(base);
    const { held = [] } = await locks.query();
    const holder = held.find(({ name }) => name === hostLock(base));
    // Whoever is free to be elected needs no help.
    if (over || answer?.host !== silent || holder === undefined) return;
    over = true;
    queue.abort();
    // First the site's own: the other workers are in its queue.
    win(await holdLock(hostLock(base), { steal: true }, locks));
    // Callers queue for this one, and so learn that their requests are lost.
    for (const { name, clientId } of held) {
      if (clientId === holder.clientId && name?.startsWith(aliveLock(''))) {
        await locks.request(name, { steal: true }, () => {});
      }
    }
  }

  return {
    won,
    async takeOver(silent) {
      // One at a time: several notice it.
      await locks.request(takeOverLock(base), () => replace(silent));
    },
  };
}
