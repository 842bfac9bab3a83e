/** Registers the service worker and gets control of this page. */
import type { SiteOptions, SiteOptionsReply, ToServiceWorker } from '../protocol.ts';
import { INSTANCE_HEADER, probe } from '../transport/address.ts';
import { PROTOCOL_VERSION } from '../transport/locks.ts';

/** Milliseconds that a page waits for a service worker to take control. One that is running takes 2. */
const CONTROL_TIMEOUT = 5_000;

/** Milliseconds between the requests of a page that is not controlled to be: one is lost with a service worker that is being stopped. */
const CLAIM_INTERVAL = 1_000;

/** Such requests, then it is given up: each keeps the service worker awake. */
const MAX_CLAIMS = 60;

/** How often a page asks who gets its requests, after a change. */
const MAX_PROBES = 10;

/** How often a page that has lost its service worker has it registered anew. */
const MAX_RENEWALS = 3;

/** Milliseconds that a service worker takes to answer, being started first. One that is not ours never does. */
const ANSWER_TIMEOUT = 2_000;

/**
 * Registers `llamatab-sw.js` and waits until it is active. A service worker of the site's own is never displaced.
 * @param scriptUrl absolute.
 * @param scope absolute URL of the site's base.
 * @throws the browser's TypeError or SecurityError if the script is missing or not allowed; an Error that names the site's own service
 *   worker, if that has the scope and does not import ours.
 */
export async function register(scriptUrl: string, scope: string): Promise<ServiceWorkerRegistration> {
  const nearest = await navigator.serviceWorker.getRegistration(scope);
  const present = nearest?.scope === scope ? nearest : undefined;
  const foreign = workersOf(present).find((worker) => !isScript(worker, scriptUrl));
  if (present && foreign) {
    // It imports ours; or ours is still the active one, and must not throw out what the site has registered.
    if (present.active && (await configure(present.active, {}))) {
      if (present.active !== foreign) console.warn(`llamatab: ${displaced(foreign.scriptURL, scope)}`);
      return present;
    }
    throw new Error(displaced(foreign.scriptURL, scope));
  }
  const registration = await navigator.serviceWorker.register(scriptUrl, { scope, updateViaCache: 'none' });
  await activation(registration);
  updateWhenIdle(registration);
  return registration;
}

/** Why a page is without our service worker, and the way out. */
const displaced = (script: string, scope: string) =>
  `the site's own service worker, ${script}, has the scope ${scope}, and a scope has room for one. Let yours load ours: ` +
  "importScripts('./llamatab-sw.js'), or import 'llamatab/service-worker'.";

function workersOf(registration: ServiceWorkerRegistration | undefined): ServiceWorker[] {
  const { installing, waiting, active } = registration ?? {};
  return [installing, waiting, active].filter((worker) => worker instanceof ServiceWorker);
}

/** By its path: earlier versions had options in the query. */
function isScript({ scriptURL }: ServiceWorker, url: string): boolean {
  return new URL(scriptURL).pathname === new URL(url).pathname;
}

/**
 * Tells the service worker what this page says of the site's options.
 * @returns what holds; null if it does not answer, being the site's own, or of an earlier version.
 */
export async function configure(
  worker: ServiceWorker,
  options: Partial<SiteOptions>,
): Promise<SiteOptionsReply | null> {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise<SiteOptionsReply | null>((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(() => resolve(null), ANSWER_TIMEOUT);
  });
  worker.postMessage({ type: 'configure', options, port: port2 } satisfies ToServiceWorker, [port2]);
  return answer.finally(() => port1.close());
}

/**
 * Waits for the service worker of this page's version, where an earlier one is active still: it would look in vain for this version's
 * host.
 * @returns null, or why it does not come, in words for a person
 */
export async function untilCurrent(registration: ServiceWorkerRegistration): Promise<string | null> {
  const { serviceWorker } = navigator;
  const isCurrent = async () => {
    const reply = registration.active && (await configure(registration.active, {}));
    return reply?.version === PROTOCOL_VERSION;
  };
  if (await isCurrent()) return null;
  const changed = new Promise<void>((resolve) => {
    serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true });
    setTimeout(resolve, CONTROL_TIMEOUT);
  });
  // A new version takes over as soon as the active one is idle.
  await registration.update().catch(() => {});
  await changed;
  if (await isCurrent()) return null;
  return (
    `The service worker ${registration.active?.scriptURL} has another version of llamatab than this page: reload the page. A service ` +
    "worker of the site's own has to be registered with `updateViaCache: 'none'`, or it goes on with an old llamatab-sw.js for a day."
  );
}

/**
 * Calls `onChange` when another service worker takes this page: with null if it is ours, in whatever version, and answers, else with why
 * not. Where none has the page, goes on to ask ours; where ours has it and is not asked, registers it anew. Returns a function that ends
 * this.
 * @param scriptUrl of `llamatab-sw.js`; the registration may be of the site's own, which imports it.
 */
export function watchControl(
  registration: ServiceWorkerRegistration,
  scriptUrl: string,
  onChange: (interceptsNot: string | null) => void,
): () => void {
  const { serviceWorker } = navigator;
  const { scope } = registration;
  const ours = registration.active?.scriptURL ?? scriptUrl;
  let renewals = 0;
  const onControl = async () => {
    const { controller } = serviceWorker;
    // The one of another site, whose scope is nearer to this page, says nothing of ours.
    if (!controller || (await serviceWorker.getRegistration())?.scope !== scope) return;
    const isOurs = isScript(controller, ours) || (await configure(controller, {})) !== null;
    if (!isOurs) return onChange(`It was displaced: ${displaced(controller.scriptURL, scope)}`);
    const answers = await isAsked(controller, scope);
    // There may be another one by now, of which another call tells.
    if (controller !== serviceWorker.controller) return;
    if (answers) return onChange(null);
    onChange('The browser has lost the way to the service worker: reload the page.');
    // How the site's own is registered is not ours to say.
    if (isScript(controller, scriptUrl) && renewals++ < MAX_RENEWALS) await renew(controller, scope);
  };
  serviceWorker.addEventListener('controllerchange', onControl);
  let claims = 0;
  const timer = setInterval(() => {
    if (serviceWorker.controller === null && claims++ < MAX_CLAIMS) claim(registration);
  }, CLAIM_INTERVAL);
  return () => {
    clearInterval(timer);
    serviceWorker.removeEventListener('controllerchange', onControl);
  };
}

/**
 * Whether this page's requests come to the service worker that controls it. In Chromium (156) they go to the network if it was stopped,
 * for lack of memory say, in the moment in which it took over: in all open pages, until they are loaded again or another one takes over.
 * @returns true also where nothing is known
 */
async function isAsked(controller: ServiceWorker, scope: string): Promise<boolean> {
  for (let left = MAX_PROBES; left > 0; left--) {
    const reply = await configure(controller, {});
    const asked = await whoIsAsked(scope);
    if (reply === null || asked === undefined || asked === reply.instance) return true;
    if (asked === null) return false;
    // The one before it, for a moment still; or it was stopped and started in between.
  }
  return true;
}

/** The service worker to which this page's requests go; null for the network, undefined where that can't be told. */
async function whoIsAsked(scope: string): Promise<string | null | undefined> {
  try {
    const response = await fetch(
      // An address of ours: others may be the business of the site's own service worker.
      probe(new URL('v1/health', scope).href),
      { method: 'HEAD', cache: 'no-store', redirect: 'manual', signal: AbortSignal.timeout(ANSWER_TIMEOUT) },
    );
    return response.headers.get(INSTANCE_HEADER);
  } catch {
    // The network is gone, or a Content-Security-Policy in the way.
    return undefined;
  }
}

/** By another spelling of its address the same script is another service worker, which `updateWhenIdle` has take over. */
async function renew({ scriptURL }: ServiceWorker, scope: string): Promise<void> {
  const url = new URL(scriptURL);
  url.search = url.search === '' ? '?anew' : '';
  // It fails where there is no network; the page then has to be loaded again, as `onChange` was told.
  await navigator.serviceWorker.register(url, { scope, updateViaCache: 'none' }).catch(() => {});
}

/** Asks the service worker to take control of the site's pages. */
function claim({ scope, active }: ServiceWorkerRegistration): void {
  if (location.href.startsWith(scope)) active?.postMessage({ type: 'claim' } satisfies ToServiceWorker);
}

async function activation(registration: ServiceWorkerRegistration): Promise<void> {
  if (registration.active) return;
  const worker = registration.installing ?? registration.waiting;
  if (!worker) return;
  await new Promise<void>((resolve, reject) => {
    const check = () => {
      if (worker.state === 'activated' || registration.active) resolve();
      else if (worker.state === 'redundant') reject(new Error('its installation failed'));
    };
    worker.addEventListener('statechange', check);
    check();
  });
}

/**
 * Waits until the service worker controls this page. On a first visit, and after a hard reload, it has to be claimed.
 * @returns null once it does, or why it does not, in words for a person.
 */
export async function control(registration: ServiceWorkerRegistration): Promise<string | null> {
  const { serviceWorker } = navigator;
  const { scope } = registration;
  const isOurs = () => serviceWorker.controller !== null && serviceWorker.controller === registration.active;
  if (isOurs()) return null;
  if (!location.href.startsWith(scope)) {
    return `This page is not below ${scope}, where the service worker answers.`;
  }
  // The one with the longest scope gets the page, and can't be made to give it up.
  const nearest = await serviceWorker.getRegistration();
  if (nearest && nearest.scope !== scope) {
    return `This page belongs to another service worker, ${nearest.active?.scriptURL ?? nearest.scope}, whose scope is nearer to it than ${scope}.`;
  }
  const controlled = await new Promise<boolean>((resolve) => {
    const settle = (result: boolean) => {
      clearTimeout(timer);
      serviceWorker.removeEventListener('controllerchange', check);
      resolve(result);
    };
    const check = () => isOurs() && settle(true);
    const timer = setTimeout(() => settle(false), CONTROL_TIMEOUT);
    serviceWorker.addEventListener('controllerchange', check);
    claim(registration);
    check();
  });
  return controlled ? null : 'The service worker did not take control of this page: reload it.';
}

/** Lets a new version take over once no request is under way: an update must not cut off a stream. */
function updateWhenIdle(registration: ServiceWorkerRegistration): void {
  const offer = () => {
    const { active, waiting } = registration;
    // A worker of the site's own comes when it likes. Asked anything, ours is busy, and keeps it waiting.
    if (!active || !waiting || !isScript(waiting, active.scriptURL)) return;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => waiting.postMessage({ type: 'take-over' } satisfies ToServiceWorker);
    active.postMessage({ type: 'when-idle', port: port2 } satisfies ToServiceWorker, [port2]);
  };
  const onUpdate = () => registration.installing?.addEventListener('statechange', offer);
  offer();
  onUpdate();
  registration.addEventListener('updatefound', onUpdate);
}
