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

/** Resolves with whether the service worker controls this page. On a first visit, and after a hard reload, it has to be claimed. */
export async function control(registration: ServiceWorkerRegistration): Promise<boolean> {
  const { serviceWorker } = navigator;
  if (serviceWorker.controller) return true;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), CONTROL_TIMEOUT);
    serviceWorker.addEventListener(
      'controllerchange',
      () => {
        clearTimeout(timer);
        resolve(true);
      },
      { once: true },
    );
    registration.active?.postMessage({ type: 'claim' } satisfies ToServiceWorker);
  });
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
