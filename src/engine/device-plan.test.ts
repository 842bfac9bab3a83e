import { describe, expect, it } from 'vitest';
import { browserName, deviceKey, simdLevel } from './device.ts';
import {
  candidatesFor,
  type Device,
  defined,
  type ModelFacts,
  memoryOf,
  planFor,
  planKey,
  type WasmUrls,
} from './device-plan.ts';
import type { DevicePlanOverrides } from './engine.ts';
import { NO_CORRECTIONS } from './speed-model.ts';

const STOCK: WasmUrls = { wasm: 'stock', compatWasm: 'compat' };
const KERNELS: WasmUrls = {
  ...STOCK,
  kernels: { relaxed: { wasm: 'relaxed' }, simd128: { wasm: 'simd128', compatWasm: 'compat-simd128' } },
};
const STOCK_AND_RELAXED: WasmUrls = { ...STOCK, kernels: { relaxed: { wasm: 'relaxed' } } };
const DEVICE: Device = {
  cores: 8,
  sharedMemory: true,
  modernWasm: true,
  simd: 'relaxed',
  gpu: { state: 'no-adapter', message: 'WebGPU found no GPU.' },
  corrections: NO_CORRECTIONS,
  memory: null,
  browser: 'Chrome/156',
};
const MODEL: ModelFacts = {
  kind: 'completion',
  size: 98_000_000,
  contextLength: 8192,
  kvElementsPerToken: 30 * 3 * 128,
  headSize: 64,
  kvElementsPerLayer: 3 * 64,
  layers: {
    blocks: Array.from({ length: 30 }, (_, i) => ({ name: `blk.${i}`, size: 1e6 })),
    output: { name: 'output.weight', size: 2e7 },
  },
  work: { layers: 30, bytesPerToken: 98e6, multiplyAddsPerToken: 135e6, embeds: false },
  takesBack: true,
  draft: null,
};
/** A model of a billion weights, which a GPU computes faster. */
const LARGE: ModelFacts = {
  ...MODEL,
  size: 700_000_000,
  kvElementsPerToken: 16 * 2 * 8 * 64,
  kvElementsPerLayer: 8 * 64,
  layers: { ...MODEL.layers, blocks: MODEL.layers.blocks.slice(0, 16) },
  work: { layers: 16, bytesPerToken: 700e6, multiplyAddsPerToken: 1.1e9, embeds: false },
};
const GPU: Device = {
  ...DEVICE,
  gpu: {
    state: 'usable',
    name: 'nvidia, hopper',
    maxBufferSize: 4e9,
    maxBindingSize: 2e9,
    speed: { secondsPerDispatch: 4e-5, bytesPerSecond: 1e12 },
  },
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

describe('planFor: GPU or CPU', () => {
  const onGpu = (model: ModelFacts, device: Device, overrides = {}) => {
    const { gpuLayers, gpuNote } = planFor(model, device, KERNELS, overrides);
    return [gpuLayers, gpuNote];
  };

  it('is the one that is expected to be faster for this model', () => {
    expect(onGpu(LARGE, GPU)).toEqual([17, null]);
    expect(onGpu(MODEL, GPU)).toEqual([
      0,
      expect.stringMatching(/CPU is expected to be faster: \d+ tokens a second against \d+/),
    ]);
  });

  it('learns from what was measured', () => {
    expect(onGpu(MODEL, { ...GPU, corrections: { cpu: 8, gpu: 1 } })[0]).toBe(31);
    expect(onGpu(LARGE, { ...GPU, corrections: { cpu: 1, gpu: 8 } })[0]).toBe(0);
  });

  it('says why there is no GPU', () => {
    expect(onGpu(LARGE, DEVICE)).toEqual([0, 'WebGPU found no GPU.']);
    expect(onGpu(LARGE, DEVICE, { gpuLayers: 99 })).toEqual([0, 'WebGPU found no GPU.']);
  });

  it('takes what the owner fixed, as far as it fits', () => {
    expect(onGpu(LARGE, GPU, { gpuLayers: 0 })).toEqual([0, null]);
    expect(onGpu(MODEL, GPU, { gpuLayers: 99_999 })).toEqual([31, null]);
    expect(onGpu(MODEL, GPU, { gpuLayers: 5 })).toEqual([5, null]);
    const software: Device = { ...DEVICE, gpu: { state: 'software-adapter', message: 'Only a software adapter.' } };
    expect(onGpu(LARGE, software)).toEqual([0, 'Only a software adapter.']);
    expect(onGpu(LARGE, software, { gpuLayers: 99 })).toEqual([99, 'Only a software adapter.']);
  });

  it('puts as many layers there as the limits allow, and says which tensor is too large', () => {
    const blocks = LARGE.layers.blocks.with(3, { name: 'blk.3.ffn_down.weight', size: 3e9 });
    expect(onGpu({ ...LARGE, layers: { ...LARGE.layers, blocks } }, GPU)).toEqual([
      13,
      expect.stringContaining('blk.3.ffn_down.weight'),
    ]);
  });

  it('remembers what went wrong', () => {
    const gpuTrouble = { layersAtMost: 8, reason: 'The GPU ran out of memory with 17 layers.' };
    expect(onGpu({ ...LARGE, gpuTrouble }, GPU)).toEqual([8, gpuTrouble.reason]);
    const none = { layersAtMost: 0, reason: 'The GPU was lost twice.' };
    expect(onGpu({ ...LARGE, gpuTrouble: none }, GPU, { gpuLayers: 17 })).toEqual([0, none.reason]);
  });
});

describe('planFor: the context', () => {
  const contextOf = (overrides: DevicePlanOverrides) => {
    const { contextSize, contextNote } = planFor(MODEL, DEVICE, KERNELS, overrides);
    return [contextSize, contextNote];
  };

  it('is what the owner wants, as far as the model was trained for it', () => {
    expect(contextOf({})).toEqual([4096, null]);
    expect(contextOf({ contextSize: 8192 })).toEqual([8192, null]);
    expect(contextOf({ contextSize: 8193 })).toEqual([8192, expect.stringMatching(/asks for 8193 tokens.* has 8192/)]);
  });

  it('shifts only where the owner wants it', () => {
    expect(planFor(MODEL, DEVICE, KERNELS).contextShift).toBe(false);
    expect(planFor(MODEL, DEVICE, KERNELS, { contextShift: true }).contextShift).toBe(true);
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
    const [gpu, cpu, ...more] = candidatesFor(LARGE, GPU, KERNELS, {});
    expect(gpu).toMatchObject({ gpuLayers: 17, kvCacheType: 'f16' });
    expect(cpu).toMatchObject({ gpuLayers: 0, kvCacheType: 'q8_0', threads: 4 });
    expect(more).toEqual([]);
    const fromCpu = candidatesFor(LARGE, GPU, KERNELS, {}, cpu);
    expect(fromCpu.map(planKey)).toContain(planKey(gpu));
    expect(fromCpu.map(({ threads }) => threads)).toContain(8);
    expect(candidatesFor(LARGE, GPU, KERNELS, { gpuLayers: 10 })).toHaveLength(1);
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

describe('drafting', () => {
  const DRAFTED: ModelFacts = { ...MODEL, draft: { size: 20_000_000, kvElementsPerToken: 1000 } };
  const of = (model: ModelFacts, device = DEVICE, overrides: DevicePlanOverrides = {}, urls = KERNELS) =>
    planFor(model, device, urls, overrides).drafting;

  it('is by the model that is there for it', () => {
    expect(of(DRAFTED)).toBe('model');
    expect(of(MODEL)).toBe('none');
  });

  it('is as the owner says, as far as it can', () => {
    expect(of(DRAFTED, DEVICE, { drafting: 'none' })).toBe('none');
    expect(of(DRAFTED, DEVICE, { drafting: 'lookup' })).toBe('lookup');
    expect(of(MODEL, DEVICE, { drafting: 'lookup' })).toBe('lookup');
    expect(of(LARGE, GPU, { drafting: 'lookup' })).toBe('lookup');
    expect(of(MODEL, DEVICE, { drafting: 'model' })).toBe('none');
    const [current] = candidatesFor(MODEL, DEVICE, KERNELS, { drafting: 'lookup' }, { drafting: 'none' });
    expect(current.drafting).toBe('none');
  });

  it('needs a build that can, and a model that can take tokens back', () => {
    expect(of(DRAFTED, DEVICE, {}, STOCK)).toBe('none');
    expect(of(DRAFTED, { ...DEVICE, modernWasm: false })).toBe('none');
    expect(of({ ...DRAFTED, takesBack: false })).toBe('none');
    expect(of({ ...DRAFTED, kind: 'embedding' }, DEVICE, { drafting: 'lookup' })).toBe('none');
  });

  it('by a model is measured against none, and takes its memory', () => {
    const [base, ...others] = candidatesFor(DRAFTED, { ...DEVICE, cores: 1 }, STOCK_AND_RELAXED, {});
    expect([base.drafting, ...others.map(({ drafting }) => drafting)]).toEqual(['model', 'none']);
    expect(candidatesFor(DRAFTED, { ...DEVICE, cores: 1 }, STOCK_AND_RELAXED, { drafting: 'model' })).toHaveLength(1);
    const cache = 1000 * 4096 * 4 * 2;
    expect(memoryOf(DRAFTED, base) - memoryOf(DRAFTED, { ...base, drafting: 'none' })).toBe(20_000_000 + cache);
  });
});

it('overrides that say nothing are none', () => {
  expect(defined({ variant: 'auto', threads: undefined, slots: 2, flashAttention: false })).toEqual({
    slots: 2,
    flashAttention: false,
  });
});

describe('the device', () => {
  it('has one name, however fast its GPU was this time', () => {
    const { corrections: _, ...hardware } = GPU;
    if (hardware.gpu.state !== 'usable') throw new Error();
    const again = { ...hardware, gpu: { ...hardware.gpu, speed: { secondsPerDispatch: 1, bytesPerSecond: 1 } } };
    expect(deviceKey(again)).toBe(deviceKey(hardware));
    expect(deviceKey({ ...hardware, cores: 2 })).not.toBe(deviceKey(hardware));
    expect(deviceKey({ ...hardware, gpu: DEVICE.gpu })).not.toBe(deviceKey(hardware));
  });

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
