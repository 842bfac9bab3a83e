/**
 * The result as a table, and every sample.
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { median } from '../statistics.mjs';

/** @typedef {import('./measure.mjs').GpuCallsResult} GpuCallsResult */

/**
 * @param {GpuCallsResult} result
 * @param {string} path relative to the repository, without extension
 */
export function publishGpuCalls(result, path) {
  const { published, unfused, ours } = result.milliseconds;
  const row = (/** @type {string} */ name, /** @type {number[]} */ samples) =>
    `| ${name} | ${median(samples).toFixed(1)} | ${Math.min(...samples).toFixed(1)}–${Math.max(...samples).toFixed(1)} |`;
  const markdown = `# A token's WebGPU calls, ${result.date.slice(0, 10)}

| wllama's glue | ms for a token | lowest–highest |
|---|---|---|
${row('as published', published)}
${row('with ours, dispatches not fused', unfused)}
${row('with ours', ours)}

${(median(published) / median(unfused)).toFixed(2)} and ${(median(published) / median(ours)).toFixed(2)} times as fast. The embedded model, ${result.tokens} tokens, ${result.runs} runs of each in turn, shaders that compute nothing,
on ${result.adapter || 'the adapter that Chromium has'}.

- Measured ${result.date} on ${result.machine}; load average ${result.loadAverage.map((load) => load.toFixed(2)).join(' before, ')} after.
`;
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`\n${markdown}\nWritten to ${path}.md, and with every sample to ${path}.json`);
}
