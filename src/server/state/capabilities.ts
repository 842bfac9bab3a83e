/** What a model can do, by its entry in the catalog: known before it is loaded. */
import { LlamatabError } from '../../errors.ts';
import type { Capability, CatalogModel } from '../../models/models.ts';

export function hasCapability(model: CatalogModel, ...capabilities: Capability[]): boolean {
  return capabilities.some((capability) => model.capabilities.includes(capability));
}

/** @throws LlamatabError llama-server's answer (sic) where a model that only embeds is asked for text. */
export function requireCompletion(model: CatalogModel): void {
  if (hasCapability(model, 'chat', 'completion')) return;
  throw new LlamatabError('server_error', 'the current context does not logits computation. skipping', {
    param: 'model',
  });
}

/** What a model takes beside text. */
export interface MediaSupport {
  image: boolean;
  audio: boolean;
}

export function mediaSupport(model: CatalogModel): MediaSupport {
  return { image: hasCapability(model, 'vision'), audio: hasCapability(model, 'audio') };
}
