/**
 * Firefox, where one is installed: the kernels give the bits that Chromium gets, and the site answers. It is no Firefox of
 * Playwright's, so a page does what a test would do, and posts what it saw.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, serveIn, test } from './support/fixtures.ts';
import { path } from './support/paths.ts';
import type { SiteServer } from './support/site-server.ts';

const FIREFOX = [process.env.FIREFOX_PATH, 'firefox', 'firefox-esr'].find(
  (command) => command !== undefined && spawnSync(command, ['--version']).status === 0,
);
test.skip(FIREFOX === undefined, 'There is no Firefox here: FIREFOX_PATH names one.');

const LEVELS = ['simd128', 'relaxed'] as const;

/** Runs a module's text in a page of a Firefox of its own; what it exports as `default` is the result. */
async function inFirefox<T>(site: SiteServer, code: string): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-firefox-'));
  const reported = new Promise<string>((resolve) => {
    site.route('/report', async (request, response) => {
      response.end();
      resolve(await text(request));
    });
  });
  site.put('/test/visit.js', code);
  const page = `<!doctype html><title>visit</title><script type="module">
    const report = (body) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });
    import('/test/visit.js').then(({ default: value }) => report({ value }), (error) => report({ error: String(error) }));
  </script>`;
  site.route('/test/visit.html', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(page);
  });
  const browser = spawn(
    FIREFOX as string,
    ['--headless', '--no-remote', '--profile', profile, `${site.url}test/visit.html`],
    {
      stdio: 'ignore',
      detached: true,
    },
  );
  const gone = new Promise<string>((resolve) =>
    browser.on('exit', (code) => resolve(`{"error":"Firefox ended: ${code}"}`)),
  );
  try {
    const { value, error } = JSON.parse(await Promise.race([reported, gone]));
    if (error !== undefined) throw new Error(error);
    return value;
  } finally {
    // With all its processes.
    if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

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
