/**
 * `npm run bench:store`: how fast the model store downloads, compared with curl, and how much memory the browser needs for it.
 * See ../README.md.
 * @module
 */
import { parseArgs } from 'node:util';
import { findOrInstallChromium, installPackages } from '../../src/cli/prerequisites.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    /** Only tests the harness: one run of the small file, and no published result. */
    quick: { type: 'boolean', default: false },
  },
});
const runs = values.quick ? 1 : Number(values.runs);
if (!Number.isInteger(runs) || (runs < 5 && !values.quick)) {
  console.error(`llamatab: --runs is "${values.runs}": medians need a whole number of at least 5.`);
  process.exit(1);
}

installPackages();
const chromium = findOrInstallChromium();

// They import packages, which may have been installed only just now.
const { measureStore } = await import('./measure.mjs');
const { publishStore } = await import('./report.mjs');
const sizes = values.quick ? [100e6] : [100e6, 1e9];
publishStore(await measureStore({ runs, sizes, chromium }), values.quick ? 'dist/bench/store' : 'bench/results/store');
