/** Registers the service worker and gets control of this page. */
import type { ToServiceWorker } from '../protocol.ts';

/** Milliseconds that a page waits for a service worker to take control. One that is running takes 2. */
const CONTROL_TIMEOUT = 5_000;

/**
 * Registers `llamatab-sw.js` and waits until it is active.
 * @param scriptUrl absolute.
 * @param scope absolute URL of the site's base.
 * @throws the browser's TypeError or SecurityError if the script is missing or not allowed.
 */
export async function register(scriptUrl: string, scope: string): Promise<ServiceWorkerRegistration> {
  const registration = await navigator.serviceWorker.register(scriptUrl, { scope, updateViaCache: 'none' });
  await activation(registration);
  updateWhenIdle(registration);
  return registration;
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
    registration.active?.postMessage({ type: 'claim' } satisfies ToServiceWorker);
    check();
  });
  return controlled ? null : 'The service worker did not take control of this page: reload it.';
}

/** Lets a new version take over once no request is under way: an update must not cut off a stream. */
function updateWhenIdle(registration: ServiceWorkerRegistration): void {
  const offer = () => {
    const { active, waiting } = registration;
    if (!active || !waiting) return;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => waiting.postMessage({ type: 'take-over' } satisfies ToServiceWorker);
    active.postMessage({ type: 'when-idle', port: port2 } satisfies ToServiceWorker, [port2]);
  };
  offer();
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', offer);
  });
}
