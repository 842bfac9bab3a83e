/** This page's trunk to the host: to its own worker, or, through the service worker, to another tab's. */
import { anySignal } from '../abortable.ts';
import { reloadNeeded } from '../errors.ts';
import type { ToPage, ToServiceWorker, WhoHostsReply } from '../protocol.ts';
import { connectToHost, type HostConnection } from '../transport/caller.ts';
import { unable } from '../transport/frames.ts';
import { callerLock, holdLock } from '../transport/locks.ts';
import type { EngineHost } from './engine-host.ts';

/** Milliseconds after which the service worker is asked again: it may have been stopped while it waited for a host. */
const ASK_AGAIN = 10_000;

/** Milliseconds that a page whose own worker can't start waits for another tab's. */
const OTHERS_TIMEOUT = 5_000;

export interface Connection {
  /** The host, if there is one just now. */
  readonly current: HostConnection | null;
  /** The host, once there is one. Rejects only if this page's own worker can't start and no other tab hosts. */
  find(): Promise<HostConnection>;
  /** Ends the search, if one is under way. */
  close(): void;
}

/** @param registration null if there is no service worker: the host is then this page's own worker. */
export function createConnection(engineHost: EngineHost, registration: ServiceWorkerRegistration | null): Connection {
  const caller = crypto.randomUUID();
  const lifeline = holdLock(callerLock(caller));
  const closed = new AbortController();
  let current: HostConnection | null = null;
  let search: Promise<HostConnection> | null = null;

  async function own(): Promise<HostConnection> {
    await engineHost.whenHosting();
    const { port1, port2 } = new MessageChannel();
    engineHost.connect(port2);
    const connection = await connectToHost(port1, caller);
    if (!connection) throw reloadNeeded('This page and its engine worker are of different versions');
    return connection;
  }

  function others(registration: ServiceWorkerRegistration, signal: AbortSignal): Promise<HostConnection> {
    return new Promise((resolve, reject) => {
      const ask = () => {
        const { port1, port2 } = new MessageChannel();
        registration.active?.postMessage({ type: 'connect', port: port2 } satisfies ToServiceWorker, [port2]);
        connectToHost(port1, caller).then(
          (connection) => connection && resolve(connection),
          // Anything else may have an end, and this page is in the queue.
          (error) => error.details.reload && reject(error),
        );
      };
      if (signal.aborted) return;
      ask();
      const timer = setInterval(ask, ASK_AGAIN);
      signal.addEventListener('abort', () => clearInterval(timer));
    });
  }

  /** Rejects later, when no other tab has shown to host. */
  async function afterOthers(error: unknown): Promise<never> {
    await new Promise((resolve) => setTimeout(resolve, OTHERS_TIMEOUT));
    throw error;
  }

  async function searchHost(): Promise<HostConnection> {
    await lifeline;
    const done = new AbortController();
    const signal = anySignal(done.signal, closed.signal);
    try {
      const connection = await (registration
        ? Promise.race([own().catch(afterOthers), others(registration, signal)])
        : own());
      current = connection;
      return connection;
    } finally {
      done.abort();
    }
  }

  const known = () => (current?.closed.aborted ? null : current);
  return {
    get current() {
      return known();
    },
    async find() {
      const connection = known();
      if (connection) return connection;
      search ??= searchHost().finally(() => {
        search = null;
      });
      return search;
    },
    close() {
      closed.abort();
      lifeline.then(({ release }) => release());
    },
  };
}

/** One call of `serve()`, as the service worker sees it. */
interface Member {
  base: string;
  engineHost: EngineHost;
  connection: Connection;
}

/** All of this page: the service worker gets one answer from it, whoever gives it. */
const members = new Set<Member>();

/** Answers the service worker's questions after the host. Returns a function that ends this. */
export function answerServiceWorker(base: string, engineHost: EngineHost, connection: Connection): () => void {
  const member = { base, engineHost, connection };
  if (members.size === 0) {
    navigator.serviceWorker.addEventListener('message', onMessage);
    navigator.serviceWorker.startMessages();
  }
  members.add(member);
  return () => {
    members.delete(member);
    if (members.size === 0) navigator.serviceWorker.removeEventListener('message', onMessage);
  };
}

function onMessage(event: MessageEvent<ToPage>): void {
  const message = event.data;
  const asked = (base: string) => [...members].filter((member) => member.base === base);
  switch (message?.type) {
    case 'who-hosts':
      answerWhoHosts(asked(message.base), message.port);
      break;
    case 'host-silent':
      for (const { engineHost } of asked(message.base)) engineHost.takeOver(message.host);
      break;
    case 'wake':
      event.source?.postMessage({ type: 'awake' } satisfies ToServiceWorker);
      break;
    case undefined:
      // The site's own message.
      break;
    default:
      message satisfies never;
  }
}

function answerWhoHosts(asked: Member[], port: MessagePort): void {
  const own = asked.find(({ engineHost }) => engineHost.hosting)?.engineHost;
  const other = asked.find(({ connection }) => connection.current)?.connection.current;
  const [first] = asked;
  if (own) own.connect(port);
  // A host whose page does not come to answer is reached all the same.
  else if (other) other.forward(port);
  else if (first) {
    const reply = (message: WhoHostsReply) => port.postMessage(message);
    reply({ type: 'candidate' });
    first.engineHost.whenHosting().catch((error) => reply(unable(error)));
  }
}

/** Tells the service worker that this page is now the host, so that requests waiting for one go on. */
export function announceHost(engineHost: EngineHost, registration: ServiceWorkerRegistration): void {
  const { port1, port2 } = new MessageChannel();
  engineHost.connect(port1);
  registration.active?.postMessage({ type: 'host', port: port2 } satisfies ToServiceWorker, [port2]);
}
