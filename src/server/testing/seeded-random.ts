/** mulberry32: numbers from 0 to 1, the same for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws numbers from 0 to 1. */
export type Random = () => number;

export interface Draws {
  random: Random;
  /** An integer from 0 to `limit`, without it. */
  below(limit: number): number;
  pick<T>(values: readonly T[]): T;
  chance(probability: number): boolean;
  /** From `least` to `most` values. */
  several<T>(least: number, most: number, value: () => T): T[];
  /** A property that is there with this probability. */
  maybe(probability: number, name: string, value: () => unknown): { [name: string]: unknown };
}

export function draws(random: Random): Draws {
  const below = (limit: number) => Math.floor(random() * limit);
  return {
    random,
    below,
    pick: <T>(values: readonly T[]) => values[below(values.length)] as T,
    chance: (probability) => random() < probability,
    several: (least, most, value) => Array.from({ length: least + below(most - least + 1) }, value),
    maybe: (probability, name, value) => (random() < probability ? { [name]: value() } : {}),
  };
}
