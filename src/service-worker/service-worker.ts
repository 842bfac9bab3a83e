/**
 * The service worker: a wire between the code that calls fetch and the engine worker. It knows which URLs the server answers
 * and which page hosts the engine, and leaves the meaning of a request to the server.
 */
import type { ToServiceWorker } from '../protocol.ts';
import { serverUrl } from '../transport/address.ts';
import { callerLock, holdLock } from '../transport/locks.ts';
import { createRelay } from '../transport/relay.ts';
import { createHostFinder } from './host-finder.ts';
import { isolated } from './isolation.ts';
import { fetchFile, isFile, keepFiles, keepListedFiles } from './offline-files.ts';

declare const self: ServiceWorkerGlobalScope;

const base = self.registration.scope;
/** Options of `serve()`. They are in the script's address because a service worker that was stopped keeps nothing else. */
const options = new URL(self.location.href).searchParams;
const isolate = options.has('isolate');
const nativeRoutes = options.has('native');

const caller = crypto.randomUUID();
/** Held until this service worker is stopped; the host then aborts its requests. */
const lifeline = holdLock(callerLock(caller));
const hosts = createHostFinder(base, caller, self.clients);
const relay = createRelay(async () => {
  await lifeline;
  return hosts.find();
});

self.addEventListener('fetch', (event) => {
  const url = serverUrl(event.request, base, { nativeRoutes });
  if (url !== null) return event.respondWith(relay.send(event.request, url));
  if (!isFile(event.request, self.location.origin)) return;
  const file = fetchFile({ request: event.request, waitUntil: (work) => event.waitUntil(work) });
  const isDocument = event.request.mode === 'navigate';
  event.respondWith(isolate && isDocument ? file.then((response) => isolated(response, navigator.userAgent)) : file);
});

self.addEventListener('activate', (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener('message', (event) => {
  const message: ToServiceWorker = event.data;
  switch (message.type) {
    case 'claim':
      event.waitUntil(self.clients.claim());
      break;
    case 'host':
      hosts.offer(message.port);
      break;
    case 'connect':
      // Without waitUntil: a host may take long to come, and the browser ends a pending event after 5 minutes.
      hosts.find().then(
        (host) => host.forward(message.port),
        () => message.port.close(),
      );
      break;
    case 'keep':
      // Not at install, which would fail or hang with the first file that can't be fetched.
      event.waitUntil(Promise.all([keepListedFiles(base), keepFiles(message.urls)]));
      break;
    case 'when-idle':
      whenIdle(message.port);
      break;
    case 'take-over':
      self.skipWaiting();
      break;
    default:
      message satisfies never;
  }
});

/** Milliseconds between checks for requests under way. An update can wait, so this is not worth an event. */
const IDLE_POLL = 1_000;

function whenIdle(port: MessagePort): void {
  if (hosts.underWay === 0) port.postMessage('idle');
  else setTimeout(() => whenIdle(port), IDLE_POLL);
}
