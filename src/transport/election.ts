/** One engine worker of a site is elected to be its host, by a Web Lock; one that does not run is replaced. */
import { PING_INTERVAL, ping } from './heartbeat.ts';
import { aliveLock, type HeldLock, holdLock, hostLock, takeOverLock } from './locks.ts';

type Locks = Pick<LockManager, 'request' | 'query'>;

export interface Election {
  /** Settles once this worker is elected, which may never be. */
  readonly won: Promise<HeldLock>;
  /**
   * Takes the place of a host that does not run, by stealing its lock. Does nothing if there is another one by now.
   * @param silent the id of the host that can't be reached; undefined if it does not answer
   * @returns whether it did
   */
  takeOver(silent: string | undefined): Promise<boolean>;
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

  const holderIn = (held: LockInfo[]) => held.find(({ name }) => name === hostLock(base));

  /** The context that holds the site's lock, if its host is still the silent one; undefined if there is none to replace. */
  async function silentHolder(silent: string | undefined): Promise<string | undefined> {
    // Before it is asked: another may have the lock by the time that it has not answered.
    const { held = [] } = await locks.query();
    const answer = await ping(base);
    return answer?.host === silent ? holderIn(held)?.clientId : undefined;
  }

  async function replace(silent: string): Promise<boolean> {
    const { held = [] } = await locks.query();
    const holder = holderIn(held);
    // Whoever is free to be elected needs no help.
    if (over || holder?.clientId !== silent) return false;
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
    return true;
  }

  return {
    won,
    async takeOver(silent) {
      const holder = await silentHolder(silent);
      if (holder === undefined) return false;
      // One at a time, as several notice it; without a queue, in which a tab that is frozen would be next for ever.
      const took = await locks.request(takeOverLock(base), { ifAvailable: true }, (lock) => lock && replace(holder));
      if (took !== null) return took;
      // Whoever has begun needs a moment. If it is frozen in the midst of that, it is passed over.
      await new Promise((resolve) => setTimeout(resolve, PING_INTERVAL));
      if ((await silentHolder(silent)) !== holder) return false;
      return locks.request(takeOverLock(base), { steal: true }, () => replace(holder));
    },
  };
}
