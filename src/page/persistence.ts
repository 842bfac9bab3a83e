/** Asks the browser to keep the models: only a window may, workers can't. */
import type { ModelStatus } from './api.ts';

type Asked = Pick<StorageManager, 'persisted' | 'persist'>;

/**
 * @returns what to call with the models' states: asks once, when there is something to keep. Firefox shows a prompt, which a
 *   visitor should not meet before anything is stored; others decide by how the site is used, and a refusal now may be a grant
 *   on a later visit.
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
    // Not offered here: the browser's own rules hold.
  }
}
