/** The engines compute the same: the kernels bit by bit, the model's texts word by word. */
import { readFileSync } from 'node:fs';
import { kernelResults } from '../bundles/kernels.ts';
import type { Tab } from '../support/engines/tab.ts';
import { expect, test } from '../support/everywhere.ts';
import { fetchIn, serveIn } from '../support/fixtures.ts';
import { path } from '../support/paths.ts';
import { lacks } from './gaps.ts';

const kernels = (level: string) => readFileSync(path(`src/kernels/wasm/${level}-wasm32.wasm`));

for (const level of ['simd128', 'relaxed'] as const) {
  test(`the kernels of ${level} SIMD give the bits that plain SIMD gives in Node`, async ({ tab, site, engine }) => {
    test.skip(level === 'relaxed' && lacks(engine, 'relaxed SIMD'), 'no relaxed SIMD: see gaps.ts');
    site.put('/test/kernels.wasm', kernels(level));
    await tab.goto(`${site.url}test/plain.html`);
    const seen = await tab.evaluate(async (bundle) => {
      const { kernelResults } = await import(bundle);
      const response = await fetch('/test/kernels.wasm');
      return kernelResults(new Uint8Array(await response.arrayBuffer()));
    }, '/bundles/kernels.js');
    expect(Object.keys(seen).length).toBeGreaterThan(200);
    expect(seen).toEqual(kernelResults(new Uint8Array(kernels('simd128'))));
  });
}

test('the same text and log probabilities as in Chromium', async ({ tab, site, playwright, launchOptions, engine }) => {
  test.skip(engine === 'chromium', 'it is what the others are held against');
  const ask = async (tab: Tab) => {
    await serveIn(tab, site);
    const { json } = await fetchIn(tab, '/v1/completions', {
      prompt: 'Once upon a time',
      max_tokens: 24,
      temperature: 0,
      logprobs: 3,
    });
    return json.choices;
  };
  const chromium = await playwright.chromium.launch(launchOptions);
  const expected = await ask(await chromium.newPage());
  await chromium.close();
  expect(await ask(tab)).toEqual(expected);
});
