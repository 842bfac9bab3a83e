/** Finds the page that hosts the engine, and keeps a trunk to it. When the service worker is stopped, all this is lost, and found again. */
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { ToPage } from '../protocol.ts';
import { connectToHost, type HostConnection } from '../transport/caller.ts';
import { hostLock } from '../transport/locks.ts';

/** Milliseconds in which a page that is being loaded, or loaded again, comes to call `serve()`. */
const START_TIME = 2_500;
/**
 * Milliseconds that a request waits for one of the candidates to become the host. Starting takes a few hundred; but first it may have
 * to be found out that the last one does not run (`heartbeat.ts`), which takes half of this.
 */
const ELECTION_TIMEOUT = 60_000;

export interface HostFinder {
  /** The host, if its trunk is known just now. */
  readonly current: HostConnection | null;
  /** The host, once there is one. @throws LlamatabError `unavailable_error` if no page can host. */
  find(): Promise<HostConnection>;
  /** Takes a trunk that, as a page says, leads to the host. */
  offer(trunk: MessagePort): void;
  /** Asks the pages to take the place of a host that does not run. @param host its id, if its worker answers */
  replace(host: string | undefined): void;
}

/**
 * @param base of the site: pages of other sites of the origin are asked too, and don't answer.
 * @param caller the id under which this context holds its lock.
 */
export function createHostFinder(base: string, caller: string, clients: Clients): HostFinder {
  let current: HostConnection | null = null;
  let search: Promise<HostConnection> | null = null;
  const found = new EventTarget();
  const pages = () => clients.matchAll({ type: 'window', includeUncontrolled: true });

  /** @returns whether it is a host that this service worker understands @throws LlamatabError what keeps a page from hosting */
  async function take(trunk: MessagePort, onCandidate?: () => void): Promise<boolean> {
    const connection = await connectToHost(trunk, caller, onCandidate);
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
    return Promise.race([host, pages().then(hopeless), timeout(ELECTION_TIMEOUT, NO_HOST)]);
  }

  /** Asks the pages; rejects when none of them will host. */
  function hopeless(pages: readonly WindowClient[]): Promise<never> {
    return new Promise((_, reject) => {
      // Any answer shows that a page runs llamatab, and will host if no other does. Silence shows nothing.
      const candidates = new Set<WindowClient>();
      const failures = new Map<WindowClient, LlamatabError>();
      let late = pages.length === 0;
      const check = async () => {
        if (failures.size < (late ? candidates.size : pages.length)) return;
        // A page that is too busy to answer has its place in the queue.
        if (await isStoodFor()) return;
        const [failure] = failures.values();
        reject(failure ?? new LlamatabError('unavailable_error', NO_PAGE));
      };
      const ask = (page: WindowClient) => {
        const { port1, port2 } = new MessageChannel();
        page.postMessage({ type: 'who-hosts', base, port: port2 } satisfies ToPage, [port2]);
        const taken = take(port1, () => candidates.add(page)).then((isHost) => {
          if (!isHost) throw reloadNeeded(EARLIER_VERSION);
        });
        taken.catch((failure) => {
          failures.set(page, failure);
          check();
        });
      };
      // One that has passed the question on to a host that was about to die has not heard of it by then.
      const askAgain = () => pages.filter((page) => !candidates.has(page) && !failures.has(page)).forEach(ask);
      const becomeLate = () => {
        late = true;
        check();
      };
      pages.forEach(ask);
      if (late) check();
      else {
        setTimeout(askAgain, START_TIME / 2);
        setTimeout(becomeLate, START_TIME);
      }
    });
  }

  /** Whether the worker of any page is the host, or in the queue. */
  async function isStoodFor(): Promise<boolean> {
    const { held = [], pending = [] } = await navigator.locks.query();
    return [...held, ...pending].some(({ name }) => name === hostLock(base));
  }

  const known = () => (current?.closed.aborted ? null : current);
  return {
    get current() {
      return known();
    },
    // Of a page with another version nothing is to be had; whoever asks for the host is told why.
    offer: (trunk) => void take(trunk).catch(() => {}),
    async find() {
      const connection = known();
      if (connection) return connection;
      search ??= searchHost().finally(() => {
        search = null;
      });
      return search;
    },
    async replace(host) {
      for (const page of await pages()) page.postMessage({ type: 'host-silent', base, host } satisfies ToPage);
    },
  };
}

const NO_PAGE =
  'No open page of this site runs llamatab: open one that calls serve(), and keep it open while requests are answered.';
const EARLIER_VERSION = 'The open pages of this site have an earlier version of llamatab than its service worker';
const NO_HOST = `No page of this site could start the engine within ${ELECTION_TIMEOUT / 1000} s: look for errors in their consoles, and reload them.`;

function timeout(milliseconds: number, message: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new LlamatabError('unavailable_error', message)), milliseconds);
  });
}
