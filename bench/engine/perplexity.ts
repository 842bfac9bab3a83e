/**
 * Whether the kernels change what the model knows: the perplexity of a text, with wllama's binary and with ours.
 *
 * wllama gives no logprobs of a prompt, so the text is walked: for each word the engine is asked what comes after all the
 * words before, and the token that does come is looked up in its answer, the longest that every build lists.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { planned } from './contenders.ts';
import type { Continuations } from './protocol.ts';
import { describeMachine, thisMachine, toMarkdown } from './report.ts';
import { type Build, joinModel, type Site, writeEngine } from './site.ts';
import { TEXT } from './text.ts';

/** Words of context at most, about 510 tokens; then it begins anew. */
const WINDOW = 390;

/** How far a build's perplexity may be from wllama's. */
const BOUND = 0.002;

const BUILDS: { id: Build; name: string }[] = [
  { id: 'published', name: 'wllama' },
  { id: 'simd128', name: 'ours, SIMD128' },
  { id: 'relaxed', name: 'ours, relaxed SIMD' },
];

export async function perplexity(site: Site, browser: string, output: string): Promise<void> {
  const loadAverage = loadavg()[0] ?? 0;
  const start = Date.now();
  const model = await joinModel('smollm2-135m-instruct');
  for (const { id } of BUILDS) {
    await site.call('load', id, {
      wasm: site.url.slice(0, -1) + writeEngine(id),
      model: model.url,
      parameters: { ...planned('completion'), n_parallel: 1, n_ctx: 2048, n_threads: 2, n_gpu_layers: 0 },
    });
  }
  const found = new Map<Build, Continuations[]>(BUILDS.map(({ id }) => [id, []]));
  const windows = windowsOf(TEXT);
  for (const [index, { text, offsets }] of windows.entries()) {
    for (const { id } of BUILDS) {
      const from = Date.now();
      found.get(id)?.push(...(await site.call('continuations', id, text, offsets)));
      console.error(`Window ${index + 1} of ${windows.length}, ${id}: ${(Date.now() - from) / 1000} s`);
    }
  }

  const logprobs = chosenLogprobs(BUILDS.map(({ id }) => found.get(id) ?? []));
  const [reference = []] = logprobs;
  const results = BUILDS.map(({ id, name }, build) => ({ id, name, ...compare(logprobs[build] ?? [], reference) }));
  const positions = found.get('published')?.length ?? 0;
  const met = results.every(({ ratio }) => Math.abs(ratio - 1) <= BOUND);
  const table = toMarkdown([
    ['', 'perplexity', 'ratio to wllama', 'standard error', 'largest difference of a logprob'],
    ...results.map(({ name, perplexity, ratio, error, largest }) => [
      name,
      perplexity.toFixed(4),
      ratio.toFixed(5),
      error.toFixed(5),
      largest.toFixed(4),
    ]),
  ]);
  const machine = thisMachine(browser, null);
  const markdown = `# Perplexity, ${new Date().toISOString().slice(0, 10)}

${table}

SmolLM2-135M-Instruct (Q4_1), q8_0 KV cache, 2 threads; \`bench/engine/text.txt\`, ${positions} words, each after at most ${WINDOW} words.
At ${positions - reference.length} of them some build does not list the next token among the 1,000 likeliest: they are left out for all.
${describeMachine(machine)}; ${((Date.now() - start) / 60_000).toFixed(1)} minutes, load average before ${loadAverage.toFixed(2)}.
Bound: ${BOUND * 100} %. ${met ? 'Met.' : 'NOT MET.'}
`;
  const file = join(root, output);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify({ machine, loadAverage, positions, results, logprobs })}\n`);
  console.log(`\n${markdown}`);
}

/** The text in windows, and where in each a word ends. */
function windowsOf(text: string): { text: string; offsets: number[] }[] {
  const ends = [...text.matchAll(/\S(?=\s)/g)].map(({ index }) => index + 1);
  const windows = [];
  for (let first = 0; first < ends.length; first += WINDOW) {
    const from = first === 0 ? 0 : (ends[first - 1] ?? 0);
    const inside = ends.slice(first, first + WINDOW);
    // What a build may list as the last word's continuation lies beyond the window.
    windows.push({ text: text.slice(from, (inside.at(-1) ?? 0) + 40), offsets: inside.map((end) => end - from) });
  }
  return windows;
}

/** For each build, the logprob of the longest token that all of them list; positions without one are left out. */
function chosenLogprobs(builds: Continuations[][]): number[][] {
  const [first = []] = builds;
  const chosen: number[][] = builds.map(() => []);
  for (const [position, continuations] of first.entries()) {
    const token = Object.keys(continuations)
      .filter((token) => builds.every((build) => token in (build[position] ?? {})))
      .reduce((longest, token) => (token.length > longest.length ? token : longest), '');
    if (!token) continue;
    for (const [build, logprobs] of chosen.entries()) logprobs.push(builds[build]?.[position]?.[token] ?? 0);
  }
  return chosen;
}

/** Perplexity, and its ratio to a reference on the same tokens, with the ratio's standard error. */
function compare(logprobs: number[], reference: number[]) {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const differences = logprobs.map((logprob, index) => (reference[index] ?? 0) - logprob);
  const ratio = Math.exp(mean(differences));
  const variance = mean(differences.map((difference) => difference ** 2)) - mean(differences) ** 2;
  return {
    perplexity: Math.exp(-mean(logprobs)),
    ratio,
    error: ratio * Math.sqrt(variance / differences.length),
    largest: Math.max(...differences.map(Math.abs)),
  };
}
