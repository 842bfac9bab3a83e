import { describe, expect, it } from 'vitest';
import type { GpuTrouble } from './device-plan.ts';
import type { DevicePlan, PlanChoice, Rates } from './engine.ts';
import { ESTIMATE_MARGIN, type Tunable, Tuning } from './tuning.ts';
import { readRecord, type TuningRecord } from './tuning-record.ts';

const CPU: DevicePlan = {
  wasm: 'relaxed',
  compat: false,
  variant: 'relaxed',
  threads: 4,
  contextSize: 4096,
  contextNote: null,
  contextShift: false,
  slots: 4,
  batchSize: 256,
  microBatchSize: 256,
  kvCacheType: 'q8_0',
  flashAttention: true,
  gpuLayers: 0,
  gpuNote: null,
  drafting: 'none',
};
const rates = (speed: number): Rates => ({ prompt_per_second: speed * 3, predicted_per_second: speed });

/** A model of 16 layers that is too large to be loaded twice, on a device with a GPU. Its speeds are estimates. */
function largeModel({ cpu, gpu }: { cpu: number; gpu: number }) {
  const learnt: [gpuLayers: number, Rates][] = [];
  const plan = ({ gpuLayers }: Partial<PlanChoice>, trouble: GpuTrouble | null): DevicePlan => ({
    ...CPU,
    gpuLayers: Math.min(gpuLayers ?? (gpu > cpu ? 17 : 0), trouble?.layersAtMost ?? 17),
    gpuNote: trouble?.reason ?? null,
  });
  const tunable: Tunable = {
    key: 'large',
    measurable: false,
    fixed: false,
    plan,
    candidates(current, trouble) {
      const base = plan(current, trouble);
      const other = plan({ gpuLayers: base.gpuLayers > 0 ? 0 : 17 }, trouble);
      return other.gpuLayers === base.gpuLayers ? [base] : [base, other];
    },
    estimate: ({ gpuLayers }) => rates(gpuLayers > 0 ? gpu : cpu),
    draftShare: () => 0,
    learn: ({ gpuLayers }, measured) => void learnt.push([gpuLayers, measured]),
    measure: () => Promise.reject(new Error('It is too large.')),
  };
  let stored: unknown;
  const load = () =>
    new Tuning(tunable, readRecord(stored), async (record: TuningRecord) => {
      stored = structuredClone(record);
    });
  return { load, learnt };
}

const request = (speed: number, more = {}) => ({
  prompt_n: 128,
  predicted_n: 128,
  prompt_per_second: speed * 3,
  predicted_per_second: speed,
  ...more,
});

describe('a model that is too large to be loaded twice', () => {
  it('is measured while it answers, and runs on the other processor if that is expected to be far ahead', () => {
    const { load, learnt } = largeModel({ cpu: 20, gpu: 30 });
    const first = load();
    expect(first.plan.gpuLayers).toBe(17);
    first.observe(request(20 / ESTIMATE_MARGIN - 1));
    expect(learnt).toEqual([[17, rates(9)]]);
    expect(first.report.measured).toEqual(rates(9));
    expect(load().plan.gpuLayers).toBe(0);
  });

  it('stays where it is if the other is only somewhat faster by estimate', () => {
    const { load } = largeModel({ cpu: 20, gpu: 30 });
    load().observe(request(15));
    expect(load().plan.gpuLayers).toBe(17);
  });

  it('goes back to the faster one once both are known', () => {
    const { load } = largeModel({ cpu: 20, gpu: 30 });
    load().observe(request(9));
    const onCpu = load();
    onCpu.observe(request(4));
    expect(load().plan.gpuLayers).toBe(17);
  });

  it.each([
    ['few tokens', { predicted_n: 3 }],
    ['a prompt that was cached', { prompt_n: 2, cache_n: 126 }],
    ['a long context', { prompt_n: 3000 }],
  ])('learns nothing from %s', (_, more) => {
    const { load, learnt } = largeModel({ cpu: 20, gpu: 30 });
    load().observe(request(1, more));
    expect(learnt).toEqual([]);
    expect(load().plan.gpuLayers).toBe(17);
  });
});

describe('a GPU that failed', () => {
  it('is left alone from then on, and the reason is kept', async () => {
    const { load } = largeModel({ cpu: 20, gpu: 30 });
    const trouble = { layersAtMost: 0, reason: 'The GPU was lost twice.' };
    const { plan } = await load().avoidGpu(trouble);
    expect(plan).toMatchObject({ gpuLayers: 0, gpuNote: trouble.reason });
    expect(load().plan).toMatchObject({ gpuLayers: 0, gpuNote: trouble.reason });
  });

  it('gets fewer layers where it ran out of memory', async () => {
    const { load } = largeModel({ cpu: 20, gpu: 30 });
    await load().avoidGpu({ layersAtMost: 8, reason: 'It ran out of memory.' });
    expect(load().plan.gpuLayers).toBe(8);
  });
});

describe('drafted tokens', () => {
  /** Verifying one costs two thirds of a step: see `rates`. A draft model costs a tenth of it more. */
  function drafting(kind: 'lookup' | 'model') {
    let stored: unknown;
    const plan = ({ drafting = kind }: Partial<PlanChoice>): DevicePlan => ({ ...CPU, drafting });
    const tunable: Tunable = {
      key: 'drafting',
      measurable: true,
      fixed: false,
      plan,
      candidates: (current) => [plan(current)],
      estimate: () => rates(30),
      draftShare: () => (kind === 'model' ? 0.1 : 0),
      learn: () => {},
      measure: async () => rates(30),
    };
    return () =>
      new Tuning(tunable, readRecord(stored), async (record) => {
        stored = structuredClone(record);
      });
  }
  const drafted = (draft_n: number, draft_n_accepted: number) => request(30, { draft_n, draft_n_accepted });

  it.each([
    ['lookup', 70, 'lookup'],
    ['lookup', 60, 'none'],
    ['model', 70, 'none'],
    ['model', 80, 'model'],
  ] as const)('of %s, of which %i in a hundred are right: the next load drafts by %s', (kind, right, next) => {
    const load = drafting(kind);
    const tuning = load();
    for (let answers = 0; answers < 2; answers++) tuning.observe(drafted(100, right));
    expect(tuning.plan.drafting).toBe(kind);
    expect(load().plan.drafting).toBe(next);
  });

  it('that are few tell nothing', () => {
    const load = drafting('lookup');
    load().observe(drafted(24, 0));
    expect(load().plan.drafting).toBe('lookup');
  });
});
