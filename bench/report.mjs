/**
 * Reports the result: a table with the targets, and every sample.
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../src/cli/prerequisites.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('./measure.mjs').Result} Result */
/** @typedef {import('./measure.mjs').Metric} Metric */

/**
 * @typedef {object} Target
 * @property {string} text
 * @property {(raw: number, llamatab: number) => boolean} met of the medians
 */

/** @type {Target} */
const SPEED = { text: '≥ 0.98 × raw', met: (raw, llamatab) => llamatab >= 0.98 * raw };
/** @type {Target} */
const LATENCY = { text: '≤ raw + 5 ms', met: (raw, llamatab) => llamatab <= raw + 5 };
/** @type {Target} */
const START = { text: '≤ 1.1 × raw', met: (raw, llamatab) => llamatab <= 1.1 * raw };

/** @type {{ id: Metric, name: string, unit: string, target?: Target }[]} */
const METRICS = [
  { id: 'decode', name: 'Decoding, 1 request', unit: 'tokens/s', target: SPEED },
  { id: 'firstToken', name: 'First token, 1 request', unit: 'ms', target: LATENCY },
  { id: 'decode4', name: '4 requests at once, total', unit: 'tokens/s', target: SPEED },
  { id: 'firstToken4', name: 'First token, 4 requests at once', unit: 'ms', target: LATENCY },
  { id: 'coldStart', name: 'Cold start to first token', unit: 'ms' },
  { id: 'warmStart', name: 'Warm start to first token', unit: 'ms', target: START },
];

/**
 * Prints the table, and writes it with everything else to `<path>.md` and `<path>.json`.
 * @param {Result} result
 * @param {string} path relative to the repository
 */
export function publish(result, path) {
  const metrics = METRICS.map((metric) => summarize(metric, result));
  const rows = [
    ['', 'unit', 'raw wllama', 'llamatab', 'ratio', 'difference', 'target', ''],
    ...metrics.map(({ name, unit, raw, llamatab, ratio, difference, target, met }) => [
      name,
      unit,
      spread(raw),
      spread(llamatab),
      ratio.toFixed(3),
      `${difference < 0 ? '−' : '+'}${round(Math.abs(difference))}`,
      target ?? 'none',
      met === null ? '' : met ? 'met' : 'MISSED',
    ]),
  ];
  const markdown = `# llamatab against raw wllama, ${result.date.slice(0, 10)}

${toMarkdown(rows)}

Medians (lowest–highest) of ${result.runs} runs; ratio and difference are llamatab's median to raw wllama's. What each line means: \`bench/README.md\`.

${describe(result)}
`;
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify({ ...result, metrics }, null, 1)}\n`);
  console.log(`\n${markdown}\nWritten to ${path}.md, and with every sample to ${path}.json`);
}

/**
 * @param {(typeof METRICS)[number]} metric
 * @param {Result} result
 */
function summarize({ id, name, unit, target }, { samples }) {
  const raw = summary(samples.raw[id]);
  const llamatab = summary(samples.llamatab[id]);
  return {
    id,
    name,
    unit,
    raw,
    llamatab,
    ratio: llamatab.median / raw.median,
    difference: llamatab.median - raw.median,
    target: target?.text ?? null,
    met: target?.met(raw.median, llamatab.median) ?? null,
  };
}

/** @param {number[]} samples */
const summary = (samples) => ({ median: median(samples), min: Math.min(...samples), max: Math.max(...samples) });

/** @param {ReturnType<typeof summary>} summary */
const spread = ({ median, min, max }) => `${round(median)} (${round(min)}–${round(max)})`;

/** @param {number} value */
const round = (value) => value.toFixed(value < 1000 ? 1 : 0);

/** @param {Result} result */
function describe({ date, machine, loadAverage, setup, tokens, sameText }) {
  const lines = [
    `Measured ${date} on ${machine.cpu}, ${machine.cores} cores, ${machine.os}, ${machine.browser} (headless), Node ${machine.node}; load average ${loadAverage.map((load) => load.toFixed(2)).join(' before, ')} after.`,
    `${tokens} tokens a completion. Both load ${new URL(setup.wasm).pathname} with ${JSON.stringify(setup.parameters)}.`,
    sameText ? 'Both gave the same text to every prompt.' : 'THE TEXTS DIFFER: the two did not compute the same.',
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}

/** @param {string[][]} rows the first is the head */
function toMarkdown(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return lines.join('\n');
}
