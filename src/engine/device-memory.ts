/** What this device has taught about all models: how far off estimates are, and what each model computes on the CPU. */

import type { Rates } from './engine.ts';
import { type Reference, readReference } from './self-test.ts';
import { type Corrections, corrected, NO_CORRECTIONS } from './speed-model.ts';
import { isRate, type TuningStore } from './tuning-record.ts';

export class DeviceMemory {
  readonly #store: TuningStore;
  readonly #key: string;
  #corrections: Corrections;

  private constructor(store: TuningStore, key: string, corrections: Corrections) {
    this.#store = store;
    this.#key = key;
    this.#corrections = corrections;
  }

  /** @param device `deviceKey`, and the build of the engine. */
  static async open(store: TuningStore, device: string): Promise<DeviceMemory> {
    const key = `corrections ${device}`;
    return new DeviceMemory(store, key, readCorrections(await store.get(key).catch(() => undefined)));
  }

  get corrections(): Corrections {
    return this.#corrections;
  }

  learn(processor: keyof Corrections, estimated: Rates, measured: Rates): void {
    this.#corrections = corrected(this.#corrections, processor, estimated, measured);
    // What can't be stored holds as long as the page.
    this.#store.set(this.#key, this.#corrections).catch(() => {});
  }

  /** What the model computes on the CPU: taken once, and remembered. @param model names it, and the build of the engine. */
  async reference(model: string, take: () => Promise<Reference | null>): Promise<Reference | null> {
    const key = `reference ${model}`;
    const known = readReference(await this.#store.get(key).catch(() => undefined));
    if (known !== null) return known;
    const taken = await take();
    if (taken !== null) await this.#store.set(key, taken).catch(() => {});
    return taken;
  }
}

function readCorrections(stored: unknown): Corrections {
  const { cpu, gpu } = (stored ?? {}) as Partial<Corrections>;
  return isRate(cpu) && isRate(gpu) ? { cpu, gpu } : NO_CORRECTIONS;
}
