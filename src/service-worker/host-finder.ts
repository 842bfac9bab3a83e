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
  /** Number of requests under way on the current host. */
  readonly underWay: number;
}

/**
 * @param base of the site: pages of other sites of the origin are asked too, and don't answer.
 * @param caller the id under which this context holds its lock.
 */
export function createHostFinder(base: string, caller: string, clients: Clients): HostFinder {
  let current: HostConnection | null = null;
  let search: Promise<HostConnection> | null = null;
  const found = new EventTarget();

  /** @throws LlamatabError what keeps a page from hosting */
  async function take(trunk: MessagePort, onCandidate?: () => void): Promise<void> {
    const connection = await connectToHost(trunk, caller, onCandidate);
    if (!connection || connection.closed.aborted) return;
    current = connection;
    found.dispatchEvent(new Event('host'));
  }

  async function searchHost(): Promise<HostConnection> {
    const host = new Promise<HostConnection>((resolve) => {
      found.addEventListener('host', () => current && resolve(current), { once: true });
    });
    const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    return Promise.race([host, hopeless(pages), timeout(ELECTION_TIMEOUT, NO_HOST)]);
  }

  /** Asks the pages; rejects when none of them will host. */
  function hopeless(pages: readonly WindowClient[]): Promise<never> {
    return new Promise((_, reject) => {
      // Any answer shows that a page runs llamatab, and will host if no other does. Silence shows nothing.
      let candidates = 0;
      const failures: LlamatabError[] = [];
      let late = false;
      const check = () => {
        const hopes = late ? candidates : pages.length;
        const [failure = new LlamatabError('unavailable_error', NO_PAGE)] = failures;
        if (failures.length === hopes) reject(failure);
      };
      for (const page of pages) {
        const { port1, port2 } = new MessageChannel();
        page.postMessage({ type: 'who-hosts', base, port: port2 } satisfies ToPage, [port2]);
        take(port1, () => candidates++).catch((failure) => {
          failures.push(failure);
          check();
        });
      }
      setTimeout(() => {
        late = true;
        check();
      }, ASK_TIMEOUT);
    });
  }

  return {
    get underWay() {
      return current?.underWay ?? 0;
    },
    // Of a page with another version nothing is to be had; whoever asks for the host is told why.
    offer: (trunk) => void take(trunk).catch(() => {}),
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
