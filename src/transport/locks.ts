/** Liveness through Web Locks: a MessagePort's `close` event does not fire when its other end dies (Chromium 156). */
import type { AliveLock, CallerLock, HostLock, ProtocolVersion, TakeOverLock } from '../protocol.ts';

export const PROTOCOL_VERSION: ProtocolVersion = 4;
export const hostLock = (base: string): HostLock => `llamatab/${PROTOCOL_VERSION}:host:${base}`;
export const aliveLock = (host: string): AliveLock => `llamatab/${PROTOCOL_VERSION}:alive:${host}`;
export const callerLock = (caller: string): CallerLock => `llamatab/${PROTOCOL_VERSION}:caller:${caller}`;
export const takeOverLock = (base: string): TakeOverLock => `llamatab/${PROTOCOL_VERSION}:take-over:${base}`;

type Locks = Pick<LockManager, 'request'>;

export interface HeldLock {
  release(): void;
  /** Settles if it was stolen: whoever did so takes this context for dead. */
  readonly stolen: Promise<void>;
}

/**
 * Takes a lock, and holds it until the context dies, `release` is called, or the lock is stolen.
 * @returns once the lock is held: how to release it, and `stolen`, which settles if it was stolen.
 */
export function holdLock(
  name: string,
  options: { signal?: AbortSignal; steal?: boolean } = {},
  locks: Locks = navigator.locks,
): Promise<HeldLock> {
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
      // Before the lock is granted, `signal` was aborted; afterwards, the lock was stolen.
      .catch((error) => {
        if (isRefused(error)) return resolve({ release, stolen });
        onStolen();
        reject(error);
      });
  });
}

/**
 * Settles when the lock is free, which means that the context that held it is dead. All who wait are told at once: in a queue of
 * exclusive locks, a tab that was frozen while it waited would keep those behind it from ever knowing.
 */
export async function whenReleased(
  name: string,
  options: { signal?: AbortSignal } = {},
  locks: Locks = navigator.locks,
): Promise<void> {
  try {
    await locks.request(name, { ...options, mode: 'shared' }, () => {});
  } catch (error) {
    // Nobody holds locks here. Page and worker are then alone, and the page knows when it has ended its worker.
    if (isRefused(error)) return new Promise(() => {});
    throw error;
  }
}

/** Where the visitor has blocked site data, browsers refuse locks too. There are no service workers then, and so no other tabs. */
function isRefused(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'SecurityError';
}
