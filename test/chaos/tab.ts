/** One tab of the chaos: what it can be asked, and what can be done to it. */
import type { Chromium } from './chromium.ts';

/** The page that was asked is no more: closed, crashed, or left. */
export class Gone extends Error {}

/** Milliseconds that a page has to be ready: its `serve()` must come back whatever goes on in other tabs. */
const READY_TIMEOUT = 120_000;
/** Milliseconds that its files have to come, or to fail. */
const LOAD_TIMEOUT = 15_000;
/** Milliseconds after which a page has no answer: it has no document just now. */
const NO_ANSWER = 2_000;
/** Milliseconds between two looks. */
const POLL = 100;
/** Milliseconds in which the page that is loaded again takes the place of the one that failed. */
const RELOAD = 1000;

/**
 * `ready`, `serving` while its `serve()` has not come back, `loading`, or why it will never be ready. Of a page that sets `ready`, a
 * promise, in its last script.
 */
const STATE = `(() => {
  if (location.protocol === 'chrome-error:') return 'its document could not be loaded';
  const serving = new Promise((resolve) => setTimeout(resolve, 200, 'serving'));
  if (globalThis.ready) return Promise.race([ready.then(() => 'ready', String), serving]);
  const isLoaded = location.pathname.endsWith('/chaos.html') && document.readyState === 'complete';
  return isLoaded ? 'its scripts could not be loaded' : 'loading';
})()`;

const sleep = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

export class Tab {
  /** Names it. */
  readonly number: number;
  readonly #browser: Chromium;
  readonly #target: string;
  readonly #session: string;
  readonly #url: string;
  readonly #end: () => void;
  /** Reject what is asked of the page when it goes. */
  #asked = new Set<(reason: Gone) => void>();
  isGone = false;
  isFrozen = false;
  /** How often it was frozen. */
  freezes = 0;
  /** How often its page has called `stop()`, which ends what it asked of its server. */
  stops = 0;
  /** Whether its page answers: it does not while it is loading, or another one is there. */
  isReady = false;

  private constructor(browser: Chromium, target: string, session: string, url: string, number: number) {
    this.number = number;
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
  static async open(browser: Chromium, url: string, number: number): Promise<Tab> {
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(browser, targetId as string, sessionId as string, url, number);
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

  /**
   * Resolves when the page is ready, with what had to be made again of its parts. One that could not be loaded is loaded again, as a
   * person would: the service worker, which was fetching it, was stopped.
   * @param onFailure Told why it was not loaded. @throws Gone; an error if its `serve()` does not come back within `READY_TIMEOUT`.
   */
  async ready(onFailure: (reason: string) => void = () => {}): Promise<string[]> {
    let since = performance.now();
    let before = '';
    for (;;) {
      const state = await Promise.race([this.#state(), sleep(NO_ANSWER).then(() => 'loading')]);
      if (state === 'ready') break;
      if (state !== before) since = performance.now();
      before = state;
      const elapsed = performance.now() - since;
      if (state === 'serving') {
        if (elapsed > READY_TIMEOUT) throw new Error(`no serve() after ${READY_TIMEOUT / 1000} s`);
      } else if (state !== 'loading' || elapsed > LOAD_TIMEOUT) {
        onFailure(state === 'loading' ? 'its files neither came nor failed' : state);
        this.#left();
        await this.#navigate(this.#url);
        since = performance.now();
        await sleep(RELOAD);
      }
      await sleep(POLL);
    }
    this.isReady = true;
    // It may be gone by now, which is no failure.
    return this.evaluate<string[]>('notMade.splice(0)').catch(() => []);
  }

  /** See `STATE`. While one page goes and another comes, there may be nothing to ask. */
  async #state(): Promise<string> {
    try {
      return await this.evaluate<string>(STATE);
    } catch (error) {
      if (this.isGone) throw error;
      if (error instanceof Gone || /context|navigat|collected/i.test((error as Error).message)) return 'loading';
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
    await this.#navigate(url);
  }

  /** Does not wait for ever: the document that is to come may be lost with the service worker. */
  async #navigate(url: string): Promise<void> {
    await Promise.race([this.#send('Page.navigate', { url }), sleep(NO_ANSWER)]);
  }

  async back(): Promise<void> {
    const { currentIndex, entries } = await this.#send('Page.getNavigationHistory');
    const before = (entries as { id: number; url: string }[])
      .slice(0, currentIndex as number)
      .findLast(({ url }) => url === this.#url);
    if (before === undefined) await this.#navigate(this.#url);
    else await this.#send('Page.navigateToHistoryEntry', { entryId: before.id });
  }

  /** As browsers do to save energy: nothing in the tab runs, its workers included. */
  async freeze(): Promise<void> {
    this.isFrozen = true;
    this.freezes++;
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

  /** The browser ends the version that is to take over; the active one goes on. */
  async stopWaitingServiceWorker(): Promise<void> {
    const installed = new Promise<string>((resolve) => {
      const end = this.#browser.listen((method, params, from) => {
        if (method !== 'ServiceWorker.workerVersionUpdated' || from !== this.#session) return;
        const versions = params.versions as { versionId: string; status: string }[];
        const version = versions.find(({ status }) => status === 'installed');
        if (version === undefined) return;
        end();
        resolve(version.versionId);
      });
    });
    await this.#send('ServiceWorker.enable');
    await this.#send('ServiceWorker.stopWorker', { versionId: await installed });
    await this.#send('ServiceWorker.disable');
  }
}
