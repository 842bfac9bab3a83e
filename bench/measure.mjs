/**
 * The measurement: which page is opened when, and which of its times count.
 * @module
 */
import { cpus, loadavg } from 'node:os';
import { createBrowser, createProfile, removeProfile } from './browser.mjs';
import { startSite } from './site.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('./pages/completion.ts').Completion} Completion */
/** @typedef {import('./pages/contender.ts').Task} Task */
/** @typedef {import('./pages/raw-worker.ts').RawSetup} RawSetup */
/** @typedef {import('../src/engine/engine.ts').DevicePlan} DevicePlan */
/** @typedef {'decode' | 'firstToken' | 'decode4' | 'firstToken4' | 'coldStart' | 'warmStart'} Metric */
/** @typedef {Record<Metric, number[]>} Samples */

/**
 * @typedef {object} Result
 * @property {string} date
 * @property {{ cpu: string, cores: number, os: string, node: string, browser: string }} machine
 * @property {number[]} loadAverage of the last minute, before and after: was the machine quiet?
 * @property {number} runs
 * @property {number} tokens of each completion
 * @property {RawSetup} setup how raw wllama was loaded: as llamatab loads it
 * @property {boolean} sameText whether both gave the same text to each prompt
 * @property {{ raw: Samples, llamatab: Samples }} samples
 */

/** Single requests in each run. They are short, and the time to the first token varies by milliseconds. */
const LONE_REQUESTS = 3;

// Of about as many tokens each, because the four are computed together.
const PROMPTS = [
  'I have flour, eggs, milk, butter and two ripe bananas. Suggest something to cook for breakfast, and tell me how, step by step, with the time each step takes.',
  'Explain to a curious child why the sky is blue in the daytime and red in the evening. Use simple words, and one comparison with something found in a kitchen.',
  'Write a short letter to a neighbour whose dog barks at night. Be friendly, propose two things that both of you could do about it, and invite them for coffee.',
  'Plan a day in a small town by the sea for two friends who like old books, long walks and fish. Say where they are in the morning, at noon and in the evening.',
];
const LONE_PROMPTS = PROMPTS.slice(0, 1);

/**
 * Runs raw wllama and llamatab in turn, each in a browser of its own with a fresh profile.
 * @param {{ runs: number, tokens: number, chromium: string | null }} options
 * @returns {Promise<Result>}
 */
export async function measure({ runs, tokens, chromium }) {
  const browser = createBrowser(chromium);
  const site = await startSite();
  const loadBefore = loadavg()[0] ?? 0;

  /**
   * @param {string} profile
   * @param {string} page
   * @param {Task & Partial<RawSetup>} setup
   */
  const visit = (profile, page, setup) => {
    const query = new URLSearchParams({ setup: JSON.stringify(setup) });
    return browser.visit(profile, `${site.url}${page}?${query}`, site.nextReport());
  };

  /**
   * Does `work` with a profile of its own, so that it never meets what is left of one that could not be removed.
   * @template T
   * @param {(profile: string) => Promise<T>} work
   */
  async function withProfile(work) {
    const profile = createProfile();
    try {
      return await work(profile);
    } finally {
      await removeProfile(profile);
    }
  }

  /**
   * One run: a first visit, then a second one, with the weights already in the browser's store.
   * @param {string} page
   * @param {Partial<RawSetup>} setup
   * @param {Samples} samples
   * @returns {Promise<string[]>} the text that each prompt gave
   */
  async function run(page, setup, samples) {
    const lones = Array(LONE_REQUESTS).fill(LONE_PROMPTS);
    const [cold, warm] = await withProfile(async (profile) => [
      await visit(profile, page, { ...setup, batches: [], tokens }),
      await visit(profile, page, { ...setup, batches: [...lones, PROMPTS], tokens }),
    ]);
    const four = /** @type {Completion[]} */ (warm.batches.pop());

    samples.coldStart.push(cold.firstToken);
    samples.warmStart.push(warm.firstToken);
    for (const { start, first, last } of warm.batches.flat()) {
      samples.decode.push(perSecond(tokens - 1, last - first));
      samples.firstToken.push(first - start);
    }
    const wall = Math.max(...four.map(({ last }) => last)) - Math.min(...four.map(({ start }) => start));
    samples.decode4.push(perSecond(tokens * four.length, wall));
    samples.firstToken4.push(median(four.map(({ start, first }) => first - start)));
    return four.map(({ text }) => text);
  }

  try {
    console.error('Asking llamatab how it runs the model here…');
    const { info } = await withProfile((profile) => visit(profile, 'llamatab.html', { batches: [], tokens }));
    const plan = /** @type {DevicePlan} */ (info);
    const setup = { model: site.model, wasm: plan.wasm, parameters: loadParameters(plan) };

    const samples = { raw: noSamples(), llamatab: noSamples() };
    let sameText = true;
    for (let i = 1; i <= runs; i++) {
      const expected = await run('raw.html', setup, samples.raw);
      console.error(`Run ${i} of ${runs}: raw wllama  ${lastOf(samples.raw)}`);
      const texts = await run('llamatab.html', {}, samples.llamatab);
      console.error(`Run ${i} of ${runs}: llamatab    ${lastOf(samples.llamatab)}`);
      sameText &&= texts.every((text, index) => text === expected[index]);
    }
    return {
      date: new Date().toISOString(),
      machine: {
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: cpus().length,
        os: `${process.platform} ${process.arch}`,
        node: process.versions.node,
        browser: browser.version,
      },
      loadAverage: [loadBefore, loadavg()[0] ?? 0],
      runs,
      tokens,
      setup,
      sameText,
      samples,
    };
  } finally {
    await site.close();
  }
}

/**
 * A plan as src/engine/wllama-engine.ts passes it to wllama.
 * @param {DevicePlan} plan
 * @returns {RawSetup['parameters']}
 */
const loadParameters = (plan) => ({
  n_ctx: plan.contextSize * plan.slots,
  n_parallel: plan.slots,
  kv_unified: false,
  n_batch: plan.batchSize,
  n_ubatch: plan.microBatchSize,
  n_threads: plan.threads,
  n_gpu_layers: plan.gpuLayers,
  cache_type_k: plan.kvCacheType,
  cache_type_v: plan.kvCacheType,
  flash_attn: plan.flashAttention,
});

/** @returns {Samples} */
const noSamples = () => ({
  decode: [],
  firstToken: [],
  decode4: [],
  firstToken4: [],
  coldStart: [],
  warmStart: [],
});

/** @param {Samples} samples */
const lastOf = (samples) =>
  Object.entries(samples)
    .map(([metric, values]) => `${metric} ${values.at(-1)?.toFixed(1)}`)
    .join(', ');

/**
 * @param {number} tokens
 * @param {number} milliseconds
 */
const perSecond = (tokens, milliseconds) => (tokens * 1000) / milliseconds;
