/** One tab of the chaos: what it can be asked, and what can be done to it. */
import type { Chromium } from './chromium.ts';

/** The page that was asked is no more: closed, crashed, or left. */
export class Gone extends Error {}

/** Milliseconds that a page has to be ready: its `serve()` must come back whatever goes on in other tabs. */
const READY_TIMEOUT = 120_000;
/** Milliseconds between two looks. */
const POLL = 100;

export class Tab {
  readonly #browser: Chromium;
  readonly #target: string;
  readonly #session: string;
  readonly #url: string;
  readonly #end: () => void;
  /** Reject what is asked of the page when it goes. */
  #asked = new Set<(reason: Gone) => void>();
  isGone = false;
  isFrozen = false;
  /** How often its page has called `stop()`, which ends what it asked of its server. */
  stops = 0;
  /** Whether its page answers: it does not while it is loading, or another one is there. */
  isReady = false;

  private constructor(browser: Chromium, target: string, session: string, url: string) {
    this.#browser = browser;
    this.#target = target;
    this.#session = session;
    this.#url = url;
    this.#end = browser.listen((method, params, from) => {
      const crashed = method === 'Inspector.targetCrashed' && from === session;
      const detached = method === 'Target.detachedFromTarget' && params.sessionId === session;
      if (crashed || detached) this.#onGone();
    });
  }

  /** @param url of a page that sets `ready`, a promise. */
  static async open(browser: Chromium, url: string): Promise<Tab> {
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(browser, targetId as string, sessionId as string, url);
    await tab.#send('Inspector.enable');
    await tab.#send('Page.enable');
    await tab.#send('Page.navigate', { url });
    return tab;
  }

  #send(method: string, params: Record<string, unknown> = {}) {
    return this.#browser.send(method, params, this.#session);
  }

  #onGone(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#end();
    this.#left();
  }

  /** What was asked of the page that was here. */
  #left(): void {
    this.isReady = false;
    const asked = this.#asked;
    this.#asked = new Set();
    for (const reject of asked) reject(new Gone('the page that was asked is gone'));
  }

  /** @throws Gone; what the expression rejects with. */
  evaluate<T>(expression: string): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.isGone) return reject(new Gone('the tab is gone'));
      this.#asked.add(reject);
      this.#send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
        .then(({ result, exceptionDetails }) => {
          if (exceptionDetails === undefined) return resolve((result as { value: T }).value);
          const { exception, text } = exceptionDetails as { exception?: { description?: string }; text: string };
          reject(new Error(exception?.description ?? text));
        }, reject)
        .finally(() => this.#asked.delete(reject));
    });
  }

  /** Resolves when the page is ready. @throws Gone; an error after `READY_TIMEOUT`. */
  async ready(): Promise<void> {
    const signal = AbortSignal.timeout(READY_TIMEOUT);
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`no serve() after ${READY_TIMEOUT / 1000} s`)));
    });
    while (!(await Promise.race([this.#looksReady(), late]))) await new Promise((resolve) => setTimeout(resolve, POLL));
    this.isReady = true;
  }

  /** While one page goes and another comes, there may be nothing to ask. */
  async #looksReady(): Promise<boolean> {
    try {
      return await this.evaluate<boolean>('globalThis.ready?.then(() => true) ?? false');
    } catch (error) {
      if (this.isGone) throw error;
      if (error instanceof Gone || /context|navigat|collected/i.test((error as Error).message)) return false;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#onGone();
    await this.#browser.send('Target.closeTarget', { targetId: this.#target }).catch(() => {});
  }

  /** The renderer crashes; nothing of the page gets to say goodbye. */
  async crash(): Promise<void> {
    const crashed = new Promise<void>((resolve) => {
      const end = this.#browser.listen((method, _, from) => {
        if (method !== 'Inspector.targetCrashed' || from !== this.#session) return;
        end();
        resolve();
      });
    });
    // It has no answer.
    this.#send('Page.crash').catch(() => {});
    await crashed;
    await this.close();
  }

  async reload(ignoreCache = false): Promise<void> {
    this.#left();
    await this.#send('Page.reload', { ignoreCache });
  }

  /** To another page: this one may be kept in the back/forward cache. */
  async leave(url: string): Promise<void> {
    this.#left();
    await this.#send('Page.navigate', { url });
  }

  async back(): Promise<void> {
    const { currentIndex, entries } = await this.#send('Page.getNavigationHistory');
    const before = (entries as { id: number; url: string }[])
      .slice(0, currentIndex as number)
      .findLast(({ url }) => url === this.#url);
    if (before === undefined) await this.#send('Page.navigate', { url: this.#url });
    else await this.#send('Page.navigateToHistoryEntry', { entryId: before.id });
  }

  /** As browsers do to save energy: nothing in the tab runs, its workers included. */
  async freeze(): Promise<void> {
    this.isFrozen = true;
    await this.#send('Page.setWebLifecycleState', { state: 'frozen' });
  }

  async thaw(): Promise<void> {
    await this.#send('Page.setWebLifecycleState', { state: 'active' });
    this.isFrozen = false;
  }

  /** The browser ends the site's service workers. */
  async stopServiceWorkers(): Promise<void> {
    await this.#send('ServiceWorker.enable');
    await this.#send('ServiceWorker.stopAllWorkers');
    await this.#send('ServiceWorker.disable');
  }
}
