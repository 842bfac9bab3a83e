import { describe, expect, it } from 'vitest';
import { drawsFrom } from './identity.ts';

const SEED = '00112233445566778899aabbccddeeff';
const take = (seed: string, count: number) => {
  const draw = drawsFrom(seed);
  return Array.from({ length: count }, draw);
};

describe('draws', () => {
  it('are the same for the same seed, and others for another', () => {
    expect(take(SEED, 100)).toEqual(take(SEED, 100));
    const first = new Set(take(SEED, 100));
    expect(take(SEED.replace(/f$/, 'e'), 100).filter((drawn) => first.has(drawn))).toEqual([]);
  });

  it('are unsigned 32-bit integers, spread over their range', () => {
    const drawn = take(SEED, 4096);
    expect(drawn.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32)).toBe(true);
    // Each of 16 parts is expected 256 times, give or take 16.
    const counts = Array.from({ length: 16 }, (_, part) => drawn.filter((value) => value >>> 28 === part).length);
    expect(Math.min(...counts)).toBeGreaterThan(170);
    expect(Math.max(...counts)).toBeLessThan(342);
  });
});
