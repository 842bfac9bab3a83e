/** This page's trunk to the host: its own worker, or through the service worker another tab's. */
import { anySignal } from '../abortable.ts';
import type { ToPage, ToServiceWorker, WhoHostsReply } from '../protocol.ts';
import { connectToHost, type HostConnection } from '../transport/caller.ts';
import { callerLock, holdLock } from '../transport/locks.ts';
import type { EngineHost } from './engine-host.ts';

/** Milliseconds until the service worker is asked again: it may have been stopped while it waited for a host. */
const ASK_AGAIN = 10_000;

export interface Connection {
  /** The host, or the next one. Rejects only if this page's own worker can't start and no other tab hosts. */
  find(): Promise<HostConnection>;
  /** Ends the search that goes on, if any. */
  close(): void;
}

/** @param registration null where there is no service worker: then this page's own worker is the only host. */
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
    if (!connection) throw new Error('This page runs another version than its engine worker: reload it.');
    return connection;
  }

  function others(registration: ServiceWorkerRegistration, signal: AbortSignal): Promise<HostConnection> {
    return new Promise((resolve) => {
      const ask = () => {
        const { port1, port2 } = new MessageChannel();
        registration.active?.postMessage({ type: 'connect', port: port2 } satisfies ToServiceWorker, [port2]);
        connectToHost(port1, caller).then((connection) => connection && resolve(connection));
      };
      ask();
      const timer = setInterval(ask, ASK_AGAIN);
      signal.addEventListener('abort', () => clearInterval(timer));
    });
  }

  async function searchHost(): Promise<HostConnection> {
    await lifeline;
    const done = new AbortController();
    const signal = anySignal(done.signal, closed.signal);
    try {
      const connection = await Promise.race([own(), ...(registration ? [others(registration, signal)] : [])]);
      current = connection;
      return connection;
    } finally {
      done.abort();
    }
  }

  return {
    async find() {
      if (current && !current.closed.aborted) return current;
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

/** Answers the service worker's "who hosts the engine?". Returns how to end it. */
export function answerWhoHosts(engineHost: EngineHost): () => void {
  const onMessage = (event: MessageEvent<ToPage>) => {
    if (event.data?.type !== 'who-hosts') return;
    const { port } = event.data;
    if (engineHost.hosting) engineHost.connect(port);
    else port.postMessage({ type: 'candidate' } satisfies WhoHostsReply);
  };
  navigator.serviceWorker.addEventListener('message', onMessage);
  navigator.serviceWorker.startMessages();
  return () => navigator.serviceWorker.removeEventListener('message', onMessage);
}

/** Tells the service worker that this page hosts now: requests that wait for a host go on. */
export function announceHost(engineHost: EngineHost, registration: ServiceWorkerRegistration): void {
  const { port1, port2 } = new MessageChannel();
  engineHost.connect(port1);
  registration.active?.postMessage({ type: 'host', port: port2 } satisfies ToServiceWorker, [port2]);
}
