/** The models that come with llamatab, in a package beside it: `llamatab-models`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { CatalogModel } from '../models/models.ts';

export const MODELS_PACKAGE = 'llamatab-models';

export interface EmbeddedModel {
  /** Its entry in the package's catalog; urls are relative to `folder`. */
  model: CatalogModel;
  folder: string;
  /** All its files, by their path below `folder`: pieces, licence, where it comes from. */
  files: string[];
}

/**
 * The models of the package, if it is installed.
 * @param from folder of the site, whose `node_modules` are looked at first.
 */
export function embeddedModels(from: string): EmbeddedModel[] {
  const catalog = resolvePackage(join(from, 'site')) ?? resolvePackage(import.meta.url);
  if (catalog === null) return [];
  const folder = dirname(catalog);
  const { models }: { models: CatalogModel[] } = JSON.parse(readFileSync(catalog, 'utf8'));
  return models.map((model) => ({ model, folder, files: filesOf(model, folder) }));
}

function resolvePackage(from: string): string | null {
  try {
    return createRequire(from).resolve(`${MODELS_PACKAGE}/catalog.json`);
  } catch {
    return null;
  }
}

/** In the package each model has a folder of its own, by its id. */
function filesOf({ id }: CatalogModel, folder: string): string[] {
  const own = join(folder, id);
  return existsSync(own) ? readdirSync(own).map((file) => `${id}/${file}`) : [];
}

/** The model of this id or alias. */
export function findEmbedded(name: string, from: string): EmbeddedModel | null {
  const found = embeddedModels(from).find(({ model }) => model.id === name || model.aliases?.includes(name));
  return found ?? null;
}

/** For the end of an error's sentence: what can be asked for by its id alone. */
export function embeddedNames(from: string): string {
  const ids = embeddedModels(from).map(({ model }) => model.id);
  return ids.length === 0
    ? `The models that come with llamatab are in a package of their own: npm install --save-dev ${MODELS_PACKAGE}`
    : `By their ids there are: ${ids.join(', ')}.`;
}
