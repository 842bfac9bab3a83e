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

/** Puts zeros in the place of one stored part. */
export function damagePart(page: Tab): Promise<void> {
  return page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const opening = indexedDB.open('llamatab');
        opening.onsuccess = () => {
          const store = opening.result.transaction('models', 'readwrite').objectStore('models');
          const keys = store.getAllKeys();
          keys.onsuccess = () => {
            const key = keys.result.find((key) => String(key).startsWith('piece:')) as string;
            const read = store.get(key);
            read.onsuccess = () => {
              store.put(new Blob([new Uint8Array((read.result as Blob).size)]), key).onsuccess = () => resolve();
            };
          };
        };
      }),
  );
}
