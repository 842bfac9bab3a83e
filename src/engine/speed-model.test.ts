import { describe, expect, it } from 'vitest';
import { corrected, estimateRates, type ModelWork, NO_CORRECTIONS, turnSeconds } from './speed-model.ts';

const SMALL: ModelWork = { layers: 30, bytesPerToken: 98e6, multiplyAddsPerToken: 135e6, embeds: false };
const BILLION: ModelWork = { layers: 16, bytesPerToken: 700e6, multiplyAddsPerToken: 1.1e9, embeds: false };
const THREE_BILLIONS: ModelWork = { layers: 28, bytesPerToken: 1.9e9, multiplyAddsPerToken: 3.2e9, embeds: false };

const CPU = (threads: number) => ({ variant: 'relaxed' as const, threads, gpuLayers: 0 });
const GPU = { variant: 'relaxed' as const, threads: 2, gpuLayers: 99_999 };
/** What the probe says of a graphics processor beside the CPU, and of a large card. */
const INTEGRATED = { secondsPerDispatch: 20e-6, bytesPerSecond: 50e9 };
const CARD = { secondsPerDispatch: 8e-6, bytesPerSecond: 1.5e12 };

const faster = (work: ModelWork, threads: number, gpu: typeof CARD) =>
  turnSeconds(estimateRates(work, GPU, gpu)) < turnSeconds(estimateRates(work, CPU(threads), gpu)) ? 'gpu' : 'cpu';

describe('estimateRates', () => {
  it('is within a factor of two of what was measured on CPUs', () => {
    const small = estimateRates(SMALL, CPU(2), null);
    expect(small.predicted_per_second).toBeGreaterThan(79 / 2);
    expect(small.predicted_per_second).toBeLessThan(79 * 2);
    expect(small.prompt_per_second).toBeGreaterThan(148 / 2);
    expect(small.prompt_per_second).toBeLessThan(148 * 2);
    const large = estimateRates(BILLION, CPU(8), null);
    expect(large.predicted_per_second).toBeGreaterThan(43 / 2);
    expect(large.predicted_per_second).toBeLessThan(43 * 2);
  });

  it('puts a small model on a CPU with threads, unless the card is a large one', () => {
    expect(faster(SMALL, 8, INTEGRATED)).toBe('cpu');
    expect(faster(SMALL, 4, INTEGRATED)).toBe('cpu');
    expect(faster(SMALL, 2, CARD)).toBe('gpu');
  });

  it('puts models of billions on a GPU, also beside the CPU', () => {
    expect(faster(BILLION, 8, CARD)).toBe('gpu');
    expect(faster(THREE_BILLIONS, 8, CARD)).toBe('gpu');
    expect(faster(THREE_BILLIONS, 4, INTEGRATED)).toBe('gpu');
  });

  it('leaves everything on the CPU beside a GPU whose calls are slow', () => {
    expect(faster(BILLION, 4, { secondsPerDispatch: 1e-3, bytesPerSecond: 50e9 })).toBe('cpu');
  });

  it('shares the layers of a model that fits only in part', () => {
    const all = turnSeconds(estimateRates(BILLION, GPU, CARD));
    const half = turnSeconds(estimateRates(BILLION, { ...GPU, gpuLayers: 8 }, CARD));
    const none = turnSeconds(estimateRates(BILLION, CPU(2), CARD));
    expect(half).toBeGreaterThan(all);
    expect(half).toBeLessThan(none);
  });

  it('decodes nothing with a model that only embeds', () => {
    expect(estimateRates({ ...SMALL, embeds: true }, CPU(2), null).predicted_per_second).toBeNull();
  });
});

describe('corrected', () => {
  it('comes nearer to what was measured each time, for one processor only', () => {
    let corrections = NO_CORRECTIONS;
    const measured = estimateRates(BILLION, CPU(8), null, { cpu: 3, gpu: 1 });
    for (let i = 0; i < 6; i++) {
      corrections = corrected(corrections, 'cpu', estimateRates(BILLION, CPU(8), null, corrections), measured);
    }
    expect(corrections.cpu).toBeGreaterThan(2.9);
    expect(corrections.cpu).toBeLessThan(3.1);
    expect(corrections.gpu).toBe(1);
  });

  it('does not believe in a device that is a hundred times slower', () => {
    const estimated = estimateRates(BILLION, CPU(8), null);
    const asleep = { prompt_per_second: 0.1, predicted_per_second: 0.01 };
    expect(corrected(NO_CORRECTIONS, 'cpu', estimated, asleep).cpu).toBe(8);
  });
});
