/** At most `slots` requests at once, the others in order of arrival: a task too many would never end in wllama. */

export interface AdmissionQueue {
  /** Requests that hold a slot. */
  readonly processing: number;
  /** Requests that wait for one. */
  readonly deferred: number;
  /**
   * Waits for a slot. Call what it resolves with once, to free the slot.
   * @throws the signal's reason, if aborted while it waits: its place in the queue is given up.
   */
  acquire(signal?: AbortSignal): Promise<() => void>;
}

export function createAdmissionQueue(slots: number): AdmissionQueue {
  let processing = 0;
  const waiting: (() => void)[] = [];

  function releaser(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      // The slot passes from hand to hand, so that nobody who comes now gets ahead of who waits.
      const next = waiting.shift();
      if (next) next();
      else processing--;
    };
  }

  return {
    get processing() {
      return processing;
    },
    get deferred() {
      return waiting.length;
    },
    async acquire(signal) {
      signal?.throwIfAborted();
      if (processing < slots) {
        processing++;
        return releaser();
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          waiting.splice(waiting.indexOf(admit), 1);
          reject(signal?.reason);
        };
        const admit = () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        waiting.push(admit);
      });
      return releaser();
    },
  };
}
