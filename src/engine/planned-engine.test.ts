import { describe, expect, it } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import { LlamatabError } from '../errors.ts';
import type { Hardware } from './device.ts';
import {
  type DevicePlan,
  EngineLost,
  type EngineModel,
  type EngineOptions,
  type Json,
  type LoadedModelInfo,
} from './engine.ts';
import { createPlannedEngine, type Instance, type LoadInstance, type Patience } from './planned-engine.ts';
import type { TuningStore } from './tuning-record.ts';

const DEVICE: Hardware = {
  cores: 4,
  sharedMemory: true,
  modernWasm: true,
  simd: 'relaxed',
  gpu: {
    state: 'usable',
    name: 'a card',
    maxBufferSize: 4e9,
    maxBindingSize: 2e9,
    speed: { secondsPerDispatch: 1e-5, bytesPerSecond: 1e12 },
  },
  memory: null,
  browser: 'Chrome/156',
};
const MODEL: EngineModel = { id: 'tiny', kind: 'completion', files: [new Blob([tinyModel()])] };
/** The tiny model's layers, its output one of them. */
const ALL_LAYERS = 3;

/** Which the engine loads, and what they answer. `fail` may throw instead. */
class FakeLoader {
  /** Layers on the GPU, load by load; of a load that is only to know what the CPU computes, `reference`. */
  readonly loads: (number | 'reference')[] = [];
  readonly lose: ((reason: LlamatabError) => void)[] = [];
  /** Of the last load. */
  patience: Patience | undefined;
  unloaded = 0;
  fail: (plan: DevicePlan) => void = () => {};
  /** Log probability of the likeliest token. */
  logprob: (plan: DevicePlan) => number = () => -0.5;
  /** Layers that llama.cpp says are on the GPU. */
  offloaded = (plan: DevicePlan) => plan.gpuLayers;

  readonly load: LoadInstance = async (_model, _pooling, plan, patience, signal) => {
    this.patience = patience;
    signal?.throwIfAborted();
    this.loads.push(plan.contextSize === 512 ? 'reference' : plan.gpuLayers);
    this.fail(plan);
    const layers = this.offloaded(plan);
    const logprob = this.logprob(plan);
    const instance: Instance = {
      info: { plan, gpu: layers > 0 ? { layers, device: 'a card' } : null } as LoadedModelInfo,
      lost: new Promise((resolve) => this.lose.push(resolve)),
      workload: { processing: 0, deferred: 0, decodes: 0, busySlots: 0 },
      async *complete(): AsyncGenerator<Json> {
        const content = [{ id: 7, top_logprobs: [{ id: 7, logprob }] }];
        yield { choices: [{ logprobs: { content } }] };
      },
      embed: () => Promise.reject(new Error('It completes.')),
      rerank: () => Promise.reject(new Error('It completes.')),
      speak: () => {
        throw new Error('It completes.');
      },
      converse: () => {
        throw new Error('It completes.');
      },
      unload: () => void this.unloaded++,
    };
    return instance;
  };
}

function memoryStore(): TuningStore {
  const values = new Map<string, unknown>();
  return { get: async (key) => values.get(key), set: async (key, value) => void values.set(key, value) };
}

/** An engine whose site wants the GPU: the tiny model itself would be faster on the CPU. */
function engineOf(loader: FakeLoader, options: EngineOptions = {}, device = DEVICE, store = memoryStore()) {
  const surroundings = { device: async () => device, store };
  return createPlannedEngine(
    loader.load,
    { wasm: 'stock', compatWasm: 'compat', kernels: { relaxed: { wasm: 'relaxed' } } },
    'b1',
    { gpuLayers: 99, ...options },
    surroundings,
  );
}

describe('a model on the GPU', () => {
  it('has shown that it computes what the CPU computes, whose answer is remembered', async () => {
    const loader = new FakeLoader();
    const store = memoryStore();
    const loaded = await engineOf(loader, {}, DEVICE, store).load(MODEL);
    expect(loaded.info.plan).toMatchObject({ gpuLayers: ALL_LAYERS, gpuNote: null });
    await engineOf(loader, {}, DEVICE, store).load(MODEL);
    expect(loader.loads).toEqual(['reference', ALL_LAYERS, ALL_LAYERS]);
    expect(loader.unloaded).toBe(1);
  });

  it('is loaded on the CPU in the same request where the GPU computes something else, and stays there', async () => {
    const loader = new FakeLoader();
    loader.logprob = ({ gpuLayers }) => (gpuLayers > 0 ? -9 : -0.5);
    const store = memoryStore();
    const { info } = await engineOf(loader, {}, DEVICE, store).load(MODEL);
    expect(info.plan.gpuLayers).toBe(0);
    expect(info.plan.gpuNote).toMatch(/computes it wrong.*nats/);
    await engineOf(loader, {}, DEVICE, store).load(MODEL);
    expect(loader.loads).toEqual(['reference', ALL_LAYERS, 0, 0]);
    // The reference, and the one that was wrong.
    expect(loader.unloaded).toBe(2);
  });

  it('is loaded on the CPU in the same request where the GPU fails, and stays there', async () => {
    const loader = new FakeLoader();
    loader.fail = ({ gpuLayers }) => {
      if (gpuLayers > 0) throw new LlamatabError('server_error', 'requestDevice: the adapter is gone');
    };
    const store = memoryStore();
    for (let visit = 0; visit < 2; visit++) {
      const { info } = await engineOf(loader, {}, DEVICE, store).load(MODEL);
      expect(info.plan).toMatchObject({ gpuLayers: 0, gpuNote: expect.stringContaining('the adapter is gone') });
    }
    expect(loader.loads).toEqual(['reference', ALL_LAYERS, 0, 0]);
  });

  it('is remembered to fail also without measuring, and where nothing can be stored', async () => {
    const loader = new FakeLoader();
    loader.fail = ({ gpuLayers }) => {
      if (gpuLayers > 0) throw new Error('no');
    };
    const refuse = () => Promise.reject(new Error('a private window'));
    const engine = engineOf(loader, { measure: false }, DEVICE, { get: refuse, set: refuse });
    await engine.load(MODEL);
    await engine.load(MODEL);
    expect(loader.loads).toEqual(['reference', ALL_LAYERS, 0, 0]);
  });

  it('is not left half there: llama.cpp that found no GPU gets the plan of the CPU', async () => {
    const loader = new FakeLoader();
    loader.offloaded = () => 0;
    const { info } = await engineOf(loader).load(MODEL);
    expect(info.plan).toMatchObject({ gpuLayers: 0, kvCacheType: 'q8_0' });
    expect(info.plan.gpuNote).toMatch(/found no GPU/);
  });

  it('goes without a reference where the CPU can not load it', async () => {
    const loader = new FakeLoader();
    loader.fail = ({ gpuLayers }) => {
      if (gpuLayers === 0) throw new Error('out of memory');
    };
    const { info } = await engineOf(loader).load(MODEL);
    expect(info.plan.gpuLayers).toBe(ALL_LAYERS);
  });

  it('fails with its reason where the CPU fails too', async () => {
    const loader = new FakeLoader();
    loader.fail = () => {
      throw new LlamatabError('server_error', 'no such architecture');
    };
    await expect(engineOf(loader).load(MODEL)).rejects.toThrow('no such architecture');
  });

  it('is loaded there again when the GPU was lost once, and on the CPU after the second time', async () => {
    const loader = new FakeLoader();
    const engine = engineOf(loader);
    await engine.load(MODEL);
    loader.lose[1]?.(new EngineLost('the GPU process died'));
    expect((await engine.load(MODEL)).info.plan.gpuLayers).toBe(ALL_LAYERS);
    loader.lose[2]?.(new EngineLost('the GPU process died'));
    const { info } = await engine.load(MODEL);
    expect(info.plan.gpuLayers).toBe(0);
    expect(info.plan.gpuNote).toMatch(/lost under it 2 times: the GPU process died/);
  });

  it('is not lost by being unloaded', async () => {
    const loader = new FakeLoader();
    const engine = engineOf(loader);
    for (let times = 0; times < 3; times++) {
      expect((await engine.load(MODEL)).info.plan.gpuLayers).toBe(ALL_LAYERS);
      loader.lose.at(-1)?.(new LlamatabError('unavailable_error', 'The model was unloaded.'));
    }
  });

  it('ends where its request is aborted, without another try', async () => {
    const loader = new FakeLoader();
    const abort = new AbortController();
    loader.fail = ({ gpuLayers }) => {
      if (gpuLayers === 0) return;
      abort.abort();
      throw new Error('no');
    };
    await expect(engineOf(loader).load(MODEL, abort.signal)).rejects.toThrow('no');
    expect(loader.loads).toEqual(['reference', ALL_LAYERS]);
  });
});

it('a small model is left on the CPU, and not loaded twice to know that', async () => {
  const loader = new FakeLoader();
  const { info } = await engineOf(loader, { gpuLayers: undefined }).load(MODEL);
  expect(info.plan.gpuLayers).toBe(0);
  expect(info.plan.gpuNote).toMatch(/CPU is expected to be faster/);
  expect(loader.loads).toEqual([0]);
});

describe('a model on the CPU', () => {
  const onCpu: EngineOptions = { gpuLayers: 0, contextSize: 2048, slots: 4 };
  const planOf = ({ info: { plan } }: { info: LoadedModelInfo }) => ({ slots: plan.slots, context: plan.contextSize });

  it('is loaded with fewer slots, then with less context, until its memory is enough', async () => {
    const loader = new FakeLoader();
    loader.fail = ({ slots, contextSize }) => {
      if (slots * contextSize > 1024) throw new LlamatabError('server_error', 'insufficient memory (attempted 900 MB)');
    };
    const engine = engineOf(loader, onCpu);
    const loaded = await engine.load(MODEL);
    expect(planOf(loaded)).toEqual({ slots: 1, context: 1024 });
    expect(loaded.info.plan.contextNote).toMatch(/one request at a time with 1024 tokens.*insufficient memory/);
    // Known from then on, to the memory budget too.
    const loads = loader.loads.length;
    await engine.load(MODEL);
    expect(loader.loads).toHaveLength(loads + 1);
  });

  it('gets less after it ran out of memory while it ran, and the same after another crash', async () => {
    const loader = new FakeLoader();
    const engine = engineOf(loader, onCpu);
    await engine.load(MODEL);
    loader.lose[0]?.(new EngineLost('The engine crashed: unreachable'));
    expect(planOf(await engine.load(MODEL))).toEqual({ slots: 4, context: 2048 });
    loader.lose[1]?.(new EngineLost('The engine crashed: std::bad_alloc'));
    expect(planOf(await engine.load(MODEL))).toEqual({ slots: 2, context: 2048 });
  });

  it('is loaded again where the engine crashed meanwhile, but not for ever', async () => {
    const loader = new FakeLoader();
    let crashes = 1;
    loader.fail = () => {
      if (crashes-- > 0) throw new EngineLost('The engine crashed: unreachable');
    };
    const engine = engineOf(loader, onCpu);
    await engine.load(MODEL);
    expect(loader.loads).toHaveLength(2);
    crashes = 99;
    await expect(engine.load(MODEL)).rejects.toThrow('unreachable');
    expect(loader.loads.length).toBeLessThan(10);
  });
});

describe('how long a step may take', () => {
  const step = async (options: EngineOptions, device = DEVICE, model = MODEL) => {
    const loader = new FakeLoader();
    await engineOf(loader, { gpuLayers: 0, ...options }, device).load(model);
    return loader.patience?.step ?? 0;
  };

  it('is at least a minute, and longer where more is computed in one', async () => {
    const [small, large] = [await step({ batchSize: 32 }), await step({ batchSize: 2048 })];
    expect(small).toBeGreaterThan(60);
    expect(large).toBeGreaterThan(small);
  });

  it('is ten minutes at least for a model with a projector, whose pictures no estimate knows of', async () => {
    const file = new Blob([tinyModel()]);
    expect(await step({}, DEVICE, { ...MODEL, files: [file, file] })).toBe(600);
  });

  it('is what a test says', async () => {
    expect(await step({ hangAfter: 5 })).toBe(5);
  });
});
