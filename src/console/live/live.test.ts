import { describe, expect, it } from 'vitest';
import type { ModelStatus, ServerStatus } from '../../index.ts';
import {
  type EngineProps,
  eventsBetween,
  ratesOf,
  readMetrics,
  readPlans,
  readSlots,
  roundUp,
  toSample,
  withRestarts,
} from './live.ts';

const METRICS = `# HELP llamacpp:tokens_predicted_total Number of generation tokens processed
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 100
llamacpp:prompt_tokens_total 30
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
`;

const RUNTIME: NonNullable<ModelStatus['runtime']> = {
  threads: 2,
  gpu: null,
  gpuNote: null,
  compat: false,
  variant: 'relaxed',
  contextSize: 4096,
  contextNote: null,
  restartNote: null,
  slots: 4,
  kvCacheType: 'q8_0',
  memory: 5e6,
  build: 'b1-x',
  source: 'default',
  measured: null,
};

const modelOf = (changed: Partial<ModelStatus>) =>
  ({ id: 'm', name: 'Model (Q4)', state: 'available', capabilities: ['chat'], ...changed }) as ModelStatus;

describe('samples', () => {
  it('count what is under way, which the counters have only at its end', () => {
    const slots = readSlots([
      { id: 0, is_processing: true, next_token: [{ n_decoded: 7, n_remain: 3 }] },
      { id: 1, is_processing: true, next_token: [{ n_decoded: 5, n_remain: -1 }] },
      { id: 2, is_processing: false },
    ]);
    expect(slots).toEqual([
      { id: 0, busy: true, decoded: 7, limit: 10 },
      { id: 1, busy: true, decoded: 5, limit: null },
      { id: 2, busy: false, decoded: 0, limit: null },
    ]);
    const model = modelOf({ state: 'loaded', runtime: RUNTIME });
    expect(toSample(10, readMetrics(METRICS), [{ model, slots, plans: [], gpu: null }])).toEqual({
      at: 10,
      generated: 112,
      prompted: 30,
      processing: 2,
      deferred: 1,
      memory: 5e6,
    });
  });

  it('give rates, none of them below 0 when the counters begin anew', () => {
    const sample = (at: number, generated: number) => ({ ...toSample(at, new Map(), []), generated });
    expect(ratesOf([sample(0, 10), sample(500, 30), sample(1500, 0)], 'generated')).toEqual([0, 40, 0]);
  });
});

describe('plans', () => {
  const rates = (predicted: number | null) => ({ prompt_per_second: 100, predicted_per_second: predicted });
  const plan = {
    variant: 'relaxed',
    threads: 2,
    gpuLayers: 0,
    kvCacheType: 'q8_0',
    flashAttention: true,
    estimated: rates(10),
    measured: rates(20),
    chosen: true,
  };

  it('are labelled by what differs, the fastest first', () => {
    const props: EngineProps = {
      candidates: [
        plan,
        { ...plan, variant: 'simd128', threads: 1, chosen: false, measured: rates(30) },
        { ...plan, threads: 1, chosen: false, measured: null },
      ],
    };
    expect(readPlans(props)).toEqual([
      { label: 'CPU, 1 thread, plain SIMD', rate: 30, measured: true, chosen: false },
      { label: 'CPU, 2 threads, relaxed SIMD', rate: 20, measured: true, chosen: true },
      { label: 'CPU, 1 thread, relaxed SIMD', rate: 10, measured: false, chosen: false },
    ]);
  });

  it('of a model that only embeds are compared by its prompts', () => {
    expect(readPlans({ candidates: [{ ...plan, measured: rates(null) }] })[0]).toMatchObject({ rate: 100 });
    expect(readPlans({})).toEqual([]);
  });
});

describe('events', () => {
  const status: ServerStatus = {
    state: 'ready',
    role: 'guest',
    intercepts: true,
    reload: null,
    isolated: true,
    limits: [],
    models: [modelOf({})],
    modelsError: null,
    upstream: null,
  };
  const textsOf = (before: ServerStatus, after: ServerStatus) =>
    eventsBetween(before, after, 5).map(({ text }) => text);

  it('tell who runs the engine', () => {
    expect(textsOf(status, { ...status, role: 'host' })).toEqual(['This tab took the engine over from another one.']);
    expect(textsOf({ ...status, role: 'none' }, status)).toEqual(["Another tab's engine answers."]);
    expect(textsOf(status, status)).toEqual([]);
  });

  it('tell that the page has to be reloaded', () => {
    expect(eventsBetween(status, { ...status, reload: 'Reload.' }, 5)).toEqual([{ at: 5, text: 'Reload.', bad: true }]);
  });

  it('tell that something left the device, and why', () => {
    const upstream = { baseURL: 'https://llm.example/v1', answered: 1, lastReason: 'queue_full' };
    const text = 'llm.example answered in place of this device: queue_full.';
    expect(textsOf(status, { ...status, upstream })).toEqual([text]);
    expect(textsOf({ ...status, upstream }, { ...status, upstream })).toEqual([]);
    expect(textsOf({ ...status, upstream }, { ...status, upstream: { ...upstream, answered: 2 } })).toEqual([text]);
  });

  it('tell what a model does, and where it runs', () => {
    const loaded = { ...status, models: [modelOf({ state: 'loaded', runtime: { ...RUNTIME, gpu: 'NVIDIA' } })] };
    expect(textsOf(status, loaded)).toEqual(['Model is loaded: on the GPU, NVIDIA.']);
    const fallen = {
      ...status,
      models: [modelOf({ state: 'loaded', runtime: { ...RUNTIME, gpuNote: 'The GPU was lost.' } })],
    };
    expect(eventsBetween(loaded, fallen, 5)).toEqual([
      { at: 5, text: 'Model moved: on the CPU, 2 threads. The GPU was lost.', bad: true },
    ]);
    expect(textsOf(fallen, status)).toEqual(['Model left the memory.']);
    const failed = { ...status, models: [modelOf({ state: 'failed', error: 'HTTP 404' })] };
    expect(eventsBetween(status, failed, 5)).toEqual([{ at: 5, text: 'Model failed: HTTP 404', bad: true }]);
  });
});

it('puts the engines’ restarts among what happened, the latest first', () => {
  const event = { at: 5, text: 'Something.', bad: false };
  expect(withRestarts([event], {})).toEqual([event]);
  expect(withRestarts([event], { restarts: [{ model: 'm', time: 7, reason: 'A trap.' }] })).toEqual([
    { at: 7, text: 'The engine of m was lost, and started again: A trap.', bad: true },
    event,
  ]);
});

it('rounds a chart’s top up', () => {
  expect([0, 0.3, 1, 3, 42, 51, 1200].map(roundUp)).toEqual([1, 0.5, 1, 5, 50, 100, 2000]);
});
