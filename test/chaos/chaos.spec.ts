/** The chaos: a short one in `npm test`, a long one by `npm run chaos`. */
import { expect, putTinyModels, test } from '../support/fixtures.ts';
import { type ChaosOptions, runChaos } from './chaos.ts';

/** Milliseconds: the opening of a tab, a pause and what a request may wait, with room to spare. */
const PER_FAULT = 10_000;

/**
 * Without the fault in which Chromium itself may lose requests: pages whose service worker is stopped while it takes over get the host's 404
 * until it is registered anew. `service-worker.spec` makes that happen.
 */
const SHORT: ChaosOptions = { seed: 1, faults: 30, without: ['stop the service worker'] };

const { LLAMATAB_CHAOS_FAULTS: faults, LLAMATAB_CHAOS_SEED: seed } = process.env;
const options = faults === undefined ? SHORT : { seed: Number(seed ?? 1), faults: Number(faults) };

test(`whatever happens, a request is answered right or fails (${options.faults} faults, seed ${options.seed})`, async ({
  site,
}) => {
  test.setTimeout(180_000 + options.faults * PER_FAULT);
  putTinyModels(site, { tiny: {} });
  const report = await runChaos(site, options);
  const errors = Object.values(report.errors).reduce((sum, count) => sum + count, 0);
  const share = report.right / (report.right + errors + report.wrong.length + report.hung.length);
  if (options !== SHORT) console.log(JSON.stringify({ ...report, errorsInAll: errors, rightShare: share }, null, 1));
  expect(report.wrong).toEqual([]);
  expect(report.hung).toEqual([]);
  expect(report.right).toBeGreaterThan(0);
});
