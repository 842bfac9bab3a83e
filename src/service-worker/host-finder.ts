/** Finds the page that hosts the engine, and keeps a trunk to it. When the service worker is stopped, all this is lost, and found again. */
import { LlamatabError } from '../errors.ts';
import type { ToPage } from '../protocol.ts';
import { connectToHost, type HostConnection } from '../transport/caller.ts';
import { hostLock } from '../transport/locks.ts';

/** Milliseconds in which a page that is being loaded, or loaded again, comes to call `serve()`. */
const START_TIME = 2_500;
/**
 * Milliseconds that a request waits for one of the candidates to become the host. Starting takes a few hundred; but first it may have
 * to be found out that the last one does not run (`heartbeat.ts`), which takes most of this.
 */
const ELECTION_TIMEOUT = 40_000;

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

  async function take(trunk: MessagePort): Promise<'host' | 'candidate' | 'of another version'> {
    const connection = await connectToHost(trunk, caller);
    if (typeof connection === 'string') return connection;
    if (!connection.closed.aborted) {
      current = connection;
      found.dispatchEvent(new Event('host'));
    }
    return 'host';
  }

  /** Rejects when it is clear that no page will host. */
  async function noPage(answers: Promise<string>[]): Promise<never> {
    let others = 0;
    for (const answer of answers) answer.then((what) => what === 'of another version' && others++);
    if (answers.length > 0) await Promise.race([delay(START_TIME), allAreOther(answers)]);
    // A worker's place in the queue shows its page, though that may be too busy to answer.
    const { held = [], pending = [] } = await navigator.locks.query();
    if ([...held, ...pending].some(({ name }) => name === hostLock(base))) await delay(ELECTION_TIMEOUT);
    else throw new LlamatabError('unavailable_error', others > 0 ? OTHER_VERSION : NO_PAGE);
    throw new LlamatabError('unavailable_error', NO_HOST);
  }

  async function searchHost(): Promise<HostConnection> {
    const host = new Promise<HostConnection>((resolve) => {
      found.addEventListener('host', () => current && resolve(current), { once: true });
    });
    const asked = (await pages()).map((page) => {
      const { port1, port2 } = new MessageChannel();
      page.postMessage({ type: 'who-hosts', base, port: port2 } satisfies ToPage, [port2]);
      return take(port1);
    });
    return Promise.race([host, noPage(asked)]);
  }

  const known = () => (current?.closed.aborted ? null : current);
  return {
    get current() {
      return known();
    },
    offer: (trunk) => void take(trunk),
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
const OTHER_VERSION =
  'The open pages of this site run another version of llamatab than its service worker, and the two don’t understand each other: reload the pages.';
const NO_HOST = `No page of this site could start the engine within ${ELECTION_TIMEOUT / 1000} s: look for errors in their consoles, and reload them.`;

/** Settles once all have answered, none of which can be the host; never, if one can. */
async function allAreOther(answers: Promise<string>[]): Promise<void> {
  const all = await Promise.all(answers);
  if (all.some((answer) => answer !== 'of another version')) await new Promise(() => {});
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
