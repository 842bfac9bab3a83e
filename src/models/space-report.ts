/** Reports how much disk and memory a model needs, and how much of each there is. */
import { sizeOf } from './housekeeping.ts';
import { memoryNeeded } from './memory-needed.ts';
import { readModelHeader } from './model-header.ts';
import type { CatalogModel, SpaceReport } from './models.ts';
import type { StoreContext } from './store-context.ts';

export interface SpaceOptions {
  /** Tokens. Default: the model's own. */
  contextLength?: number;
  signal?: AbortSignal;
}

/** @param evict Whether other models may be evicted for it. */
export async function reportSpace(
  context: StoreContext,
  model: CatalogModel,
  evict: boolean,
  { contextLength = model.contextLength, signal }: SpaceOptions,
): Promise<SpaceReport> {
  const { housekeeping, parts } = context;
  const layout = context.layoutOf(model);
  const [header, stored, estimate, persisted, evictable] = await Promise.all([
    readModelHeader(context, model, signal),
    parts.storedSize(layout.parts),
    housekeeping.estimate(),
    housekeeping.persisted(),
    housekeeping.evictable(context.keyOf(model)),
  ]);
  const missing = layout.total - stored;
  const room = estimate.free === null ? null : estimate.free + (evict ? evictable : 0);
  const { deviceMemory } = (globalThis.navigator ?? {}) as { deviceMemory?: number };
  return {
    disk: {
      needed: layout.total,
      missing,
      ...estimate,
      evictable,
      persisted,
      enough: room === null || missing <= room,
    },
    memory: memoryNeeded(header, sizeOf(model.files), Math.min(contextLength, model.contextLength), deviceMemory),
  };
}
