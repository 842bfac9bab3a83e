/** The models that the user added. Each is kept in its record in the store. */
import type { Housekeeping } from './housekeeping.ts';
import type { CatalogModel, ModelSource } from './models.ts';
import type { Records } from './records.ts';

export class OwnModels {
  readonly #records: Records;
  readonly #housekeeping: Housekeeping;
  readonly #keyOf: (model: CatalogModel) => string;
  #models: Promise<CatalogModel[]> | undefined;

  constructor(context: { records: Records; housekeeping: Housekeeping; keyOf: (model: CatalogModel) => string }) {
    this.#records = context.records;
    this.#housekeeping = context.housekeeping;
    this.#keyOf = context.keyOf;
  }

  /** In no order. */
  all(): Promise<CatalogModel[]> {
    this.#models ??= this.#records
      .all()
      .then((records) => [...records.values()].flatMap(({ own }) => (own === undefined ? [] : [own])));
    return this.#models;
  }

  /** The model that came from the same place, if it was added before. */
  async find(isIt: (source: ModelSource) => boolean): Promise<CatalogModel | undefined> {
    return (await this.all()).find(({ source }) => source && isIt(source));
  }

  async keep(model: CatalogModel): Promise<void> {
    const models = await this.all();
    await this.#housekeeping.change(this.#keyOf(model), (record) => ({ ...record, own: model }));
    models.push(model);
  }

  /** To be called after its record was deleted. */
  async forget(model: CatalogModel): Promise<void> {
    const models = await this.all();
    const at = models.findIndex(({ id }) => id === model.id);
    if (at >= 0) models.splice(at, 1);
  }

  /** Another tab has added or removed models: they are read again when they are next needed. */
  refresh(): void {
    this.#models = undefined;
  }
}
