/**
 * Cross-origin isolation on a host that sends no headers for it: the service worker adds them, and which ones a browser understands
 * shows only in what comes of them.
 */
import type { IsolationPolicy } from '../protocol.ts';
import { configure } from './registration.ts';

/** Those that hinder a site least come first. */
const POLICIES: readonly IsolationPolicy[] = ['document-isolation', 'credentialless', 'require-corp', 'none'];

/** Once for what this browser should know, once more for the next. */
const MAX_RELOADS = 2;

/** In `sessionStorage`: what this tab has reloaded itself for, in vain so far. */
const triedKey = (base: string) => `llamatab:isolation:${base}`;

const IN_VAIN =
  'This browser does not isolate pages by the headers that serve({ isolate: true }) has the service worker add: the engine computes in ' +
  'one thread.';
const IN_FRAME =
  'This page is in a frame, which is isolated only where the page around it is: the engine computes in one thread.';

/**
 * @param kept what the site's pages have come to so far; null if none has tried.
 * @param tried by this tab, in vain.
 * @param likely where to begin.
 */
export function nextPolicy(
  kept: IsolationPolicy | null,
  tried: readonly IsolationPolicy[],
  likely: IsolationPolicy,
): IsolationPolicy {
  const policy = kept ?? likely;
  if (!tried.includes(policy)) return policy;
  return tried.length < MAX_RELOADS ? (POLICIES[POLICIES.indexOf(policy) + 1] ?? 'none') : 'none';
}

/**
 * Isolates this page, which the service worker controls. Does not return if that takes a reload: once, and once more where the
 * first headers come to nothing. What is found out holds for the whole site.
 * @returns null once it is isolated; else what the visitor gets instead, in words for a person.
 */
export async function isolate(
  base: string,
  worker: ServiceWorker,
  kept: IsolationPolicy | null,
): Promise<string | null> {
  const key = triedKey(base);
  if (globalThis.crossOriginIsolated) {
    sessionStorage.removeItem(key);
    return null;
  }
  const tried: IsolationPolicy[] = JSON.parse(sessionStorage.getItem(key) ?? '[]');
  // Browsers that have such frames know Document-Isolation-Policy, if not each of them in every version.
  const likely = 'credentialless' in HTMLIFrameElement.prototype ? 'document-isolation' : 'credentialless';
  const policy = nextPolicy(kept, tried, likely);
  if (window.parent !== window && policy !== 'document-isolation') return IN_FRAME;
  if (policy !== kept) await configure(worker, { isolationPolicy: policy });
  if (policy === 'none') return IN_VAIN;
  sessionStorage.setItem(key, JSON.stringify([...tried, policy]));
  location.reload();
  return new Promise(() => {});
}
