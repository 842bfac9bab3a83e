/** A file server that misbehaves beside the site, and damage to what came from it. */
import type { Fixtures } from '@playwright/test';
import type { Tab } from './engines/tab.ts';
import { test as base } from './fixtures.ts';
import { startWeightsServer, type WeightsServer } from './weights-server.ts';

export { expect } from './fixtures.ts';

export interface WeightsFixture {
  weights: WeightsServer;
}

export const weightsFixture: Fixtures<WeightsFixture> = {
  // biome-ignore lint/correctness/noEmptyPattern: Playwright wants a pattern
  weights: async ({}, use) => {
    const server = await startWeightsServer();
    await use(server);
    await server.close();
  },
};

export const test = base.extend<WeightsFixture>(weightsFixture);

/** Puts zeros in the place of one stored part, whichever form it has: see part-storage.ts. */
export function damagePart(page: Tab): Promise<void> {
  return page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const database = await settled(indexedDB.open('llamatab'));
    const store = database.transaction('models', 'readwrite').objectStore('models');
    const key = (await settled(store.getAllKeys())).map(String).find((key) => key.startsWith('piece:')) as string;
    const part: Blob | { size: number } = await settled(store.get(key));
    const zeros = new Uint8Array(part.size);
    if (part instanceof Blob) await settled(store.put(new Blob([zeros]), key));
    else await settled(store.put(zeros.buffer, key.replace('piece:', 'bytes:')));
    database.close();
  });
}
