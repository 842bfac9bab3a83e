/** What ggml's WebGPU backend asks of the browser, on a GPU that computes nothing: calls, not speed. */
import { chromium, type Page } from '@playwright/test';
import { chat, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';
import { fakeGpu, gpuCalls, inEngineWorkers } from './support/gpu.ts';

/** Calls for one more token: the difference of two answers to the same prompt. */
async function callsForToken(page: Page, model: string): Promise<Record<string, number>> {
  const calls = async (tokens: number) => {
    const { calls: before } = await gpuCalls(page);
    const body = { model, prompt: 'Once upon a time', max_tokens: tokens, ignore_eos: true, cache_prompt: false };
    const { status, json, text } = await fetchIn(page, '/v1/completions', body);
    expect(status, text).toBe(200);
    expect(json.usage.completion_tokens).toBe(tokens);
    const { calls: after } = await gpuCalls(page);
    return Object.fromEntries(Object.keys(after).map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
  };
  // The first answer's tokens are the first ever; the next ones' have been seen.
  await calls(8);
  const [few, many] = [await calls(8), await calls(24)];
  return Object.fromEntries(Object.keys(many).map((name) => [name, ((many[name] ?? 0) - (few[name] ?? 0)) / 16]));
}

/** Whatever the plan would be. */
const ALL = 99_999;

async function layersOnGpu(page: Page): Promise<number> {
  const { json } = await fetchIn(page, '/v1/props?model=local');
  return json.engine.gpu?.layers ?? 0;
}

for (const models of ['tiny', 'embedded'] as const) {
  test.describe(models, () => {
    test.use({ siteOptions: { models } });
    test('a decoded token costs few calls beside its dispatches', async ({ page, site }) => {
      inEngineWorkers(site, fakeGpu());
      await serveIn(page, site, { engine: { measure: false, selfTest: false, gpuLayers: ALL } });
      await page.evaluate(() => server.models.load());
      // Every layer is on the GPU, or the numbers say nothing.
      expect(await layersOnGpu(page)).toBe(models === 'tiny' ? 3 : 31);
      const token = await callsForToken(page, 'local');
      test.info().annotations.push({ type: 'calls for a token', description: JSON.stringify(token) });
      // 20 and 574 of ggml's own, less those that are fused.
      expect(token.dispatchWorkgroups).toBeGreaterThan(20);
      expect(token.dispatchWorkgroups).toBeLessThanOrEqual(models === 'tiny' ? 50 : 430);
      expect(token.createBindGroup ?? 0).toBeLessThanOrEqual(5);
      expect(token.writeBuffer).toBeLessThanOrEqual(20);
      expect((token.onSubmittedWorkDone ?? 0) + (token.mapAsync ?? 0)).toBeLessThanOrEqual(2);
    });
  });
}

test('wllama’s worker asks for a high-performance adapter, and again after the browser said that it has none', async ({
  page,
  site,
}) => {
  const starting = `{
    const ask = navigator.gpu.requestAdapter.bind(navigator.gpu);
    let answers = 0;
    navigator.gpu.requestAdapter = async (options) => {
      const adapter = await ask(options);
      return ++answers > 2 ? adapter : null;
    };
  }`;
  inEngineWorkers(site, `${fakeGpu()};${starting}`);
  await serveIn(page, site, { engine: { measure: false, selfTest: false, gpuLayers: ALL } });
  await page.evaluate(() => server.models.load());
  expect(await layersOnGpu(page)).toBe(3);
  const { asked } = await gpuCalls(page);
  const [first, any, again, ...later] = asked.map(({ powerPreference }) => powerPreference);
  expect([first, any, again]).toEqual(['high-performance', undefined, 'high-performance']);
  // ggml asks for the same one more than once.
  expect(new Set(later)).toEqual(new Set(['high-performance']));
});

test('a plan without a GPU asks for none: an adapter that gives no device is no hindrance', async ({ page, site }) => {
  const broken = `Object.defineProperty(Object.getPrototypeOf(navigator), 'gpu', {
    configurable: true,
    get: () => ({
      wgslLanguageFeatures: new Set(),
      requestAdapter: async () => ({
        features: new Set(['shader-f16']),
        limits: {},
        info: { vendor: '', architecture: '', device: '', description: '' },
        requestDevice: () => Promise.reject(new Error('no device')),
      }),
    }),
  })`;
  inEngineWorkers(site, broken);
  await serveIn(page, site, { engine: { measure: false, gpuLayers: 0 } });
  expect(await chat(page, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
  expect(await layersOnGpu(page)).toBe(0);
});

test('Chromium’s compiler takes the shaders that are put together', async ({ page, site }) => {
  inEngineWorkers(site, fakeGpu());
  await serveIn(page, site, { engine: { measure: false, selfTest: false, gpuLayers: ALL } });
  await page.evaluate(() => server.models.load());
  await callsForToken(page, 'local');
  const { pipelines } = await gpuCalls(page);
  const fused = pipelines.filter(({ label }) => label.includes(' + '));
  const kinds = fused.map(({ label }) => label.replaceAll(/_\S+/g, ''));
  expect(kinds).toEqual(expect.arrayContaining(['mul + mul', 'ADD + RMS', 'rope + set + set']));

  // Its software GPU has no `shader-f16`, which changes types and nothing else.
  const { launchOptions = {} } = test.info().project.use;
  const args = [...(launchOptions.args ?? []), '--enable-unsafe-webgpu', '--ignore-gpu-blocklist'];
  const browser = await chromium.launch({ ...launchOptions, args });
  try {
    const compiling = await browser.newPage();
    await compiling.goto(site.url);
    const faults = await compiling.evaluate(
      async (shaders) => {
        const adapter = await navigator.gpu.requestAdapter();
        const device = await adapter?.requestDevice({ requiredFeatures: ['subgroups'] });
        if (!device) throw new Error('no device');
        const compile = async ({ label, code }: { label: string; code: string }) => {
          const module = device.createShaderModule({ code });
          const { messages } = await module.getCompilationInfo();
          return messages.filter(({ type }) => type === 'error').map(({ message }) => `${label}: ${message}`);
        };
        return (await Promise.all(shaders.map(compile))).flat();
      },
      fused.map(({ label, code }) => ({ label, code: code.replace('enable f16 ;', '').replaceAll(/\bf16\b/g, 'f32') })),
    );
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
  }
});
