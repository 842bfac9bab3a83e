/** How fast each engine runs the embedded model, for the support table: nothing here is a limit. */
import { expect, test } from '../support/everywhere.ts';
import { fetchIn, serveIn } from '../support/fixtures.ts';
import { note } from './support-notes.ts';

test.use({ siteOptions: { models: 'embedded' } });
test.slow();

/** A few hundred tokens to read, and a few dozen to write. */
const question = {
  prompt: 'The capital of France is Paris. The capital of Italy is Rome. '.repeat(12),
  max_tokens: 32,
  temperature: 0,
  ignore_eos: true,
  cache_prompt: false,
};

test('the embedded model answers, at a speed', async ({ tab, site }) => {
  await serveIn(tab, site, { engine: { measure: false } });
  await tab.evaluate(() => server.models.load());
  const rates: Record<'prompt_per_second' | 'predicted_per_second', number>[] = [];
  for (let run = 0; run < 3; run++) {
    const { status, json } = await fetchIn(tab, '/completion', question);
    expect(status, JSON.stringify(json.error)).toBe(200);
    rates.push(json.timings);
  }
  const best = (key: keyof (typeof rates)[number]) => Math.max(...rates.map((timings) => timings[key]));
  const runtime = await tab.evaluate(() => server.status.models.find((model) => model.default)?.runtime);
  expect(runtime).toBeDefined();
  note({
    speed: { prompt: best('prompt_per_second'), predicted: best('predicted_per_second') },
    ...(runtime ? { runtime: { threads: runtime.threads, variant: runtime.variant, compat: runtime.compat } } : {}),
  });
});
