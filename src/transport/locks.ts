/** Liveness through Web Locks: a MessagePort's `close` event does not fire when its other end dies (Chromium 156). */
import type { AliveLock, CallerLock, HostLock, ProtocolVersion } from '../protocol.ts';

export const PROTOCOL_VERSION: ProtocolVersion = 2;
export const HOST_LOCK: HostLock = 'llamatab/2:host';
export const aliveLock = (host: string): AliveLock => `llamatab/2:alive:${host}`;
export const callerLock = (caller: string): CallerLock => `llamatab/2:caller:${caller}`;

type Locks = Pick<LockManager, 'request'>;

/**
 * Holds a lock until the context dies, `release` is called, or somebody steals it.
 * @returns once it is held, how to release it, and `stolen`, which settles if it was.
 */
export function holdLock(
  name: string,
  options: { signal?: AbortSignal } = {},
  locks: Locks = navigator.locks,
): Promise<{ release(): void; stolen: Promise<void> }> {
  return new Promise((resolve, reject) => {
    let release = () => {};
    const held = new Promise<void>((done) => {
      release = done;
    });
    let onStolen = () => {};
    const stolen = new Promise<void>((done) => {
      onStolen = done;
    });
    locks
      .request(name, options, () => {
        resolve({ release, stolen });
        return held;
      })
      // Before the grant this is the abort of `signal`; after it, the loss of the lock.
      .catch((error) => {
        onStolen();
        reject(error);
      });
  });
}

/** Settles when nobody holds the lock any more: its holder, which had it when this was called, is dead. */
export async function whenReleased(
  name: string,
  options: { signal?: AbortSignal } = {},
  locks: Locks = navigator.locks,
): Promise<void> {
  await locks.request(name, options, () => {});
}
