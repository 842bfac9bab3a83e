/** The device plan with the real engine: measured when idle, remembered, applied at the next load, never in a request's way. */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Page } from '@playwright/test';
import type { CandidateReport, DevicePlan, TuningReport } from '../src/engine/engine.ts';
import type { TuningRecord } from '../src/engine/tuning-record.ts';
import { chat, engineWasm, expect, fetchIn, KERNELS, serveIn, test, user } from './support/fixtures.ts';
import { path, runtimeFile } from './support/paths.ts';

/** The build that these tests fix, so that only threads are left to choose. */
const VARIANT = KERNELS ? 'simd128' : 'stock';
const WASM = KERNELS ? runtimeFile(`wllama-${VARIANT}.wasm`) : engineWasm();
/** The one that the device would be given anyway. */
const BEST = KERNELS ? 'relaxed' : 'stock';
/** Measures as soon as nothing is under way. */
const EAGER = { variant: VARIANT, idleBeforeMeasuring: 0 } as const;
/** Measures nothing, but knows what was measured. */
const QUIET = { variant: VARIANT, idleBeforeMeasuring: 3_600_000 } as const;
const question = { messages: user('hello'), max_tokens: 8, seed: 1 };

async function engineProps(page: Page): Promise<DevicePlan & TuningReport> {
  return (await fetchIn(page, '/v1/props?model=tiny')).json.engine;
}

const threadsOf = (candidates: CandidateReport[]) => candidates.map(({ threads }) => threads).sort();

async function untilMeasured(page: Page): Promise<DevicePlan & TuningReport> {
  await expect
    .poll(async () => (await engineProps(page)).candidates.every(({ measured }) => measured !== null))
    .toBe(true);
  return engineProps(page);
}

/** Changes what is remembered of the only model that was measured. */
async function editRecord(page: Page, edit: (record: TuningRecord) => TuningRecord | string): Promise<void> {
  await page.evaluate(async (edit) => {
    const opening = indexedDB.open('llamatab-plans');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    const store = database.transaction('plans', 'readwrite').objectStore('plans');
    await new Promise<void>((resolve, reject) => {
      store.openCursor().onsuccess = ({ target }) => {
        const cursor = (target as IDBRequest<IDBCursorWithValue | null>).result;
        // biome-ignore lint/security/noGlobalEval: a function of this test, which Playwright can't hand over as such
        cursor?.update(globalThis.eval(`(${edit})`)(cursor.value));
      };
      store.transaction.oncomplete = () => resolve();
      store.transaction.onerror = () => reject(store.transaction.error);
    });
    database.close();
  }, String(edit));
}

test('measures when idle, remembers over a reload, and runs the fastest from the next load on', async ({
  page,
  site,
}) => {
  await serveIn(page, site, { engine: EAGER });
  const text = await chat(page, question);
  const measured = await untilMeasured(page);
  expect(measured).toMatchObject({ source: 'default', variant: VARIANT, threads: 1, kvCacheType: 'q8_0' });
  expect(threadsOf(measured.candidates)).toEqual([1, 2]);
  expect(measured.measured?.prompt_per_second).toBeGreaterThan(0);
  expect(measured.measured?.predicted_per_second).toBeGreaterThan(0);
  expect(measured.candidates.filter(({ chosen }) => chosen)).toHaveLength(1);
  // Never under a model that is loaded.
  expect(await chat(page, question)).toBe(text);
  const [model] = (await fetchIn(page, '/v1/models')).json.data;
  expect(model.status.runtime).toMatchObject({ variant: VARIANT, source: 'default', measured: measured.measured });

  // On this machine, whichever is the faster one: let it be clear.
  await editRecord(page, (record) => ({
    ...record,
    measured: record.measured.map(({ choice }) => ({
      choice,
      confirmed: true,
      rates: { prompt_per_second: choice.threads * 1000, predicted_per_second: choice.threads * 100 },
    })),
  }));
  await serveIn(page, site, { engine: EAGER });
  const second = await engineProps(page);
  expect(second).toMatchObject({
    source: 'measured',
    threads: 2,
    measured: { prompt_per_second: 2000, predicted_per_second: 200 },
  });
  expect(second.candidates.find(({ chosen }) => chosen)).toMatchObject({ threads: 2 });
  expect(await chat(page, question)).toHaveLength(8);

  await serveIn(page, site, { engine: { ...EAGER, measure: false } });
  expect(await engineProps(page)).toMatchObject({ source: 'default', threads: 1, measured: null });

  // A quantized KV cache without flash attention: llama.cpp does not load it.
  await editRecord(page, ({ measured }) => ({
    chosen: { ...(measured[0] as TuningRecord['measured'][0]).choice, flashAttention: false },
    measured: [],
    gpuTrouble: null,
  }));
  await serveIn(page, site, { engine: QUIET });
  expect(await chat(page, question)).toBe(text);
  expect(await engineProps(page)).toMatchObject({ source: 'default', threads: 1, flashAttention: true });

  await editRecord(page, () => 'damaged');
  await serveIn(page, site, { engine: QUIET });
  expect(await engineProps(page)).toMatchObject({ source: 'default', threads: 1, measured: null });
});

test('a request that comes while a plan is measured is answered at once; measuring goes on afterwards', async ({
  page,
  site,
}) => {
  const wasm = readFileSync(path(`dist/site${WASM}`));
  let withhold = false;
  const withheld: ServerResponse[] = [];
  site.route(WASM, (_, response) => {
    // The measurement can't get on from here: a request that waited for it would never be answered.
    if (withhold) return withheld.push(response);
    response.setHeader('Content-Type', 'application/wasm');
    response.setHeader('Cache-Control', 'no-store');
    response.end(wasm);
  });
  await serveIn(page, site, { preload: false, engine: EAGER });
  const text = await chat(page, question);
  withhold = true;
  await expect.poll(() => withheld.length).toBeGreaterThan(0);
  expect(await chat(page, question)).toBe(text);
  expect((await engineProps(page)).candidates.some(({ measured }) => measured === null)).toBe(true);
  withhold = false;
  for (const response of withheld) response.destroy();
  expect(await chat(page, question)).toBe(text);
  expect((await untilMeasured(page)).candidates).toHaveLength(2);
});

test('what the site fixes is not varied', async ({ page, site }) => {
  await serveIn(page, site, { engine: { threads: 2, variant: BEST, measure: false } });
  expect(await engineProps(page)).toMatchObject({
    source: 'overridden',
    threads: 2,
    variant: BEST,
    measured: null,
    candidates: [{ threads: 2, variant: BEST, measured: null, chosen: true }],
  });
});
