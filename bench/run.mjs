/**
 * `npm run bench`: measures llamatab against raw wllama, side by side. See README.md.
 * @module
 */
import { parseArgs } from 'node:util';
import { findOrInstallChromium, installPackages, mustRun } from '../src/cli/prerequisites.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    name: { type: 'string', default: 'latest' },
    /** Only tests the harness: one run, and no published result. */
    quick: { type: 'boolean', default: false },
    /** Uses the existing build. */
    'no-build': { type: 'boolean', default: false },
  },
});
const runs = values.quick ? 1 : Number(values.runs);
if (!Number.isInteger(runs) || (runs < 5 && !values.quick)) {
  console.error(`llamatab: --runs is "${values.runs}": medians need a whole number of at least 5.`);
  process.exit(1);
}

installPackages();
if (!values['no-build']) mustRun('npm', ['run', '--silent', 'build']);
const chromium = findOrInstallChromium();

// They import packages, which may have been installed only just now.
const { measure } = await import('./measure.mjs');
const { publish } = await import('./report.mjs');
const result = await measure({ runs, tokens: values.quick ? 16 : 128, chromium });
publish(result, values.quick ? 'dist/bench/quick' : `bench/results/${values.name}`);
