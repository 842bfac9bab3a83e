/** What a request was given by its caller, so that another host answers it in the same words, with the same ids at the same time. */
import type { RequestIdentity } from '../../protocol.ts';
import type { ServerContext } from './context.ts';

/** The context of a request that has an identity. */
export function withIdentity(context: ServerContext, { seed, time }: RequestIdentity): ServerContext {
  return { ...context, askedAt: () => time, random: drawsFrom(seed) };
}

/** For a sequence of its own: what draws from it draws the same whatever others draw meanwhile. */
export function drawSeed(random: () => number): string {
  return Array.from({ length: 4 }, () => random().toString(16).padStart(8, '0')).join('');
}

/**
 * sfc32, of PractRand: unsigned 32-bit integers, the same for the same seed.
 * @param seed 128 bits in hexadecimal.
 */
export function drawsFrom(seed: string): () => number {
  const words = Array.from({ length: 4 }, (_, word) => Number.parseInt(seed.slice(8 * word, 8 * word + 8), 16) | 0);
  let [a = 0, b = 0, c = 0, count = 0] = words;
  return () => {
    const drawn = (a + b + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + drawn;
    c |= 0;
    return drawn >>> 0;
  };
}
