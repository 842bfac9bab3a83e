/**
 * The measurement: which page is opened when, and what is taken of it.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { startSite } from './site.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('./pages/completion.ts').Completion} Completion */
/** @typedef {import('./pages/raw-worker.ts').Setup} Setup */
/** @typedef {'decode' | 'firstToken' | 'decode4' | 'firstToken4' | 'coldStart' | 'warmStart'} Metric */
/** @typedef {Record<Metric, number[]>} Samples */

/**
 * @typedef {object} Result
 * @property {string} date
 * @property {{ cpu: string, cores: number, os: string, node: string, chromium: string }} machine
 * @property {number[]} loadAverage over a minute, before and after: was the machine quiet?
 * @property {number} runs
 * @property {number} tokens of each completion
 * @property {Setup} setup how raw wllama was loaded: as llamatab loads it
 * @property {boolean} sameText whether both gave the same text to each prompt
 * @property {{ raw: Samples, llamatab: Samples }} samples
 */

/** Lone requests in each run: they are short, and first tokens vary by milliseconds. */
const LONE_REQUESTS = 3;

const ARGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-sync'];

// As many tokens each, more or less: the four are computed together.
const PROMPTS = [
  'I have flour, eggs, milk, butter and two ripe bananas. Suggest something to cook for breakfast, and tell me how, step by step, with the time each step takes.',
  'Explain to a curious child why the sky is blue in the daytime and red in the evening. Use simple words, and one comparison with something found in a kitchen.',
  'Write a short letter to a neighbour whose dog barks at night. Be friendly, propose two things that both of you could do about it, and invite them for coffee.',
  'Plan a day in a small town by the sea for two friends who like old books, long walks and fish. Say where they are in the morning, at noon and in the evening.',
];

/**
 * Runs raw wllama and llamatab in turn, each in a browser of its own with a fresh profile.
 * @param {{ runs: number, tokens: number, executablePath: string | undefined }} options
 * @returns {Promise<Result>}
 */
export async function measure({ runs, tokens, executablePath }) {
  const site = await startSite();
  const profiles = mkdtempSync(join(tmpdir(), 'llamatab-bench-'));
  const loadBefore = loadavg()[0] ?? 0;

  /**
   * Opens a page in a browser with this profile, waits for its first token, and closes the browser in the end.
   * @template T
   * @param {string} profile
   * @param {string} path
   * @param {(page: import('@playwright/test').Page, firstToken: number) => T} use
   */
  async function visit(profile, path, use) {
    const context = await chromium.launchPersistentContext(join(profiles, profile), {
      ...(executablePath ? { executablePath } : {}),
      args: ARGS,
    });
    try {
      const page = await context.newPage();
      await page.goto(site.url + path);
      return await use(page, await page.evaluate(() => bench.started));
    } finally {
      await context.close();
    }
  }

  /**
   * One run: a first visit, then a second one with the weights in the browser's store.
   * @param {string} path
   * @param {Samples} samples
   * @returns {Promise<string[]>} the text that each prompt gave
   */
  async function run(path, samples) {
    samples.coldStart.push(await visit('run', path, (_, firstToken) => firstToken));
    const texts = await visit('run', path, async (page, firstToken) => {
      samples.warmStart.push(firstToken);
      /** @param {string[]} prompts */
      const complete = (prompts) =>
        page.evaluate(([prompts, tokens]) => bench.complete(prompts, tokens), /** @type {const} */ ([prompts, tokens]));
      for (let i = 0; i < LONE_REQUESTS; i++) {
        const [lone] = /** @type {[Completion]} */ (await complete(PROMPTS.slice(0, 1)));
        samples.decode.push(perSecond(tokens - 1, lone.last - lone.first));
        samples.firstToken.push(lone.first - lone.start);
      }
      const four = await complete(PROMPTS);
      const begin = Math.min(...four.map(({ start }) => start));
      const end = Math.max(...four.map(({ last }) => last));
      samples.decode4.push(perSecond(tokens * four.length, end - begin));
      samples.firstToken4.push(median(four.map(({ start, first }) => first - start)));
      return four.map(({ text }) => text);
    });
    rmSync(join(profiles, 'run'), { recursive: true });
    return texts;
  }

  try {
    console.error('Asking llamatab how it runs the model here…');
    const { plan, version } = await visit('plan', 'llamatab.html', async (page) => ({
      plan: await page.evaluate(async () => (await (await fetch('/v1/props?model=local')).json()).engine),
      version: page.context().browser()?.version() ?? 'unknown',
    }));
    /** @type {Setup} */
    const setup = { model: site.model, wasm: plan.wasm, parameters: loadParameters(plan) };
    const rawPage = `raw.html?setup=${encodeURIComponent(JSON.stringify(setup))}`;

    const samples = { raw: noSamples(), llamatab: noSamples() };
    let sameText = true;
    for (let i = 1; i <= runs; i++) {
      const expected = await run(rawPage, samples.raw);
      console.error(`Run ${i} of ${runs}: raw wllama  ${lastOf(samples.raw)}`);
      const texts = await run('llamatab.html', samples.llamatab);
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
        chromium: version,
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
    rmSync(profiles, { recursive: true });
  }
}

/**
 * What src/engine/wllama-engine.ts makes of its plan.
 * @param {import('../src/engine/engine.ts').DevicePlan} plan
 * @returns {Setup['parameters']}
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
