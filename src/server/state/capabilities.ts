/** What a model can do according to the catalog, which is known before it is loaded. */
import { invalid } from '../../errors.ts';
import type { Capability, Catalog, CatalogModel } from '../../models/models.ts';

export function hasCapability(model: CatalogModel, ...capabilities: Capability[]): boolean {
  return capabilities.some((capability) => model.capabilities.includes(capability));
}

/** What an error says after "this model can't": the models of the catalog that can. */
export function remedyFor(capability: Capability, model: CatalogModel, catalog: Catalog): string {
  const able = catalog.models.filter((other) => other !== model && hasCapability(other, capability));
  if (able.length === 0) return 'nor does any of the catalog';
  return `ask one of these as \`model\`: ${able.map(({ id }) => id).join(', ')}`;
}

/** @throws LlamatabError with llama-server's message (sic), if a model that only embeds is asked for text. */
export function requireCompletion(model: CatalogModel): void {
  if (hasCapability(model, 'chat', 'completion')) return;
  throw invalid('model', 'the current context does not logits computation. skipping', 'server_error');
}

/** What a model accepts besides text. */
export interface MediaSupport {
  image: boolean;
  audio: boolean;
}

export function mediaSupport(model: CatalogModel): MediaSupport {
  return { image: hasCapability(model, 'vision'), audio: hasCapability(model, 'audio') };
}
