/** Web Locks for Node: exclusive locks, queues, abort and steal, as far as the transport uses them. */

interface Waiter {
  grant(): void;
}

export class FakeLocks {
  #held = new Map<string, { lose(): void }>();
  #queues = new Map<string, Waiter[]>();

  request(name: string, options: LockOptions | LockGrantedCallback<unknown>, then?: LockGrantedCallback<unknown>) {
    const callback = typeof options === 'function' ? options : (then as LockGrantedCallback<unknown>);
    const { signal, steal } = typeof options === 'function' ? ({} as LockOptions) : options;
    return new Promise<unknown>((resolve, reject) => {
      const grant = () => {
        const holder = { lose: () => reject(new DOMException('stolen', 'AbortError')) };
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
          queue.splice(queue.indexOf(waiter), 1);
          reject(signal.reason);
        });
      }
    });
  }
}
