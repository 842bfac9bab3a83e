/**
 * The result as a table, and every sample.
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { median } from '../statistics.mjs';

/** @typedef {import('./measure.mjs').StoreResult} StoreResult */

/** @type {[import('./measure.mjs').Hashes, string][]} */
const NAMES = [
  ['parts', 'the store, a SHA-256 for each part'],
  ['whole', 'the store, a SHA-256 of the whole'],
  ['none', 'the store, without a published hash'],
];

/**
 * @param {StoreResult} result
 * @param {string} path relative to the repository, without extension
 */
export function publishStore(result, path) {
  const rows = [
    '| file | | MB/s | of curl’s | memory at most, MiB |',
    '|---|---|---|---|---|',
    ...result.measured.flatMap(({ size, curl, store }) => {
      const name = `${Math.round(size / 1e6)} MB`;
      const rates = (/** @type {number[]} */ seconds) => seconds.map((each) => size / 1e6 / each);
      const curlRate = median(rates(curl));
      return [
        `| ${name} | curl, to a file | ${spread(rates(curl))} | 1 | |`,
        ...NAMES.map(([hashes, what]) => {
          const speeds = rates(store[hashes].map(({ seconds }) => seconds));
          const memory = store[hashes].map(({ memory }) => memory / 2 ** 20);
          return `| ${name} | ${what} | ${spread(speeds)} | ${(median(speeds) / curlRate).toFixed(2)} | ${spread(memory)} |`;
        }),
      ];
    }),
  ];
  const markdown = `# Downloads into the store, ${result.date.slice(0, 10)}

${rows.join('\n')}

Medians (lowest–highest) of ${result.runs} runs, in turn, from one server on the same machine, each into a fresh profile; until
every part is verified and acknowledged. Memory is private memory of all of the browser's processes, above the page before the download.

- Measured ${result.date} on ${result.machine}; load average ${result.loadAverage.map((load) => load.toFixed(2)).join(' before, ')} after.
`;
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`\n${markdown}\nWritten to ${path}.md, and with every sample to ${path}.json`);
}

/** @param {number[]} samples */
function spread(samples) {
  const [low, middle, high] = [Math.min(...samples), median(samples), Math.max(...samples)].map(Math.round);
  return `${middle} (${low}–${high})`;
}
