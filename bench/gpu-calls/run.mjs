/**
 * `npm run bench:gpu-calls`: what a token's WebGPU calls cost in Chromium before any GPU computes, with wllama's glue as
 * published and with ours. See ../README.md.
 * @module
 */
import { parseArgs } from 'node:util';
import { findOrInstallChromium, installPackages } from '../../src/cli/prerequisites.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    /** Whether the harness works: two short runs, no published result. */
    quick: { type: 'boolean', default: false },
  },
});
const runs = values.quick ? 2 : Number(values.runs);
if (!Number.isInteger(runs) || (runs < 5 && !values.quick)) {
  console.error(`llamatab: --runs is "${values.runs}": medians need a whole number of at least 5.`);
  process.exit(1);
}

installPackages();
const chromium = findOrInstallChromium();

// They import packages, which are there only now.
const { measureGpuCalls } = await import('./measure.mjs');
const { publishGpuCalls } = await import('./report.mjs');
const result = await measureGpuCalls({ runs, tokens: values.quick ? 16 : 100, chromium });
publishGpuCalls(result, values.quick ? 'dist/bench/gpu-calls' : 'bench/results/gpu-calls');
