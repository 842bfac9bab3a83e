import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { planKey } from './device-plan.ts';
import type { DevicePlan, PlanChoice, Rates } from './engine.ts';
import { IDLE_BEFORE_MEASURING, Tuner, type TunerOptions } from './tuner.ts';
import { fastest, MARGIN, type Tunable } from './tuning.ts';
import { readRecord, type TuningStore } from './tuning-record.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const PLAN: DevicePlan = {
  wasm: 'stock',
  compat: false,
  variant: 'stock',
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

/** A model whose plans differ in their threads: 4 by default, or 1, 2 or 8. Its speed with each is `speeds`'. */
class FakeTunable implements Tunable {
  key = 'model';
  measurable = true;
  fixed = false;
  threads = [1, 2, 4, 8];
  readonly speeds: Record<number, number>;
  /** Threads that were measured, in order. */
  readonly measured: number[] = [];
  readonly aborted: number[] = [];
  onMeasure: (threads: number) => Promise<void> = async () => {};

  constructor(speeds: Record<number, number>) {
    this.speeds = speeds;
  }

  estimate = ({ threads }: DevicePlan): Rates => rates(threads);
  draftShare = () => 0;
  learn = (): void => {};

  plan = ({ threads = 4 }: Partial<PlanChoice>): DevicePlan => ({
    ...PLAN,
    threads: this.threads.includes(threads) ? threads : 4,
  });

  candidates = (current: Partial<PlanChoice>): [DevicePlan, ...DevicePlan[]] => {
    const base = this.plan(current);
    return [
      base,
      ...this.threads.filter((threads) => threads !== base.threads).map((threads) => this.plan({ threads })),
    ];
  };

  measure = async ({ threads }: DevicePlan, signal: AbortSignal): Promise<Rates> => {
    await Promise.race([
      this.onMeasure(threads),
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    ]).catch((error) => {
      if (signal.aborted) this.aborted.push(threads);
      throw error;
    });
    this.measured.push(threads);
    return rates(this.speeds[threads] ?? 0);
  };
}

class FakeStore implements TuningStore {
  readonly records = new Map<string, unknown>();
  get = async (key: string) => structuredClone(this.records.get(key));
  set = async (key: string, record: unknown) => void this.records.set(key, structuredClone(record));
}

/** The model, loaded by a tuner of its own, as after a reload of the page. */
async function load(tunable: Tunable, store: TuningStore = new FakeStore(), options: TunerOptions = {}) {
  const tuner = new Tuner(options, store);
  const use = tuner.use();
  const tuning = await tuner.open(tunable);
  const remove = tuner.add(tuning);
  use.end();
  return { tuner, tuning, remove };
}

const idle = (milliseconds = IDLE_BEFORE_MEASURING) => vi.advanceTimersByTimeAsync(milliseconds);

describe('fastest', () => {
  const candidate = (plan: string, speed: number | null) => ({ plan, rates: speed === null ? null : rates(speed) });

  it('is the present plan unless another is faster by a margin', () => {
    expect(fastest(candidate('a', 100), [])).toBe('a');
    expect(fastest(candidate('a', 100), [candidate('b', 100 * MARGIN - 1)])).toBe('a');
    expect(fastest(candidate('a', 100), [candidate('b', 100 * MARGIN + 1)])).toBe('b');
    expect(fastest(candidate('a', 100), [candidate('b', 120), candidate('c', 200), candidate('d', 150)])).toBe('c');
  });

  it('does not flip by noise of ±10 % once it has changed', () => {
    expect(fastest(candidate('b', 120 * 0.9), [candidate('a', 100 * 1.1)])).toBe('b');
  });

  it('weighs prompts and answers', () => {
    const plan = (prompt: number, predicted: number | null) => ({
      prompt_per_second: prompt,
      predicted_per_second: predicted,
    });
    const present = { plan: 'present', rates: plan(100, 50) };
    expect(fastest(present, [{ plan: 'other', rates: plan(1000, 25) }])).toBe('present');
    expect(fastest(present, [{ plan: 'other', rates: plan(300, 50) }])).toBe('other');
    const embedder = { plan: 'present', rates: plan(100, null) };
    expect(fastest(embedder, [{ plan: 'other', rates: plan(120, null) }])).toBe('other');
  });

  it('never is what could not be measured, if anything else could', () => {
    expect(fastest(candidate('a', 100), [candidate('b', null)])).toBe('a');
    expect(fastest(candidate('a', null), [candidate('b', 1)])).toBe('b');
    expect(fastest(candidate('a', null), [candidate('b', null)])).toBe('a');
  });
});

describe('measuring', () => {
  it('begins after a pause, the plan in use first, and changes nothing under the loaded model', async () => {
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    const { tuning } = await load(tunable);
    expect(tuning.report).toMatchObject({ source: 'default', measured: null });
    await idle(IDLE_BEFORE_MEASURING - 1);
    expect(tunable.measured).toEqual([]);
    await idle(1);
    expect(tunable.measured).toEqual([4, 1, 2, 8, 4]);
    expect(tuning.plan.threads).toBe(4);
    expect(tuning.report).toMatchObject({ source: 'default', measured: rates(30) });
    expect(tuning.report.candidates.map(({ threads, measured, chosen }) => [threads, measured, chosen])).toEqual([
      [8, rates(60), true],
      [1, rates(10), false],
      [2, rates(20), false],
      [4, rates(30), false],
    ]);
  });

  it('is remembered and applied at the next load, and not done again', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    const { tuning } = await load(tunable, store);
    expect(tuning.plan.threads).toBe(8);
    expect(tuning.report).toMatchObject({ source: 'measured', measured: rates(60) });
    await idle();
    expect(tunable.measured).toHaveLength(5);
  });

  it('gives the plan in use a second chance, of which the better counts', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 10, 8: 30 });
    tunable.onMeasure = async () => {
      // The first measurement was disturbed.
      if (tunable.measured.length === 4) tunable.speeds[4] = 29;
    };
    const { tuning } = await load(tunable, store);
    await idle();
    expect(tunable.measured).toEqual([4, 1, 2, 8, 4]);
    expect(tuning.report.measured).toEqual(rates(29));
    expect((await load(tunable, store)).tuning.plan.threads).toBe(4);
  });

  it('has had its chance if the second measurement fails', async () => {
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    tunable.onMeasure = async () => {
      if (tunable.measured.length === 4) throw new Error('no memory');
    };
    const { tuning } = await load(tunable);
    await idle();
    expect(tuning.report.candidates.find(({ chosen }) => chosen)?.threads).toBe(8);
  });

  it('does not change back and forth', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    for (let reload = 0; reload < 3; reload++) {
      expect((await load(tunable, store)).tuning.plan.threads).toBe(8);
      await idle();
    }
    expect(tunable.measured).toHaveLength(5);
  });

  it('is measured anew for another key: another device, model or engine', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    tunable.key = 'model, new browser';
    expect((await load(tunable, store)).tuning.report.source).toBe('default');
  });

  it('waits as long as anything uses the engine', async () => {
    const tunable = new FakeTunable({});
    const { tuner } = await load(tunable);
    const [first, second] = [tuner.use(), tuner.use()];
    await idle();
    first.end();
    await idle();
    expect(tunable.measured).toEqual([]);
    second.end();
    await idle(IDLE_BEFORE_MEASURING - 1);
    expect(tunable.measured).toEqual([]);
    await idle(1);
    expect(tunable.measured).toHaveLength(4);
  });

  it('ends at once when the engine is used, and resumes where it was', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    tunable.onMeasure = (threads) => (threads === 2 ? new Promise(() => {}) : Promise.resolve());
    const { tuner, tuning } = await load(tunable, store);
    await idle();
    expect([tunable.measured, tunable.aborted]).toEqual([[4, 1], []]);
    const use = tuner.use();
    // In the same turn of the event loop the signal was given; the rest is the rejection on its way.
    await idle(0);
    expect(tunable.aborted).toEqual([2]);
    use.end();
    tunable.onMeasure = async () => {};
    // As after a reload: what was measured is stored.
    const reloaded = await load(tunable, store);
    expect(reloaded.tuning.report.candidates.map(({ measured }) => measured !== null)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await idle();
    expect(tunable.measured.slice(0, 4)).toEqual([4, 1, 2, 8]);
    expect(tuning.plan.threads).toBe(4);
  });

  it('aborts in the very call that announces a use', async () => {
    const tunable = new FakeTunable({});
    let signal: AbortSignal | undefined;
    tunable.measure = (_, given) => {
      signal = given;
      return new Promise((_, reject) => given.addEventListener('abort', () => reject(given.reason)));
    };
    const { tuner } = await load(tunable);
    await idle();
    expect(signal?.aborted).toBe(false);
    tuner.use();
    expect(signal?.aborted).toBe(true);
  });

  it('ends when the model goes', async () => {
    const tunable = new FakeTunable({});
    tunable.onMeasure = () => new Promise(() => {});
    const { remove } = await load(tunable);
    await idle();
    remove();
    await idle();
    expect(tunable.aborted).toEqual([4]);
  });

  it('goes on after a plan that fails, which is tried again after a reload only', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    tunable.onMeasure = (threads) => (threads === 8 ? Promise.reject(new Error('no memory')) : Promise.resolve());
    const { tuning } = await load(tunable, store);
    await idle();
    await idle();
    expect(tunable.measured).toEqual([4, 1, 2]);
    expect(tuning.report.candidates.find(({ chosen }) => chosen)?.threads).toBe(4);
    tunable.onMeasure = async () => {};
    await load(tunable, store);
    await idle();
    expect(tunable.measured.slice(0, 4)).toEqual([4, 1, 2, 8]);
  });

  it('takes one thread where more wait for each other', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 4, 4: 1, 8: 0.1 });
    await load(tunable, store);
    await idle();
    expect((await load(tunable, store)).tuning.plan.threads).toBe(1);
  });

  it('measures each of several models', async () => {
    const first = new FakeTunable({});
    const second = new FakeTunable({});
    second.key = 'other';
    const { tuner } = await load(first);
    tuner.add(await tuner.open(second));
    await idle();
    expect([first.measured, second.measured].map(({ length }) => length)).toEqual([4, 4]);
  });

  it.each<[string, (tunable: FakeTunable) => TunerOptions]>([
    ['switched off', () => ({ measure: false })],
    [
      'not measurable',
      (tunable) => {
        tunable.measurable = false;
        return {};
      },
    ],
  ])('does nothing where it is %s', async (_, prepare) => {
    const tunable = new FakeTunable({});
    const { tuning } = await load(tunable, new FakeStore(), prepare(tunable));
    await idle();
    expect(tunable.measured).toEqual([]);
    expect(tuning.report).toMatchObject({ source: 'default', measured: null });
  });

  it('switched off, takes no notice of what is remembered', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    expect((await load(tunable, store, { measure: false })).tuning.plan.threads).toBe(4);
  });
});

describe('overrides', () => {
  it('that leave one plan are named, and it is measured all the same', async () => {
    const tunable = new FakeTunable({ 4: 30 });
    tunable.threads = [4];
    tunable.fixed = true;
    const { tuning } = await load(tunable);
    await idle();
    expect(tuning.report).toMatchObject({ source: 'overridden', measured: rates(30), candidates: [{ chosen: true }] });
  });

  it('that came after measuring choose among what is left', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    tunable.threads = [1, 4];
    expect((await load(tunable, store)).tuning.plan.threads).toBe(4);
  });
});

describe('a busy machine', () => {
  const timings = (predicted_per_second: number, change: object = {}) => ({
    predicted_per_second,
    predicted_n: 50,
    prompt_n: 100,
    cache_n: 0,
    ...change,
  });

  async function measured() {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 29 });
    const { tuning } = await load(tunable, store);
    await idle();
    return { store, tunable, tuning };
  }

  it('gets fewer threads at the next load, when requests are far slower than measured', async () => {
    const { store, tunable, tuning } = await measured();
    for (const rate of [9, 8, 9]) tuning.observe(timings(rate));
    expect(tuning.plan.threads).toBe(4);
    await idle(0);
    const reloaded = await load(tunable, store);
    expect(reloaded.tuning.plan.threads).toBe(2);
    // Measured again, it has its place back.
    await idle();
    expect(tunable.measured.slice(4)).toEqual([4, 8, 2]);
    expect((await load(tunable, store)).tuning.plan.threads).toBe(4);
  });

  it.each([
    ['a single slow request', [timings(9), timings(30), timings(9), timings(30), timings(9)]],
    ['long contexts', Array(5).fill(timings(9, { cache_n: 3000 }))],
    ['a few tokens', Array(5).fill(timings(9, { predicted_n: 3 }))],
    ['a rate that is lower, not collapsed', Array(5).fill(timings(15))],
    ['no timings', Array(5).fill({})],
  ])('is not seen in %s', async (_, requests) => {
    const { store, tunable, tuning } = await measured();
    for (const request of requests) tuning.observe(request);
    await idle(0);
    expect((await load(tunable, store)).tuning.plan.threads).toBe(4);
  });

  it('is not seen in requests that did not run alone', async () => {
    const { tuner } = await load(new FakeTunable({}));
    const first = tuner.use();
    expect(first.alone).toBe(true);
    const second = tuner.use();
    expect([first.alone, second.alone]).toEqual([false, false]);
    first.end();
    second.end();
    expect([first.alone, second.alone, tuner.use().alone]).toEqual([false, false, true]);
  });

  it('keeps the threads that the owner fixed', async () => {
    const { tunable, tuning } = await measured();
    tunable.threads = [4];
    for (let i = 0; i < 5; i++) tuning.observe(timings(1));
    expect(tuning.report.measured).toEqual(rates(30));
  });
});

describe('what is remembered', () => {
  const choice: PlanChoice = {
    variant: 'relaxed',
    threads: 2,
    kvCacheType: 'q8_0',
    flashAttention: true,
    gpuLayers: 0,
    drafting: 'none',
  };

  it('is read as it was written', () => {
    const record = {
      chosen: choice,
      measured: [
        { choice, rates: rates(10), confirmed: false },
        { choice, rates: { prompt_per_second: 5, predicted_per_second: null }, confirmed: true },
      ],
      gpuTrouble: { layersAtMost: 8, reason: 'It ran out of memory.' },
    };
    expect(readRecord(structuredClone(record))).toEqual(record);
  });

  it.each([
    undefined,
    null,
    'text',
    7,
    [],
    {},
    { chosen: 'all', measured: 'none', gpuTrouble: 'some' },
    { gpuTrouble: { layersAtMost: -1, reason: 'it fell' } },
    { chosen: { ...choice, threads: 0 }, measured: {} },
    { chosen: { ...choice, threads: 1.5 }, measured: [null] },
    { chosen: { ...choice, variant: 'avx' }, measured: [{ choice, confirmed: true }] },
    { chosen: { ...choice, kvCacheType: 'q2' }, measured: [{ choice, rates: {}, confirmed: true }] },
    {
      chosen: { ...choice, gpuLayers: -1 },
      measured: [{ choice, rates: { ...rates(1), prompt_per_second: 0 }, confirmed: true }],
    },
    {
      chosen: { ...choice, flashAttention: 1 },
      measured: [{ choice, rates: { prompt_per_second: Number.NaN }, confirmed: true }],
    },
    {
      measured: [
        { choice: {}, rates: rates(1) },
        { choice, rates: { ...rates(1), predicted_per_second: '9' } },
      ],
    },
  ])('is nothing where it is damaged: %j', (stored) => {
    expect(readRecord(stored)).toEqual({ chosen: null, measured: [], gpuTrouble: null });
  });

  it('is not missed where nothing can be stored', async () => {
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    const refuse = async () => {
      throw new Error('private window');
    };
    const { tuning } = await load(tunable, { get: refuse, set: refuse });
    await idle();
    expect(tuning.report.measured).toEqual(rates(30));
  });

  it('is given up where it can no longer be loaded', async () => {
    const store = new FakeStore();
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    await load(tunable, store);
    await idle();
    const { tuning } = await load(tunable, store);
    expect(tuning.differs).toBe(true);
    const fallback = await tuning.reset();
    expect([fallback.plan.threads, fallback.differs]).toEqual([4, false]);
    expect(JSON.stringify(store.records.get('model'))).not.toContain(planKey(tuning.plan));
    expect((await load(tunable, store)).tuning.plan.threads).toBe(4);
  });

  it('is kept in IndexedDB', async () => {
    const tunable = new FakeTunable({ 1: 10, 2: 20, 4: 30, 8: 60 });
    vi.useRealTimers();
    const open = async () => {
      const tuner = new Tuner({ idle: 0 });
      return { tuner, tuning: await tuner.open(tunable) };
    };
    const { tuner, tuning } = await open();
    tuner.add(tuning);
    await vi.waitFor(async () => expect((await open()).tuning.plan.threads).toBe(8));
  });
});
