/** Web Locks for Node: exclusive and shared locks, queues, abort, steal, ifAvailable and query, as far as the transport uses them. */

interface Holder {
  clientId: string;
  mode: LockMode;
  lose(): void;
}

interface Waiter {
  mode: LockMode;
  grant(): void;
}

export class FakeLocks {
  #held = new Map<string, Set<Holder>>();
  #queues = new Map<string, Waiter[]>();

  request(name: string, options: LockOptions | LockGrantedCallback<unknown>, then?: LockGrantedCallback<unknown>) {
    return this.#request('', name, options, then);
  }

  async query(): Promise<LockManagerSnapshot> {
    const held = [...this.#held].flatMap(([name, holders]) =>
      Array.from(holders, ({ clientId, mode }) => ({ name, clientId, mode })),
    );
    return { held, pending: [] };
  }

  /** As one of several contexts sees them. */
  of(clientId: string): Pick<LockManager, 'request' | 'query'> {
    const request = (
      name: string,
      options: LockOptions | LockGrantedCallback<unknown>,
      then?: LockGrantedCallback<unknown>,
    ) => this.#request(clientId, name, options, then);
    return { request: request as LockManager['request'], query: () => this.query() };
  }

  #request(
    clientId: string,
    name: string,
    options: LockOptions | LockGrantedCallback<unknown>,
    then?: LockGrantedCallback<unknown>,
  ) {
    const callback = typeof options === 'function' ? options : (then as LockGrantedCallback<unknown>);
    const {
      signal,
      steal,
      ifAvailable,
      mode = 'exclusive',
    } = typeof options === 'function' ? ({} as LockOptions) : options;
    const holders = this.#held.get(name) ?? new Set();
    this.#held.set(name, holders);
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise<unknown>((resolve, reject) => {
      const grant = () => {
        const holder = { clientId, mode, lose: () => reject(new DOMException('stolen', 'AbortError')) };
        holders.add(holder);
        Promise.resolve(callback({ name, mode })).then((value) => {
          resolve(value);
          if (holders.delete(holder)) grantNext();
        }, reject);
      };
      const fits = (wanted: LockMode) =>
        holders.size === 0 || (wanted === 'shared' && [...holders].every(({ mode }) => mode === 'shared'));
      const grantNext = () => {
        for (let next = queue[0]; next !== undefined && fits(next.mode); next = queue[0]) {
          queue.shift();
          next.grant();
        }
      };
      if (steal) {
        for (const holder of holders) holder.lose();
        holders.clear();
        grant();
      } else if (queue.length === 0 && fits(mode)) {
        grant();
      } else if (ifAvailable) {
        Promise.resolve(callback(null)).then(resolve, reject);
      } else {
        const waiter = { mode, grant };
        queue.push(waiter);
        signal?.addEventListener('abort', () => {
          const place = queue.indexOf(waiter);
          if (place < 0) return;
          queue.splice(place, 1);
          reject(signal.reason);
        });
      }
    });
  }
}
