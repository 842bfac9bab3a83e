/** Asks the browser to keep the models. Only a window can ask, not a worker. */
import type { ModelStatus } from './api.ts';

type Asked = Pick<StorageManager, 'persisted' | 'persist'>;

/**
 * @returns a function to call with the models' states. It asks once, when there is something to keep: Firefox shows a prompt,
 *   which makes no sense to a visitor before anything is stored. Other browsers decide by how the site is used; one that refuses
 *   now may agree on a later visit.
 */
export function createPersistenceRequest(
  storage: Asked | undefined = globalThis.navigator?.storage,
): (models: readonly Pick<ModelStatus, 'state'>[]) => void {
  let asked = false;
  return (models) => {
    if (asked || !models.some(({ state }) => state === 'downloading' || state === 'loaded')) return;
    asked = true;
    void ask(storage);
  };
}

async function ask(storage: Asked | undefined): Promise<void> {
  try {
    if (storage !== undefined && !(await storage.persisted())) await storage.persist();
  } catch {
    // Not supported here: the browser's own rules apply.
  }
}
