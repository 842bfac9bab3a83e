/** What ggml's WebGPU backend asks of the browser, on a GPU that computes nothing: calls, not speed. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, serveIn, test } from './support/fixtures.ts';
import { fakeGpu, gpuCalls, inEngineWorkers } from './support/gpu.ts';

/** Calls for one more token: the difference of two answers to the same prompt. */
async function callsForToken(page: Page, model: string): Promise<Record<string, number>> {
  const calls = async (tokens: number) => {
    const before = await gpuCalls(page);
    const body = { model, prompt: 'Once upon a time', max_tokens: tokens, ignore_eos: true, cache_prompt: false };
    const { status, json, text } = await fetchIn(page, '/v1/completions', body);
    expect(status, text).toBe(200);
    expect(json.usage.completion_tokens).toBe(tokens);
    const after = await gpuCalls(page);
    return Object.fromEntries(Object.keys(after).map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
  };
  // The first answer's tokens are the first ever; the next ones' have been seen.
  await calls(8);
  const [few, many] = [await calls(8), await calls(24)];
  return Object.fromEntries(Object.keys(many).map((name) => [name, ((many[name] ?? 0) - (few[name] ?? 0)) / 16]));
}

for (const models of ['tiny', 'embedded'] as const) {
  test.describe(models, () => {
    test.use({ siteOptions: { models } });
    test('a decoded token costs few calls beside its dispatches', async ({ page, site }) => {
      inEngineWorkers(site, fakeGpu());
      await serveIn(page, site, { engine: { measure: false } });
      await page.evaluate(() => server.models.load());
      const { json } = await fetchIn(page, '/v1/props?model=local');
      const token = await callsForToken(page, 'local');
      test.info().annotations.push({ type: 'calls for a token', description: JSON.stringify(token) });
      // Every layer is on the GPU, or the numbers say nothing.
      const layers = json.engine.gpu ?? json.gpu;
      expect(layers, JSON.stringify(json.engine)).not.toBeNull();
      expect(token.dispatchWorkgroups).toBeGreaterThan(20);
      expect(token.createBindGroup ?? 0).toBeLessThanOrEqual(5);
      expect(token.writeBuffer).toBeLessThanOrEqual(20);
      expect((token.onSubmittedWorkDone ?? 0) + (token.mapAsync ?? 0)).toBeLessThanOrEqual(2);
    });
  });
}
