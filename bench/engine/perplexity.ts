/**
 * Checks that the kernels don't change the model: the perplexity of a text, with wllama's binary and with ours.
 *
 * wllama gives no logprobs for a prompt, only for what it generates, from before any sampling. So the model is made to write the
 * text, with a grammar that allows exactly its tokens: if it were free to choose among the tokens that spell the text, two builds
 * would soon write different sequences, whose perplexities can't be compared.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { readTokenizer } from '../../src/tokenizer/make-tokenizer.ts';
import { planned } from './contenders.ts';
import type { ScoredToken } from './protocol.ts';
import { describeMachine, thisMachine, toMarkdown, writeResult } from './report.ts';
import { type Build, joinModel, type Site, writeEngine } from './site.ts';
import { TEXT } from './text.ts';

/** Tokens that are written before a new context begins. */
const WINDOW = 400;

/** Tokens of each window that are given, not scored. */
const GIVEN = 8;

/** Of the text. */
const WINDOWS = 6;

/** The largest deviation from wllama's perplexity that is allowed. */
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
      script: null,
      wasm: site.url.slice(0, -1) + writeEngine(id),
      model: model.url,
      parameters: { ...planned('completion'), n_parallel: 1, n_ctx: 1024, n_threads: 1, n_gpu_layers: 0 },
    });
  }
  const found = new Map<Build, ScoredToken[]>(BUILDS.map(({ id }) => [id, []]));
  const tokenizer = await readTokenizer(await openAsBlob(model.path), 'smollm2-135m-instruct');
  const tokens = tokenizer.encode(TEXT);
  for (let index = 0; index < WINDOWS; index++) {
    const window = tokens.slice(index * WINDOW, (index + 1) * WINDOW);
    const prompt = tokenizer.decode(window.slice(0, GIVEN));
    for (const { id } of BUILDS) {
      const from = Date.now();
      found.get(id)?.push(...(await site.call('score', id, prompt, window.slice(GIVEN))));
      console.error(`Window ${index + 1} of ${WINDOWS}, ${id}: ${(Date.now() - from) / 1000} s`);
    }
  }

  const reference = found.get('published') ?? [];
  const results = BUILDS.map(({ id, name }) => ({ id, name, ...compare(found.get(id) ?? [], reference) }));
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

SmolLM2-135M-Instruct (Q4_1), q8_0 KV cache; \`bench/engine/text.txt\`, ${reference.length} tokens in windows of ${WINDOW}, of which the first ${GIVEN} are given.
${describeMachine(machine)}; ${((Date.now() - start) / 60_000).toFixed(1)} minutes, load average before ${loadAverage.toFixed(2)}.
Bound: ${BOUND * 100} %. ${met ? 'Met.' : 'NOT MET.'}
`;
  writeResult(output, markdown, JSON.stringify({ machine, loadAverage, results, tokens: Object.fromEntries(found) }));
  console.log(`\n${markdown}`);
}

/** Both have scored the same tokens, so the ratio's standard error is that of the mean difference of their logprobs. */
function compare(tokens: ScoredToken[], reference: ScoredToken[]) {
  const count = reference.length;
  const differences = tokens.map(({ logprob }, index) => (reference[index]?.logprob ?? 0) - logprob);
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
  const ratio = Math.exp(mean);
  return {
    perplexity: Math.exp(-tokens.reduce((sum, { logprob }) => sum + logprob, 0) / count),
    ratio,
    error: ratio * Math.sqrt(variance / count),
    largest: Math.max(...differences.map(Math.abs)),
  };
}
