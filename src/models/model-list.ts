/** The models that there are: those of the site's catalog, followed by those that the user added. */
import { LlamatabError } from '../errors.ts';
import { loadCatalog, NAME, RESERVED } from './catalog.ts';
import type { Catalog, CatalogModel } from './models.ts';
import type { OwnModels } from './own-models.ts';
import type { StoreContext } from './store-context.ts';

export class ModelList {
  readonly #context: StoreContext;
  readonly #catalogUrl: string;
  readonly #own: OwnModels;
  #site: Promise<Catalog> | undefined;

  constructor(context: StoreContext, catalogUrl: string, own: OwnModels) {
    this.#context = context;
    this.#catalogUrl = catalogUrl;
    this.#own = own;
  }

  async catalog(): Promise<Catalog> {
    if (this.#site === undefined) {
      this.#site = loadCatalog(this.#catalogUrl, this.#context.database, this.#context.fetch);
      this.#site.catch(() => {
        this.#site = undefined;
      });
    }
    const [site, own] = await Promise.all([this.#site, this.#own.all()]);
    if (own.length === 0) return site;
    // A later catalog of the site may use a name that the user gave to a model. Then the site's model wins.
    const names = namesOf(site);
    return { ...site, models: [...site.models, ...own.filter(({ id }) => !names.has(id))] };
  }

  /** Undefined for a model of another site of this origin, or while the catalog can't be had. */
  async byKey(key: string): Promise<CatalogModel | undefined> {
    try {
      const { models } = await this.catalog();
      return models.find((model) => this.#context.keyOf(model) === key);
    } catch {
      return undefined;
    }
  }

  /** The site's own model of the same name and bytes. */
  async siteModelLike(found: CatalogModel): Promise<CatalogModel | undefined> {
    const { layoutOf } = this.#context;
    const { models } = await this.catalog();
    const { fingerprint } = layoutOf(found);
    return models.find((model) => model.source === undefined && layoutOf(model).fingerprint === fingerprint);
  }

  /**
   * @param wanted The id that the user asks for. @param byDefault What to make a free id from otherwise.
   * @throws LlamatabError `invalid_request_error` if the id is malformed or taken
   */
  async chooseId(wanted: string | undefined, byDefault = 'model'): Promise<string> {
    const taken = namesOf(await this.catalog());
    const refuse = (what: string) => new LlamatabError('invalid_request_error', what, { param: 'id' });
    if (wanted !== undefined) {
      if (!NAME.test(wanted) || wanted === RESERVED) {
        throw refuse(`'${wanted}' can't be a model's id: at most 128 letters, digits and . _ - : / @ +, not "local".`);
      }
      if (taken.has(wanted)) throw refuse(`There is a model '${wanted}' already: give another id.`);
      return wanted;
    }
    let id = byDefault;
    for (let i = 2; taken.has(id); i++) id = `${byDefault}-${i}`;
    return id;
  }
}

function namesOf({ models }: Catalog): Set<string> {
  return new Set(models.flatMap((model) => [model.id, ...(model.aliases ?? [])]));
}
