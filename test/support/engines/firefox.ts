/** Firefox as it is released, by WebDriver BiDi: Playwright drives only a Firefox of its own. */
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer, { type Page, type Browser as PuppeteerBrowser } from 'puppeteer-core';
import { type Browser, POLL, type Tab } from './tab.ts';

/** @param idleLimit Milliseconds after which a service worker without events is ended. */
export async function launchFirefox(executablePath: string, idleLimit: number): Promise<Browser> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    // For `unwatchWorkers`.
    args: ['--remote-allow-system-access'],
    // Answers of the real model take a while, and a test has a limit of its own.
    protocolTimeout: 0,
    extraPrefsFirefox: {
      'dom.serviceWorkers.idle_timeout': idleLimit - 1000,
      'dom.serviceWorkers.idle_extended_timeout': 1000,
    },
  });
  await unwatchWorkers(browser);
  return {
    version: (await browser.version()).replace(/^firefox\//i, ''),
    newTab: async () => tabOf(await browser.newPage()),
    close: () => browser.close(),
  };
}

/** Of Puppeteer's own connection, what is used: its API has no way to send a command as it is. */
interface Bidi {
  connection: { send(method: string, params: object): Promise<{ result: BidiResult }> };
}
interface BidiResult {
  type?: string;
  contexts?: { context: string }[];
  exceptionDetails?: { text: string };
}

/**
 * Has Firefox stop listening for workers, which WebDriver BiDi makes it do. Where anyone listens, a worker that makes another waits
 * until that one is announced, on the condition variable that the other waits on for work: `SetIsDebuggerRegistered` wakes one of
 * the two, and if that is the wrong one, the first sleeps for ever (Firefox 153, some in a hundred on a busy machine). Without
 * this, or developer tools, nobody listens.
 */
async function unwatchWorkers(browser: PuppeteerBrowser): Promise<void> {
  const { connection } = browser as unknown as Bidi;
  const { result } = await connection.send('browsingContext.getTree', { 'moz:scope': 'chrome' });
  const actor = 'chrome://remote/content/shared/js-process-actors/WebDriverWorkerListenerActor.sys.mjs';
  const done = await connection.send('script.evaluate', {
    expression: `ChromeUtils.importESModule(${JSON.stringify(actor)}).unregisterWebDriverWorkerListenerActor()`,
    target: { context: result.contexts?.[0]?.context },
    awaitPromise: false,
  });
  if (done.result.type === 'exception') throw new Error(done.result.exceptionDetails?.text);
}

function tabOf(page: Page): Tab {
  page.setDefaultTimeout(0);
  return {
    goto: (url) => page.goto(url),
    reload: () => page.reload(),
    evaluate: ((pageFunction: (argument: unknown) => unknown, argument: unknown) =>
      page.evaluate(pageFunction, argument)) as Tab['evaluate'],
    async waitForFunction(pageFunction) {
      // Not Puppeteer's own: it gives up when the page is left, and a page of ours may reload itself.
      while (!(await page.evaluate(pageFunction).catch(ifPageWasLeft))) await sleep(POLL);
    },
    click: (selector) => page.click(selector),
    async type(selector, text) {
      await page.focus(selector);
      for (const key of text) await page.keyboard.press(key === '\n' ? 'Enter' : (key as 'a'));
    },
    screenshot: async () => Buffer.from(await page.screenshot()),
    close: () => page.close(),
  };
}

/** @throws any other error */
function ifPageWasLeft(error: Error): false {
  if (/no such frame|execution context|browsing ?context|detached|AbortError/i.test(error.message)) return false;
  throw error;
}
