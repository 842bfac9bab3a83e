/** What tests share that run in every engine: a browser of that engine, and tabs of it. */
import { openChromium } from './engines/chromium.ts';
import { findFirefox, findWebKit } from './engines/find.mjs';
import { launchFirefox } from './engines/firefox.ts';
import type { Browser, EngineName, Tab } from './engines/tab.ts';
import { launchWebKit } from './engines/webkit.ts';
import { test as base, expect } from './fixtures.ts';
import type { SiteServer } from './site-server.ts';

export { expect };

export interface EngineOptions {
  /** Of the project. */
  engine: EngineName;
}

/** The engine's files that were asked for, each once: which build it is depends on the browser. */
export function engineFiles({ requests }: SiteServer): string[] {
  return [...new Set(requests.filter((path) => path.startsWith('/llamatab/wllama')))];
}

/**
 * Milliseconds after which a browser ends a service worker that handled no event meanwhile. Half a minute in Firefox, which does
 * not count a stream under way; here less, so that every test is exposed to it. Others end idle ones later, or never.
 */
export const IDLE_LIMIT = 12_000;

interface Fixtures {
  /** A further tab, which is closed with the test. */
  newTab: () => Promise<Tab>;
  tab: Tab;
}

interface WorkerFixtures extends EngineOptions {
  /** One for all tests: each has an origin of its own. */
  engineBrowser: Browser;
}

/** Resolves once the service worker keeps all of the engine's files, which it does in the background. */
export async function untilKept(tab: Tab, site: SiteServer): Promise<void> {
  const files = engineFiles(site);
  const kept = () =>
    tab.evaluate((files) => Promise.all(files.map(async (file) => (await caches.match(file))?.ok)), files);
  await expect.poll(kept).toEqual(files.map(() => true));
}

/** `/page.html`, which calls `serve({ isolate: true })` whenever it is loaded, as a site's pages do. */
export function putIsolatingPage(site: SiteServer): void {
  site.route('/page.html', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><script type="module">
      import * as llamatab from '/lib/index.js';
      addEventListener('load', async () => {
        globalThis.server = await llamatab.serve({ isolate: true, engine: { threads: 2 } });
      });
    </script>`);
  });
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  engine: ['chromium', { option: true, scope: 'worker' }],
  engineBrowser: [
    async ({ engine, playwright, launchOptions }, use) => {
      const browser = await launch[engine](() => playwright.chromium.launch(launchOptions));
      await use(browser);
      await browser.close();
    },
    { scope: 'worker' },
  ],
  newTab: async ({ engineBrowser }, use) => {
    const tabs: Tab[] = [];
    await use(async () => {
      const tab = await engineBrowser.newTab();
      tabs.push(tab);
      return tab;
    });
    // Some are closed by their test.
    for (const tab of tabs) await tab.close().catch(() => {});
  },
  tab: async ({ newTab }, use) => use(await newTab()),
});

type LaunchChromium = Parameters<typeof openChromium>[0];

const launch: Record<EngineName, (chromium: LaunchChromium) => Promise<Browser>> = {
  chromium: openChromium,
  firefox: () => launchFirefox(found('firefox', findFirefox()), IDLE_LIMIT),
  webkit: () => launchWebKit(found('webkit', findWebKit())),
};

function found<Engine>(name: EngineName, engine: Engine | undefined): Engine {
  if (engine !== undefined) return engine;
  throw new Error(`There is no ${name} on this machine: "npm run test:${name}" installs it where it can.`);
}
