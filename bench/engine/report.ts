/** The result as a table, and as JSON with every sample. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { median } from '../statistics.mjs';
import type { Contender } from './contenders.ts';
import { CONTENDERS, MODELS } from './matrix.ts';
import type { Measured } from './measure.ts';

export interface Result {
  date: string;
  machine: Machine;
  /** Of the last minute, before: was the machine quiet? */
  loadAverage: number;
  minutes: number;
  runs: number;
  measured: Measured[];
}

export interface Machine {
  cpu: string;
  cores: number;
  os: string;
  node: string;
  browser: string;
  /** Release of native llama.cpp. */
  native: string | null;
}

export function thisMachine(browser: string, native: string | null): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    os: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    browser,
    native,
  };
}

export const describeMachine = ({ cpu, cores, os, node, browser, native }: Machine) =>
  `${cpu}, ${cores} cores, ${os}, ${browser} (headless), Node ${node}, ${native ? `native llama.cpp ${native}` : 'no native llama.cpp'}`;

const HEADS: Record<Contender['id'], string> = {
  old: 'before, relaxed SIMD',
  wllama: 'wllama, defaults',
  'wllama-plan': 'wllama, our plan',
  simd128: 'ours, SIMD128',
  relaxed: 'ours, relaxed SIMD',
  native: 'native llama.cpp',
};

type Metric = 'prompt' | 'decode' | 'embedding';
const METRICS: { id: Metric; name: string; faster(a: number, b: number): number }[] = [
  { id: 'prompt', name: 'prompt, tokens/s', faster: (a, b) => a / b },
  { id: 'decode', name: 'decode, tokens/s', faster: (a, b) => a / b },
  { id: 'embedding', name: 'ms', faster: (a, b) => b / a },
];

/** Prints the tables, and writes them to `<path>.md` and everything to `<path>.json`. @param path relative to the repository */
export function publish(result: Result, path: string): void {
  const { measured, machine, runs, minutes, loadAverage, date } = result;
  const tables = MODELS.filter(({ id }) => measured.some(({ model }) => model === id)).map(
    ({ id, name }) => `## ${name}\n\n${table(linesOf(measured, id))}`,
  );
  const markdown = `# The engine's speed on the CPU, ${date.slice(0, 10)}

${describeMachine(machine)}. Load average before: ${loadAverage.toFixed(2)}. ${runs} runs in ${minutes.toFixed(1)} minutes.

Medians (lowest–highest). Where the context is longer than 40 tokens, a run computes the last 40 after a context that was
computed before; \`whole prompt\` is the rate of that, once. What each column means: \`bench/engine/README.md\`.

${tables.join('\n\n')}

${sameTexts(measured)}
`;
  writeResult(path, markdown, JSON.stringify(result, null, 1));
  console.log(`\n${markdown}\nWritten to ${path}.md, and with every sample to ${path}.json`);
}

/** To `<path>.md` and `<path>.json`. @param path relative to the repository */
export function writeResult(path: string, markdown: string, json: string): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${json}\n`);
}

/** The same cell of each contender. */
type Line = Partial<Record<Contender['id'], Measured>>;

function linesOf(measured: Measured[], model: string): Line[] {
  const lines = new Map<string, Line>();
  for (const cell of measured.filter((cell) => cell.model === model)) {
    const key = [cell.threads, cell.requests, cell.context].join();
    lines.set(key, { ...lines.get(key), [cell.contender]: cell });
  }
  return [...lines.values()];
}

function table(lines: Line[]): string {
  const present = CONTENDERS.filter((id) => lines.some((line) => line[id]));
  const rivals = (['old', 'wllama', 'native'] as const).filter((id) => id !== 'old' || present.includes(id));
  const ratio = (metric: (typeof METRICS)[number], a?: Measured, b?: Measured) =>
    a && b ? `${metric.faster(median(a[metric.id]), median(b[metric.id])).toFixed(2)}×` : '';
  const rows = lines.flatMap((line) => {
    const [{ threads, requests, context, fill }] = Object.values(line) as [Measured];
    const cell = [`${threads}`, `${requests}`, `${context}`];
    const metrics = METRICS.filter(({ id }) => Object.values(line)[0]?.[id].length).map((metric) => [
      ...cell,
      metric.name,
      ...present.map((id) => spread(line[id]?.[metric.id] ?? [])),
      ...rivals.map((id) => ratio(metric, line.relaxed, line[id])),
    ]);
    if (fill === null) return metrics;
    const fills = present.map((id) => line[id]?.fill?.toFixed(1) ?? '');
    const { fill: ours } = line.relaxed ?? {};
    const times = (a?: number | null, b?: number | null) => (a && b ? `${(a / b).toFixed(2)}×` : '');
    const against = rivals.map((id) => times(ours, line[id]?.fill));
    return [...metrics, [...cell, 'whole prompt, tokens/s', ...fills, ...against]];
  });
  const head = [
    'threads',
    'requests',
    'context',
    '',
    ...present.map((id) => HEADS[id]),
    ...rivals.map((id) => `relaxed/${id === 'old' ? 'before' : id}`),
  ];
  return toMarkdown([head, ...rows]);
}

function spread(samples: number[]): string {
  if (samples.length === 0) return '';
  const round = (value: number) => value.toFixed(value < 100 ? 1 : 0);
  return `${round(median(samples))} (${round(Math.min(...samples))}–${round(Math.max(...samples))})`;
}

/** Both levels of the kernels must give the same bits; other builds may differ where two tokens are almost equally likely. */
function sameTexts(measured: Measured[]): string {
  const relaxed = measured.filter(({ contender }) => contender === 'relaxed');
  const agreement = (id: Contender['id']) => {
    let [same, all] = [0, 0];
    for (const cell of relaxed) {
      const other = measured.find(
        (other) =>
          other.contender === id &&
          (['model', 'threads', 'requests', 'context'] as const).every((key) => other[key] === cell[key]),
      );
      for (const [index, text] of (other?.texts ?? []).entries()) {
        all++;
        if (text === cell.texts[index]) same++;
      }
    }
    return { same, all };
  };
  const lines = CONTENDERS.filter((id) => id !== 'relaxed').flatMap((id) => {
    const { same, all } = agreement(id);
    if (all === 0) return [];
    const wrong = id === 'simd128' && same !== all ? ' (THEY MUST: the kernels differ)' : '';
    return [`- ${HEADS[id]}: ${same} of ${all}${wrong}`];
  });
  return `Texts equal to those of relaxed SIMD:\n\n${lines.join('\n')}`;
}

/** @param rows the first is the head */
export function toMarkdown(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return lines.join('\n');
}
