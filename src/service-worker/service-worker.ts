/**
 * The service worker: a wire between the code that calls fetch and the engine worker. It knows which URLs the server answers
 * and which page hosts the engine, and leaves the meaning of a request to the server.
 */
import type { SiteOptionsReply, ToServiceWorker } from '../protocol.ts';
import { INSTANCE_HEADER, isPastServiceWorker, isProbe, mayBeIntercepted, serverUrl } from '../transport/address.ts';
import { unable } from '../transport/frames.ts';
import { watchHeartbeat } from '../transport/heartbeat.ts';
import { callerLock, holdLock, PROTOCOL_VERSION } from '../transport/locks.ts';
import { createRelay } from '../transport/relay.ts';
import { createFrozenPages } from './frozen-pages.ts';
import { createHostFinder } from './host-finder.ts';
import { isolated, needsIsolation } from './isolation.ts';
import { createOfflineFiles, deleteOldCache } from './offline-files.ts';
import { createKeptOptions } from './site-options.ts';
import { createStayAwake } from './stay-awake.ts';

declare const self: ServiceWorkerGlobalScope;

const base = self.registration.scope;
const options = createKeptOptions(base, caches);
// Read at once: until they are, requests that may be ours have to wait.
options.get();
const files = createOfflineFiles(base);
/** Whether the site's own service worker has imported this script. Then the site's files are its business. */
const imported = !self.location.pathname.endsWith('/llamatab-sw.js');

const caller = crypto.randomUUID();
/** Held until this service worker is stopped; the host then aborts its requests. */
const lifeline = holdLock(callerLock(caller));
const hosts = createHostFinder(base, caller, self.clients);
const relay = createRelay(async () => {
  await lifeline;
  return hosts.find();
});
const frozenPages = createFrozenPages();
const stayAwake = createStayAwake(
  () => self.clients.matchAll({ type: 'window', includeUncontrolled: true }),
  () => relay.underWay > 0,
);

const watchHost = watchHeartbeat(base, {
  isNeeded: () => relay.underWay > 0,
  connection: () => hosts.current,
  onSilence: (host) => hosts.replace(host),
});

/** A worker is a client of its own; what a page asks before it is one has no name. */
function answer({ request, clientId }: FetchEvent, url: string): Promise<Response> {
  const { signal, untilThawed, onBegun, onEnd } = frozenPages.answer(clientId);
  const response = relay.send(request, url, clientId, { signal, beforeEnd: untilThawed, onEnd });
  response.then(onBegun, () => {});
  stayAwake();
  watchHost();
  return response;
}

/** A worker of the site's own that has imported this one may have a listener for every request, which must not answer this one again. */
function respond(event: FetchEvent, response: Promise<Response>): void {
  event.stopImmediatePropagation();
  event.respondWith(response);
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (isPastServiceWorker(request)) return;
  if (isProbe(request)) {
    return respond(event, Promise.resolve(new Response(null, { headers: { [INSTANCE_HEADER]: caller } })));
  }
  const url = serverUrl(request, base, options.known ?? { nativeRoutes: false });
  if (url !== null) return respond(event, answer(event, url));
  const mayBeOurs = serverUrl(request, base, { nativeRoutes: true }) !== null || mayBeIntercepted(request, base);
  if (options.known === null && mayBeOurs) {
    // Whether it is ours has to be read first, when this service worker has just been started.
    const decide = async () => {
      const url = serverUrl(request, base, await options.get());
      return url === null ? fetch(request) : answer(event, url);
    };
    return respond(event, decide());
  }
  if (imported || !files.isFile(request)) return;
  const file = files.fetch({ request, waitUntil: (work) => event.waitUntil(work) });
  event.respondWith(needsIsolation(request) ? isolatedIfWanted(file) : file);
});

async function isolatedIfWanted(file: Promise<Response>): Promise<Response> {
  const { isolate, isolationPolicy } = await options.get();
  return isolate && isolationPolicy !== null ? isolated(await file, isolationPolicy) : file;
}

self.addEventListener('activate', (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), deleteOldCache()]));
});

self.addEventListener('message', (event) => {
  const message: ToServiceWorker | null = event.data;
  switch (message?.type) {
    case 'configure':
      event.waitUntil(
        options.change(message.options).then((said) => {
          const reply: SiteOptionsReply = { version: PROTOCOL_VERSION, instance: caller, ...said };
          message.port.postMessage(reply);
        }),
      );
      break;
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
        (error) => message.port.postMessage(unable(error)),
      );
      break;
    case 'keep':
      // Not at install, which would fail or hang with the first file that can't be fetched.
      if (!imported) event.waitUntil(files.keep(message.urls));
      break;
    case 'when-idle':
      // Without waitUntil: an update can wait for longer than an event may.
      relay.whenIdle().then(() => message.port.postMessage('idle'));
      break;
    case 'frozen':
      if (event.source instanceof Client) frozenPages.onFrozen(event.source.id);
      break;
    case 'thawed':
      if (event.source instanceof Client) frozenPages.onThawed(event.source.id);
      break;
    case 'awake':
      // That it came is all.
      break;
    case 'take-over':
      // Awake until it is active: one that Chromium (156) has to start for that leaves its pages' requests to the network.
      event.waitUntil(self.skipWaiting());
      break;
    case undefined:
      // The site's own message to a service worker of its own.
      break;
    default:
      message satisfies never;
  }
});
