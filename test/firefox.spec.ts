/**
 * Firefox, where one is installed: the kernels give the bits that Chromium gets, and the site answers. It is no Firefox of
 * Playwright's, so a page does what a test would do, and posts what it saw.
 */
import { readFileSync } from 'node:fs';
import { FIREFOX, inFirefox, NO_FIREFOX } from './support/firefox.ts';
import { expect, serveIn, test } from './support/fixtures.ts';
import { path } from './support/paths.ts';

test.skip(FIREFOX === undefined, NO_FIREFOX);

const LEVELS = ['simd128', 'relaxed'] as const;

test('the kernels give the bits that they give in Chromium', async ({ page, site }) => {
  for (const level of LEVELS)
    site.put(`/test/${level}.wasm`, readFileSync(path(`src/kernels/wasm/${level}-wasm32.wasm`)));
  const code = (expression: string) => `
    import { kernelResults } from '/bundles/kernels.js';
    const levels = {};
    for (const level of ${JSON.stringify(LEVELS)}) {
      const bytes = await (await fetch('/test/' + level + '.wasm')).bytes();
      levels[level] = kernelResults(bytes);
    }
    ${expression} levels;`;
  await page.goto(`${site.url}test/plain.html`);
  site.put('/test/kernels.js', code('export default'));
  const expected = await page.evaluate(async (module) => (await import(module)).default, '/test/kernels.js');
  expect(Object.keys(expected.relaxed).length).toBeGreaterThan(200);
  expect(expected.relaxed).toEqual(expected.simd128);
  expect(await inFirefox(site, code('export default'))).toEqual(expected);
});

test('the site answers: service worker, stream, the same text and log probabilities', async ({ page, site }) => {
  const question = { prompt: 'Once upon a time', max_tokens: 24, temperature: 0, logprobs: 3 };
  const code = (before: string) => `
    ${before}
    const post = (body) => fetch('/v1/completions', { method: 'POST', body: JSON.stringify(body) });
    const whole = await (await post(${JSON.stringify(question)})).json();
    const stream = await (await post(${JSON.stringify({ ...question, stream: true })})).text();
    const { state, role, intercepts, isolated, models } = server.status;
    export default { choices: whole.choices, error: whole.error, ended: stream.endsWith('data: [DONE]\\n\\n'),
      status: { state, role, intercepts, isolated }, runtime: models.find((model) => model.default).runtime };`;
  await serveIn(page, site);
  site.put('/test/chromium.js', code(''));
  const expected = await page.evaluate(async (module) => (await import(module)).default, '/test/chromium.js');
  const seen = await inFirefox<typeof expected>(
    site,
    code("const { serve } = await import('/lib/index.js'); const server = await serve(); await server.models.load();"),
  );
  test.info().annotations.push({ type: 'runtime', description: JSON.stringify(seen.runtime) });
  expect(seen.error).toBeUndefined();
  expect(seen.status).toEqual({ state: 'ready', role: 'host', intercepts: true, isolated: true });
  expect(seen.choices).toEqual(expected.choices);
  expect(seen.ended).toBe(true);
});
