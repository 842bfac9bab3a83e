/**
 * Firefox (153) ends a service worker half a minute after its last event, whether a body is under way or not, and whoever reads
 * that body takes what has come for all of it. So while one is under way, a page is asked now and then to post a message, which
 * is an event. Elsewhere the body alone keeps the service worker alive.
 */
import type { ToPage } from '../protocol.ts';

/** Milliseconds from one request for a message to the next: a few fit into Firefox's half minute, as a busy page is late. */
const INTERVAL = 3_000;

interface Page {
  postMessage(message: ToPage): void;
}

/**
 * @param pages the site's open pages.
 * @param isBusy whether a body is under way.
 * @returns to be called when one may begin; it asks until none is.
 */
export function createStayAwake(pages: () => Promise<readonly Page[]>, isBusy: () => boolean): () => void {
  let asking = false;

  async function ask(): Promise<void> {
    asking = isBusy();
    if (!asking) return;
    for (const page of await pages()) page.postMessage({ type: 'wake' });
    setTimeout(ask, INTERVAL);
  }

  return () => {
    if (asking) return;
    asking = true;
    setTimeout(ask, INTERVAL);
  };
}
