/** The models that there are: those of the site's catalog, followed by those that the user added. */
import { LlamatabError } from '../errors.ts';
import { loadCatalog, NAME, RESERVED } from './catalog.ts';
import type { Catalog, CatalogModel } from './models.ts';
import type { OwnModels } from './own-models.ts';
import type { StoreContext } from './store-context.ts';

/** Milliseconds after which the site is asked whether its catalog has changed: a tab may stay open through many deploys. */
const MAX_AGE = 5_000;
/** Milliseconds that a request waits for that: a connection that is neither up nor down must not hold up a model that is here. */
const REVALIDATION_TIMEOUT = 500;

export class ModelList {
  readonly #context: StoreContext;
  readonly #catalogUrl: string;
  readonly #own: OwnModels;
  #site: Promise<Catalog> | undefined;
  /** When it was last asked for. */
  #checked = 0;

  constructor(context: StoreContext, catalogUrl: string, own: OwnModels) {
    this.#context = context;
    this.#catalogUrl = catalogUrl;
    this.#own = own;
  }

  async catalog(): Promise<Catalog> {
    const [site, own] = await Promise.all([this.#current(), this.#own.all()]);
    if (own.length === 0) return site;
    // A later catalog of the site may use a name that the user gave to a model. Then the site's model wins.
    const names = namesOf(site);
    return { ...site, models: [...site.models, ...own.filter(({ id }) => !names.has(id))] };
  }

  async #current(): Promise<Catalog> {
    const { now } = this.#context;
    const known = this.#site;
    if (known !== undefined && now() - this.#checked < MAX_AGE) return known;
    this.#checked = now();
    const asked = this.#load();
    if (known === undefined) {
      this.#site = asked;
      asked.catch(() => {
        if (this.#site === asked) this.#site = undefined;
      });
      return asked;
    }
    const changed = asked.then((catalog) => {
      this.#site = asked;
      return catalog;
    });
    // A deploy that is under way, or a network that is gone, takes away nothing that was there.
    changed.catch(() => {});
    const late = new Promise<Catalog>((resolve) => setTimeout(() => resolve(known), REVALIDATION_TIMEOUT));
    return Promise.race([changed, late]).catch(() => known);
  }

  #load(): Promise<Catalog> {
    return loadCatalog(this.#catalogUrl, this.#context.database, this.#context.fetch);
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
