/**
 * Whether the kernels change what the model knows: the perplexity of a text, with wllama's binary and with ours.
 *
 * wllama gives no logprobs of a prompt, but of what it generates, from before any sampling. So the model is made to write the
 * text, with a grammar that allows nothing else: the likeliest of the tokens that fit.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { planned } from './contenders.ts';
import type { ScoredToken } from './protocol.ts';
import { describeMachine, thisMachine, toMarkdown } from './report.ts';
import { type Build, joinModel, type Site, writeEngine } from './site.ts';
import { TEXT } from './text.ts';

/** Words that are written in one go, some 470 tokens; then the context begins anew. */
const WINDOW = 390;

/** Words of each window that are given, not scored. */
const GIVEN = 4;

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
      parameters: { ...planned('completion'), n_parallel: 1, n_ctx: 1024, n_threads: 1, n_gpu_layers: 0 },
    });
  }
  const found = new Map<Build, ScoredToken[]>(BUILDS.map(({ id }) => [id, []]));
  const windows = windowsOf(TEXT);
  for (const [index, [prompt, text]] of windows.entries()) {
    const tokens = withoutEnd(await site.call('write', 'relaxed', prompt, text), text).map(({ id }) => id);
    for (const { id } of BUILDS) {
      const from = Date.now();
      found.get(id)?.push(...(await site.call('score', id, prompt, tokens)));
      console.error(`Window ${index + 1} of ${windows.length}, ${id}: ${(Date.now() - from) / 1000} s`);
    }
  }

  const reference = found.get('published') ?? [];
  const results = BUILDS.map(({ id, name }) => ({ id, name, ...compare(found.get(id) ?? [], reference) }));
  const met = results.every(({ ratio }) => Math.abs(ratio - 1) <= BOUND);
  const table = toMarkdown([
    ['', 'perplexity', 'ratio to wllama', 'standard error', 'largest difference of a logprob', 'same tokens'],
    ...results.map(({ name, perplexity, ratio, error, largest, same }) => [
      name,
      perplexity.toFixed(4),
      ratio.toFixed(5),
      error.toFixed(5),
      largest.toFixed(4),
      `${same} of ${reference.length}`,
    ]),
  ]);
  const machine = thisMachine(browser, null);
  const markdown = `# Perplexity, ${new Date().toISOString().slice(0, 10)}

${table}

SmolLM2-135M-Instruct (Q4_1), q8_0 KV cache; \`bench/engine/text.txt\`, ${reference.length} tokens in windows of ${WINDOW} words.
${describeMachine(machine)}; ${((Date.now() - start) / 60_000).toFixed(1)} minutes, load average before ${loadAverage.toFixed(2)}.
Bound: ${BOUND * 100} %. ${met ? 'Met.' : 'NOT MET.'}
`;
  const file = join(root, output);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(
    `${file}.json`,
    `${JSON.stringify({ machine, loadAverage, results, tokens: Object.fromEntries(found) })}\n`,
  );
  console.log(`\n${markdown}`);
}

/** The text in windows: what is given, and what is to be written. */
function windowsOf(text: string): [given: string, written: string][] {
  const ends = [...text.matchAll(/\S(?=\s|$)/g)].map(({ index }) => index + 1);
  const windows: [string, string][] = [];
  for (let first = 0; first + GIVEN < ends.length; first += WINDOW) {
    const from = first === 0 ? 0 : (ends[first - 1] ?? 0) + 1;
    const given = ends[first + GIVEN - 1] ?? 0;
    windows.push([text.slice(from, given), text.slice(given, ends[Math.min(first + WINDOW, ends.length) - 1])]);
  }
  return windows;
}

/** Without the token that ends an answer. */
function withoutEnd(tokens: ScoredToken[], text: string): ScoredToken[] {
  let written = 0;
  const last = tokens.findIndex(({ token }) => {
    written += token.length;
    return written >= text.length;
  });
  return tokens.slice(0, last + 1);
}

/**
 * Perplexity by the reference's number of tokens: near a tie a build may write a word in other pieces. The ratio's standard
 * error and the largest difference are of the tokens at the same place.
 */
function compare(tokens: ScoredToken[], reference: ScoredToken[]) {
  const count = reference.length;
  const total = (scored: ScoredToken[]) => scored.reduce((sum, { logprob }) => sum + logprob, 0);
  const ends = new Map(withEnds(reference));
  const differences = withEnds(tokens).flatMap(([end, { token, logprob }]) => {
    const other = ends.get(end);
    return other?.token === token ? [other.logprob - logprob] : [];
  });
  const ratio = Math.exp((total(reference) - total(tokens)) / count);
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / differences.length;
  return {
    perplexity: Math.exp(-total(tokens) / count),
    ratio,
    error: ratio * Math.sqrt(variance / differences.length),
    largest: Math.max(...differences.map(Math.abs)),
    same: differences.length,
  };
}

/** Tokens with the number of characters up to their ends. */
function withEnds(tokens: ScoredToken[]): [end: number, token: ScoredToken][] {
  let end = 0;
  return tokens.map((token) => {
    end += token.token.length;
    return [end, token];
  });
}
