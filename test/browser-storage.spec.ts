/** IndexedDB as browsers treat it: connections that close, transactions that abort, site data that is cleared while we run. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';
import { path, runtimeFile } from './support/paths.ts';
import type { SiteServer } from './support/site-server.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const weights = (site: SiteServer) => site.requests.filter((path) => path.includes('.gguf')).length;
const stored = (page: Page) => page.evaluate(() => server.status.models.find(({ id }) => id === 'tiny')?.files.state);

/** Deletes databases as any script of the origin may. @returns those that could not be, because they are in use. */
const deleteDatabases = (page: Page) =>
  page.evaluate(async () => {
    const blocked: (string | undefined)[] = [];
    for (const { name = '' } of await indexedDB.databases()) {
      await new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name);
        request.onsuccess = () => resolve();
        request.onerror = () => reject(request.error);
        request.onblocked = () => {
          blocked.push(name);
          resolve();
        };
      });
    }
    return blocked;
  });

const clearings: Record<string, (page: Page, site: SiteServer) => Promise<unknown>> = {
  'indexedDB.deleteDatabase()': async (page) => expect(await deleteDatabases(page)).toEqual([]),
  'clearing site data': async (page, site) => {
    const session = await page.context().newCDPSession(page);
    await session.send('Storage.clearDataForOrigin', { origin: new URL(site.url).origin, storageTypes: 'indexeddb' });
    await session.detach();
  },
};

for (const [name, clear] of Object.entries(clearings)) {
  test(`${name} is not blocked, shows in the status, and is mended by the next load`, async ({ page, site }) => {
    await serveIn(page, site);
    const expected = await chat(page, question);
    await expect.poll(() => stored(page)).toBe('complete');
    const fetched = weights(site);

    await clear(page, site);
    await expect.poll(() => stored(page)).toBe('absent');
    // What is loaded goes on.
    expect(await chat(page, question)).toBe(expected);
    expect(weights(site)).toBe(fetched);

    await page.evaluate(async () => {
      await server.models.unload();
      await server.models.load();
    });
    expect(await chat(page, question)).toBe(expected);
    expect(weights(site)).toBe(2 * fetched);
    await expect.poll(() => stored(page)).toBe('complete');
  });
}

/** How a browser fails one transaction, in the engine worker: before it begins, or after its work. */
const FAULTS = {
  InvalidStateError: `throw new DOMException('The database connection is closing.', 'InvalidStateError');`,
  AbortError: `const made = transaction.apply(this, asked);
      queueMicrotask(() => made.abort());
      return made;`,
};

for (const [name, fault] of Object.entries(FAULTS)) {
  test(`any one transaction that fails with ${name} costs no byte`, async ({ page, site }) => {
    const file = runtimeFile('worker.js');
    const worker = readFileSync(path(`dist/site${file}`), 'utf8');
    let failing = 1;
    site.route(file, (_, response) => {
      response.setHeader('Content-Type', 'text/javascript');
      response.end(`const { transaction } = IDBDatabase.prototype;
        const told = new BroadcastChannel('transactions');
        let count = 0;
        IDBDatabase.prototype.transaction = function (...asked) {
          told.postMessage(++count);
          if (count === ${failing}) { ${fault} }
          return transaction.apply(this, asked);
        };
        ${worker}`);
    });
    await serveIn(page, site, { preload: false });
    await page.evaluate(() => {
      new BroadcastChannel('transactions').onmessage = ({ data }) => Object.assign(globalThis, { transactions: data });
    });
    const visit = () =>
      page.evaluate(async () => {
        await server.stop();
        globalThis.server = await llamatab.serve({ preload: false });
        Object.assign(globalThis, { transactions: 0 });
        await server.models.download('tiny');
        const { state, kept } = (await server.models.list()).find(({ id }) => id === 'tiny')?.files ?? {};
        return { state, kept, transactions: Reflect.get(globalThis, 'transactions') as number };
      });
    for (;;) {
      await deleteDatabases(page);
      const before = weights(site);
      const { transactions, ...files } = await visit();
      const first = weights(site) - before;
      await visit();
      expect([failing, first, weights(site) - before, files]).toEqual([
        failing,
        3,
        3,
        { state: 'complete', kept: 'disk' },
      ]);
      if (transactions < failing) break;
      failing++;
    }
    expect(failing).toBeGreaterThan(10);
  });
}
