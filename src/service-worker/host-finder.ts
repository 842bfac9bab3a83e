/** Finds the page that hosts the engine, and keeps a trunk to it. When the service worker is stopped, all this is lost, and found again. */
import { LlamatabError } from '../errors.ts';
import type { ToPage } from '../protocol.ts';
import { connectToHost, type HostConnection } from '../transport/caller.ts';

/** Milliseconds after which no page of the site counts as running llamatab. A page answers within 10, but a busy one takes longer. */
const ASK_TIMEOUT = 5_000;
/** Milliseconds that a request waits for one of the candidates to become the host. Starting takes a few hundred. */
const ELECTION_TIMEOUT = 30_000;

export interface HostFinder {
  /** The host, once there is one. @throws LlamatabError `unavailable_error` if no page can host. */
  find(): Promise<HostConnection>;
  /** Takes a trunk that, as a page says, leads to the host. */
  offer(trunk: MessagePort): void;
}

/**
 * @param base of the site: pages of other sites of the origin are asked too, and don't answer.
 * @param caller the id under which this context holds its lock.
 */
export function createHostFinder(base: string, caller: string, clients: Clients): HostFinder {
  let current: HostConnection | null = null;
  let search: Promise<HostConnection> | null = null;
  const found = new EventTarget();

  async function take(trunk: MessagePort): Promise<boolean> {
    const connection = await connectToHost(trunk, caller);
    if (!connection) return false;
    if (!connection.closed.aborted) {
      current = connection;
      found.dispatchEvent(new Event('host'));
    }
    return true;
  }

  async function searchHost(): Promise<HostConnection> {
    const host = new Promise<HostConnection>((resolve) => {
      found.addEventListener('host', () => current && resolve(current), { once: true });
    });
    const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    const asked = pages.map((page) => {
      const { port1, port2 } = new MessageChannel();
      page.postMessage({ type: 'who-hosts', base, port: port2 } satisfies ToPage, [port2]);
      return take(port1);
    });
    // Any answer, even `candidate`, shows that a page runs llamatab, and will host if no other does. Silence shows nothing.
    const answered = Promise.any(asked).catch(() => new Promise<never>(() => {}));
    await Promise.race([host, answered, timeout(ASK_TIMEOUT, NO_PAGE)]);
    return Promise.race([host, timeout(ELECTION_TIMEOUT, NO_HOST)]);
  }

  return {
    offer: (trunk) => void take(trunk),
    async find() {
      if (current && !current.closed.aborted) return current;
      search ??= searchHost().finally(() => {
        search = null;
      });
      return search;
    },
  };
}

const NO_PAGE =
  'No open page of this site runs llamatab: open one that calls serve(), and keep it open while requests are answered.';
const NO_HOST = `No page of this site could start the engine within ${ELECTION_TIMEOUT / 1000} s: look for errors in their consoles, and reload them.`;

function timeout(milliseconds: number, message: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new LlamatabError('unavailable_error', message)), milliseconds);
  });
}
