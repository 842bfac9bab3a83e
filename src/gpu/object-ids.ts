/** Numbers for the browser's objects, which have none, so that they can stand in keys. */
export class ObjectIds {
  readonly #ids = new WeakMap<object, number>();
  #last = 0;

  /** Above 0, and the same for the same object. */
  of(object: object): number {
    const known = this.#ids.get(object);
    if (known !== undefined) return known;
    this.#ids.set(object, ++this.#last);
    return this.#last;
  }
}
