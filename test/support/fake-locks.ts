/** Web Locks for Node: exclusive locks, queues, abort, steal and query, as far as the transport uses them. */

interface Holder {
  clientId: string;
  lose(): void;
}

interface Waiter {
  grant(): void;
}

export class FakeLocks {
  #held = new Map<string, Holder>();
  #queues = new Map<string, Waiter[]>();

  request(name: string, options: LockOptions | LockGrantedCallback<unknown>, then?: LockGrantedCallback<unknown>) {
    return this.#request('', name, options, then);
  }

  async query(): Promise<LockManagerSnapshot> {
    const held = [...this.#held].map(([name, { clientId }]) => ({ name, clientId, mode: 'exclusive' as const }));
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
    const { signal, steal } = typeof options === 'function' ? ({} as LockOptions) : options;
    return new Promise<unknown>((resolve, reject) => {
      const grant = () => {
        const holder = { clientId, lose: () => reject(new DOMException('stolen', 'AbortError')) };
        this.#held.set(name, holder);
        Promise.resolve(callback({ name, mode: 'exclusive' })).then((value) => {
          resolve(value);
          if (this.#held.get(name) !== holder) return;
          this.#held.delete(name);
          this.#queues.get(name)?.shift()?.grant();
        }, reject);
      };
      if (steal) {
        this.#held.get(name)?.lose();
        grant();
      } else if (!this.#held.has(name)) {
        grant();
      } else {
        const queue = this.#queues.get(name) ?? [];
        this.#queues.set(name, queue);
        const waiter = { grant };
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
