import { describe, expect, it } from 'vitest';
import { browserName, simdLevel } from './device.ts';
import {
  candidatesFor,
  type Device,
  defined,
  type ModelFacts,
  planFor,
  planKey,
  type WasmUrls,
} from './device-plan.ts';

const STOCK: WasmUrls = { wasm: 'stock', compatWasm: 'compat' };
const KERNELS: WasmUrls = {
  ...STOCK,
  kernels: { relaxed: { wasm: 'relaxed' }, simd128: { wasm: 'simd128', compatWasm: 'compat-simd128' } },
};
const DEVICE: Device = {
  cores: 8,
  sharedMemory: true,
  modernWasm: true,
  simd: 'relaxed',
  webgpu: false,
  memory: null,
  browser: 'Chrome/156',
};
const MODEL: ModelFacts = {
  kind: 'completion',
  size: 98_000_000,
  contextLength: 8192,
  kvElementsPerToken: 30 * 3 * 128,
  headSize: 64,
};
const SMALL_HEADS: ModelFacts = { ...MODEL, headSize: 80 };

/** The dimension that differs from the first candidate, and its value. */
function differences(candidates: ReturnType<typeof candidatesFor>): string[] {
  const [base, ...others] = candidates;
  return others.map((plan) =>
    (['variant', 'threads', 'kvCacheType', 'flashAttention', 'gpuLayers'] as const)
      .filter((part) => plan[part] !== base[part])
      .map((part) => `${part}: ${plan[part]}`)
      .join(', '),
  );
}

describe('planFor: the build', () => {
  const buildOf = (device: Partial<Device>, urls: WasmUrls, variant?: 'auto' | 'relaxed' | 'simd128' | 'stock') => {
    const plan = planFor(MODEL, { ...DEVICE, ...device }, urls, { variant });
    return [plan.variant, plan.wasm];
  };

  it('is the fastest that the device can run and the site has', () => {
    expect(buildOf({}, KERNELS)).toEqual(['relaxed', 'relaxed']);
    expect(buildOf({ simd: 'simd128' }, KERNELS)).toEqual(['simd128', 'simd128']);
    expect(buildOf({ simd: 'none' }, KERNELS)).toEqual(['stock', 'stock']);
    expect(buildOf({ modernWasm: false }, KERNELS)).toEqual(['simd128', 'compat-simd128']);
    expect(buildOf({ modernWasm: false }, STOCK)).toEqual(['stock', 'compat']);
    expect(buildOf({}, STOCK)).toEqual(['stock', 'stock']);
  });

  it('is no better than what the owner wants', () => {
    expect(buildOf({}, KERNELS, 'auto')).toEqual(['relaxed', 'relaxed']);
    expect(buildOf({}, KERNELS, 'simd128')).toEqual(['simd128', 'simd128']);
    expect(buildOf({}, KERNELS, 'stock')).toEqual(['stock', 'stock']);
    expect(buildOf({ simd: 'simd128' }, KERNELS, 'relaxed')).toEqual(['simd128', 'simd128']);
    expect(buildOf({}, STOCK, 'relaxed')).toEqual(['stock', 'stock']);
  });
});

describe('candidatesFor', () => {
  it('differ from the default plan, which comes first, in one dimension', () => {
    const candidates = candidatesFor(MODEL, DEVICE, KERNELS, {});
    expect(candidates[0]).toEqual(planFor(MODEL, DEVICE, KERNELS));
    expect(differences(candidates)).toEqual(['variant: simd128', 'threads: 1', 'threads: 8']);
  });

  it('start from the present choice', () => {
    const candidates = candidatesFor(MODEL, DEVICE, KERNELS, {}, { threads: 8, variant: 'simd128' });
    expect(candidates[0]).toMatchObject({ threads: 8, variant: 'simd128' });
    expect(differences(candidates)).toEqual(['variant: relaxed', 'threads: 1', 'threads: 4']);
  });

  it.each([1, 2, 3, 4, 6, 8, 16, 64])('never take more threads than %i cores', (cores) => {
    for (const current of [{}, { threads: 128 }]) {
      const candidates = candidatesFor(MODEL, { ...DEVICE, cores }, KERNELS, {}, current);
      for (const { threads } of candidates) {
        expect(threads).toBeGreaterThanOrEqual(1);
        expect(threads).toBeLessThanOrEqual(cores);
      }
      expect(new Set(candidates.map(planKey)).size).toBe(candidates.length);
    }
  });

  it('have one thread without shared memory', () => {
    const candidates = candidatesFor(MODEL, { ...DEVICE, sharedMemory: false }, KERNELS, {});
    expect(candidates.map(({ threads }) => threads)).toEqual([1, 1]);
  });

  it('leave cores to a chat that runs beside an embedding model', () => {
    const candidates = candidatesFor({ ...MODEL, kind: 'embedding', kvElementsPerToken: 0 }, DEVICE, STOCK, {});
    expect(candidates.map(({ threads }) => threads)).toEqual([4, 1]);
  });

  it('try another KV cache only where heads are no whole blocks, and slots are not lost', () => {
    const device = { ...DEVICE, cores: 1 };
    const other = ['kvCacheType: f32, flashAttention: false'];
    expect(differences(candidatesFor(MODEL, device, STOCK, { contextSize: 1024 }))).toEqual([]);
    expect(differences(candidatesFor(SMALL_HEADS, device, STOCK, { contextSize: 1024 }))).toEqual(other);
    // Of f32, two slots of 4096 tokens fit the budget, of f16 four.
    expect(differences(candidatesFor(SMALL_HEADS, device, STOCK, {}))).toEqual([]);
    expect(differences(candidatesFor(SMALL_HEADS, device, STOCK, { slots: 4 }))).toEqual(other);
  });

  it('try the CPU where there is a GPU, each with its own defaults', () => {
    const device = { ...DEVICE, webgpu: true };
    const [gpu, cpu, ...more] = candidatesFor(MODEL, device, KERNELS, {});
    expect(gpu).toMatchObject({ gpuLayers: 99_999, kvCacheType: 'f16' });
    expect(cpu).toEqual(planFor(MODEL, DEVICE, KERNELS));
    expect(more).toEqual([]);
    const fromCpu = candidatesFor(MODEL, device, KERNELS, {}, cpu);
    expect(fromCpu.map(planKey)).toContain(planKey(gpu));
    expect(fromCpu.map(({ threads }) => threads)).toContain(8);
    expect(candidatesFor(MODEL, device, KERNELS, { gpuLayers: 10 })).toHaveLength(1);
  });

  it('keep to what the owner fixed', () => {
    const only = (model: ModelFacts, fixed: Parameters<typeof candidatesFor>[3]) =>
      differences(candidatesFor(model, DEVICE, KERNELS, fixed));
    expect(only(MODEL, { threads: 3 })).toEqual(['variant: simd128']);
    expect(only(MODEL, { variant: 'relaxed' })).toEqual(['threads: 1', 'threads: 8']);
    expect(only(MODEL, { variant: 'auto', threads: undefined })).toHaveLength(3);
    expect(only(SMALL_HEADS, { threads: 1, variant: 'stock', kvCacheType: 'f16' })).toEqual([]);
    expect(only(SMALL_HEADS, { threads: 1, variant: 'stock', flashAttention: true })).toEqual([]);
    expect(candidatesFor(MODEL, DEVICE, KERNELS, { threads: 3 }, { threads: 8 })[0].threads).toBe(3);
  });
});

it('overrides that say nothing are none', () => {
  expect(defined({ variant: 'auto', threads: undefined, slots: 2, flashAttention: false })).toEqual({
    slots: 2,
    flashAttention: false,
  });
});

describe('the device', () => {
  it('has the SIMD that its probes are valid for: relaxed since V8 11.4, which Node 20 is older than', () => {
    expect(simdLevel()).toBe(Number.parseFloat(process.versions.v8) < 11.4 ? 'simd128' : 'relaxed');
  });

  it.each([
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
      'Chrome/156',
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', 'Firefox/153'],
    ['Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/27.0 Safari/605.1.15', 'Version/27'],
    ['curl', 'unknown'],
  ])('is told by its browser: %s', (userAgent, name) => {
    expect(browserName(userAgent)).toBe(name);
  });
});
