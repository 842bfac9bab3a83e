/**
 * At most `slots` requests at once: a task too many would never end in wllama. The others wait in rounds, each caller with one
 * request in each: a tab that asks a hundred things does not keep another one's only question waiting behind them.
 */

export interface AdmissionQueue {
  /** Requests that hold a slot. */
  readonly processing: number;
  /** Requests that wait for one. */
  readonly deferred: number;
  /**
   * Waits for a slot. Call what it resolves with once, to free the slot.
   * @throws the signal's reason, if aborted while it waits: its place in the queue is given up.
   */
  acquire(claim?: Claim): Promise<() => void>;
}

/** Who wants a slot. */
export interface Claim {
  signal?: AbortSignal | undefined;
  /** Waits until no other request is processed, and keeps all others waiting. Default: false. */
  alone?: boolean | undefined;
  /** Of whom there are several, each gets its turn. Default: all are one. */
  caller?: string | undefined;
}

interface Waiting {
  alone: boolean;
  caller: string;
  round: number;
  admit: () => void;
}

export function createAdmissionQueue(slots: number): AdmissionQueue {
  let processing = 0;
  let isAlone = false;
  /** Of whoever was admitted last. */
  let round = 0;
  /** In the order of their turns: by round, within one by arrival. */
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
      round = next.round;
      next.admit();
    }
  }

  /** Behind the rounds that the caller waits in already, and in that round behind those who came before. */
  function enqueue(entry: Omit<Waiting, 'round'>): Waiting {
    const others = waiting.filter(({ caller }) => caller === entry.caller).length;
    const placed = { ...entry, round: round + 1 + others };
    const after = waiting.findLastIndex((other) => other.round <= placed.round);
    waiting.splice(after + 1, 0, placed);
    return placed;
  }

  return {
    get processing() {
      return processing;
    },
    get deferred() {
      return waiting.length;
    },
    acquire({ signal, alone = false, caller = '' } = {}) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        if (waiting.length === 0 && fits(alone)) return resolve(enter(alone));
        const onAbort = () => {
          waiting.splice(waiting.indexOf(entry), 1);
          reject(signal?.reason);
          // It may have been what kept those behind it waiting.
          admitNext();
        };
        const entry = enqueue({
          alone,
          caller,
          admit() {
            signal?.removeEventListener('abort', onAbort);
            resolve(enter(alone));
          },
        });
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
  };
}
