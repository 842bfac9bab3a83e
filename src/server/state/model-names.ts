/** Finds the model that a request means. */
import { invalid, type LlamatabError } from '../../errors.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';

/** Means the default model, as does no name at all. */
const LOCAL = 'local';
/** The key of `aliases` that matches any unknown name. */
const ANY_NAME = '*';

export interface ModelNaming {
  /** Id or alias of the default model; null for the catalog's own default. */
  defaultModel: string | null;
  /** More names, each for an id or alias of the catalog, or "local"; `*` for any unknown name. */
  aliases: Record<string, string>;
}

/** Whether a request's `model` stands for the default model. */
function meansDefault(name: unknown): boolean {
  return name === undefined || name === null || name === '' || name === LOCAL;
}

/**
 * @param name The request's `model`.
 * @throws LlamatabError `invalid_request_error` if it is not a string; `model_not_found`, naming the known models, if
 *   none has the name.
 */
export function findModel(catalog: Catalog, name: unknown, naming: ModelNaming): CatalogModel {
  if (!meansDefault(name) && typeof name !== 'string') {
    throw invalid('model', '\'model\' must be a string: the id of a model, or "local"');
  }
  const asked = meansDefault(name) ? LOCAL : (name as string);
  const known = lookUp(catalog, asked, naming);
  if (known !== undefined) return known;
  const target = Object.hasOwn(naming.aliases, asked) ? naming.aliases[asked] : naming.aliases[ANY_NAME];
  const found = target === undefined ? undefined : lookUp(catalog, target, naming);
  if (found !== undefined) return found;
  throw notFound(catalog, target ?? (asked === LOCAL ? defaultName(catalog, naming) : asked));
}

export function defaultName(catalog: Catalog, { defaultModel }: ModelNaming): string {
  return defaultModel ?? catalog.default;
}

function lookUp(catalog: Catalog, name: string, naming: ModelNaming): CatalogModel | undefined {
  const wanted = name === LOCAL ? defaultName(catalog, naming) : name;
  return (
    catalog.models.find((model) => model.id === wanted) ??
    catalog.models.find((model) => model.aliases?.includes(wanted))
  );
}

function notFound(catalog: Catalog, name: string): LlamatabError {
  const known = catalog.models.map((model) => model.id).join(', ');
  return invalid('model', `The model '${name}' does not exist. Known models: ${known}`, 'model_not_found');
}
