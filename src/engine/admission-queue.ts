/** At most `slots` requests at once, the others in order of arrival: a task too many would never end in wllama. */

export interface AdmissionQueue {
  /** Requests that hold a slot. */
  readonly processing: number;
  /** Requests that wait for one. */
  readonly deferred: number;
  /**
   * Waits for a slot. Call what it resolves with once, to free the slot.
   * @param alone waits until no other request is processed, and keeps all others waiting.
   * @throws the signal's reason, if aborted while it waits: its place in the queue is given up.
   */
  acquire(signal?: AbortSignal, alone?: boolean): Promise<() => void>;
}

interface Waiting {
  alone: boolean;
  admit: () => void;
}

export function createAdmissionQueue(slots: number): AdmissionQueue {
  let processing = 0;
  let isAlone = false;
  const waiting: Waiting[] = [];

  const fits = (alone: boolean) => !isAlone && processing < (alone ? 1 : slots);

  function enter(alone: boolean): () => void {
    processing++;
    isAlone = alone;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      processing--;
      isAlone = false;
      admitNext();
    };
  }

  /** Strictly in order, so that a stream of small requests can't keep one that wants to be alone waiting. */
  function admitNext(): void {
    for (let next = waiting[0]; next !== undefined && fits(next.alone); next = waiting[0]) {
      waiting.shift();
      next.admit();
    }
  }

  return {
    get processing() {
      return processing;
    },
    get deferred() {
      return waiting.length;
    },
    acquire(signal, alone = false) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        if (waiting.length === 0 && fits(alone)) return resolve(enter(alone));
        const onAbort = () => {
          waiting.splice(waiting.indexOf(entry), 1);
          reject(signal?.reason);
          // It may have been what kept those behind it waiting.
          admitNext();
        };
        const entry: Waiting = {
          alone,
          admit() {
            signal?.removeEventListener('abort', onAbort);
            resolve(enter(alone));
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        waiting.push(entry);
      });
    },
  };
}
