/**
 * Right numbers on a GPU: Firefox on Mesa's software Vulkan, which has `shader-f16`. The same models on the CPU, on the GPU as
 * wllama is published, and with our glue, which gives the GPU fewer dispatches.
 */
import { existsSync, readFileSync } from 'node:fs';
import { wllamaModules } from '../src/gpu/build.ts';
import { LAVAPIPE } from './support/engines/install.mjs';
import { FIREFOX, inFirefox, NO_FIREFOX } from './support/firefox.ts';
import { expect, test } from './support/fixtures.ts';
import { inWllamaWorker } from './support/gpu.ts';
import { path, runtimeFile } from './support/paths.ts';
import {
  ARCHITECTURES,
  QUANTIZATIONS,
  type TinyArchitectureOptions,
  tinyArchitecture,
} from './tiny-model/tiny-architectures.ts';

test.skip(FIREFOX === undefined, NO_FIREFOX);
test.skip(
  !existsSync(LAVAPIPE),
  'Mesa’s software Vulkan is not here (mesa-vulkan-drivers): LAVAPIPE_PATH names its ICD file.',
);

interface Run {
  /** `offloaded 3/3 layers to GPU`. */
  offloaded: string | undefined;
  answers: {
    text: string;
    logprobs: { token: string; logprob: number; top: { token: string; logprob: number }[] }[];
  }[];
}
type Runs = Record<'cpu' | 'published' | 'ours', Run>;

const PROMPTS = ['Once upon a time', 'x'.repeat(70), 'The quick brown fox jumps over the lazy dog. '.repeat(8)];
const TOKENS = 8;

const MODELS: Record<string, TinyArchitectureOptions> = Object.fromEntries([
  ...ARCHITECTURES.map((architecture) => [`${architecture} F16`, { architecture, quantization: 'F16' }]),
  ...(['F32', ...Object.keys(QUANTIZATIONS)] as const).map((quantization) => [
    `llama ${quantization}`,
    { quantization },
  ]),
]);

for (const [name, options] of Object.entries(MODELS)) {
  test(`${name}: the same text and logits with our glue and without, and the CPU's within a bound`, async ({
    site,
  }) => {
    const modules = await wllamaModules();
    site.put('/test/published.js', modules.off);
    site.put('/test/ours.js', modules.on);
    site.put('/test/model.gguf', tinyArchitecture(options));
    const seen = await inFirefox<{ f16: boolean; runs: Runs }>(site, visit(), {
      preferences: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
      environment: { VK_ICD_FILENAMES: LAVAPIPE },
    });
    expect(seen.f16).toBe(true);
    const { cpu, published, ours } = seen.runs;
    expect(cpu.offloaded).toBeUndefined();
    expect(published.offloaded).toMatch(/offloaded 3\/3 layers/);
    expect(ours.offloaded).toBe(published.offloaded);
    expect(ours.answers).toEqual(published.answers);
    for (const [index, answer] of ours.answers.entries())
      compareWithCpu(answer, cpu.answers[index] as Run['answers'][0]);
  });
}

/**
 * Of a log probability, where logits have a spread of 2. The CPU rounds activations to 8 bits, the GPU keeps floats and sums in
 * another order: so a tie may go the other way.
 */
const BOUND = 0.15;

function compareWithCpu(gpu: Run['answers'][0], cpu: Run['answers'][0]): void {
  expect(gpu.logprobs).toHaveLength(TOKENS);
  for (const [index, expected] of cpu.logprobs.entries()) {
    const actual = gpu.logprobs[index] as Run['answers'][0]['logprobs'][0];
    const same = expected.top.find(({ token }) => token === actual.token);
    expect(Math.abs((same?.logprob ?? Number.NEGATIVE_INFINITY) - actual.logprob), `token ${index}`).toBeLessThan(
      BOUND,
    );
    if (actual.token === expected.token) continue;
    expect(expected.logprob - (same?.logprob ?? 0), `token ${index} is none that the CPU could have said`).toBeLessThan(
      BOUND,
    );
    return;
  }
}

/** The page's module. */
function visit(): string {
  return `
    ${inWllamaWorker(readFileSync(path('dist/test/poll-gpu.js'), 'utf8'))};
    const model = await (await fetch('/test/model.gguf')).blob();
    async function run(module, layers) {
      const { Wllama } = await import('/test/' + module + '.js');
      const lines = [];
      const keep = (line) => lines.push(String(line));
      const wllama = new Wllama({ default: location.origin + '${runtimeFile('wllama.wasm')}' }, { logger: { debug: keep, log: keep, warn: keep, error: keep } });
      try {
        await wllama.loadModel([model], { n_ctx: 1024, n_parallel: 1, n_threads: 1, n_gpu_layers: layers, flash_attn: true });
        const answers = [];
        for (const prompt of ${JSON.stringify(PROMPTS)}) {
          const { choices: [{ text, logprobs }] } = await wllama.createCompletion({ prompt, max_tokens: ${TOKENS}, temperature: 0, ignore_eos: true, cache_prompt: false, stream: false, logprobs: 5 });
          answers.push({ text, logprobs: logprobs.content.map(({ token, logprob, top_logprobs }) => ({ token, logprob, top: top_logprobs.map(({ token, logprob }) => ({ token, logprob })) })) });
        }
        return { offloaded: lines.find((line) => /offloaded [1-9]/.test(line)), answers };
      } catch (error) {
        throw new Error(module + ': ' + error + ' ' + lines.slice(-10).join(' | '));
      } finally {
        await wllama.exit();
      }
    }
    const adapter = await navigator.gpu.requestAdapter();
    export default {
      f16: adapter?.features.has('shader-f16') ?? false,
      runs: { cpu: await run('published', 0), published: await run('published', 99), ours: await run('ours', 99) },
    };`;
}
