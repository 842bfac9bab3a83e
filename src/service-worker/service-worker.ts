/**
 * The service worker: a wire between whoever calls fetch and the engine worker. It knows which URLs are ours and who
 * hosts the engine; what a request means is the server's matter.
 */
import type { ToServiceWorker } from '../protocol.ts';
import { isFetch, serverUrl } from '../transport/address.ts';
import { callerLock, holdLock } from '../transport/locks.ts';
import { createRelay } from '../transport/relay.ts';
import { createHostFinder } from './host-finder.ts';
import { isolated } from './isolation.ts';
import { fetchFile, isFile, keepFiles, keepListedFiles } from './offline-files.ts';

declare const self: ServiceWorkerGlobalScope;

const base = self.registration.scope;
/** Options of `serve()`, in the script's address, because that is what a stopped service worker keeps. */
const options = new URL(self.location.href).searchParams;
const isolate = options.has('isolate');
const nativeRoutes = !options.has('v1-only');

const caller = crypto.randomUUID();
/** Held until this service worker is stopped: the host then ends what it was asked for. */
const lifeline = holdLock(callerLock(caller));
const hosts = createHostFinder(caller, self.clients);
const relay = createRelay(async () => {
  await lifeline;
  return hosts.find();
});

self.addEventListener('fetch', (event) => {
  const { url: asked, method } = event.request;
  const url = serverUrl(asked, base, { nativeRoutes: nativeRoutes && isFetch(event.request), method });
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
      // Not held open with waitUntil: a host may be long in coming, and a pending event would end at 5 minutes.
      hosts.find().then(
        (host) => host.forward(message.port),
        () => message.port.close(),
      );
      break;
    case 'keep':
      // Here and not at install, which a file that does not come would hold up.
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

/** Milliseconds between looks at whether requests are under way: an update can wait, so there is no event for it. */
const IDLE_POLL = 1_000;

function whenIdle(port: MessagePort): void {
  if (hosts.underWay === 0) port.postMessage('idle');
  else setTimeout(() => whenIdle(port), IDLE_POLL);
}
