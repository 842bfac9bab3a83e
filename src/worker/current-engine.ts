/** The engine of a deploy whose files may be gone by the time that another model is loaded. */
import type { Engine } from '../engine/engine.ts';
import { isAbort, LlamatabError } from '../errors.ts';

/**
 * The same engine, which says so where it fails because the site was deployed anew.
 * @param isCurrent whether the site's deploy is still this one; the page replaces this worker if not.
 */
export function createCurrentEngine(engine: Engine, isCurrent: () => Promise<boolean>): Engine {
  return {
    memory: (model) => engine.memory(model),
    async load(model, signal) {
      try {
        return await engine.load(model, signal);
      } catch (error) {
        if (signal?.aborted || isAbort(error) || (await isCurrent())) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        throw new LlamatabError(
          'unavailable_error',
          `${reason} The site was deployed anew since the tab that runs the engine was opened: ask again, and if that does not help, reload the page.`,
          { reload: true, cause: error },
        );
      }
    },
  };
}
