/** The chaos: a short one in `npm test`, a long one by `npm run chaos`. */
import { expect, putTinyModels, test } from '../support/fixtures.ts';
import { runChaos } from './chaos.ts';

const faults = Number(process.env.LLAMATAB_CHAOS_FAULTS ?? 30);
const seed = Number(process.env.LLAMATAB_CHAOS_SEED ?? 1);

/** Milliseconds: the opening of a tab, a pause and what a request may wait, with room to spare. */
const PER_FAULT = 10_000;

test(`whatever happens, a request is answered right or fails (${faults} faults, seed ${seed})`, async ({ site }) => {
  test.setTimeout(180_000 + faults * PER_FAULT);
  putTinyModels(site, { tiny: {} });
  const report = await runChaos(site, { seed, faults });
  const errors = Object.values(report.errors).reduce((sum, count) => sum + count, 0);
  const share = report.right / (report.right + errors + report.wrong.length + report.hung.length);
  console.log(JSON.stringify({ ...report, errorsInAll: errors, rightShare: share }, null, 1));
  expect(report.wrong).toEqual([]);
  expect(report.hung).toEqual([]);
  expect(report.right).toBeGreaterThan(0);
});
