/** Cross-origin isolation in a Chromium that does not know Document-Isolation-Policy, as those of WebViews and older phones. */
import { WITHOUT_ISOLATION_POLICY } from './support/chromium-options.ts';
import { chat, expect, test, user } from './support/fixtures.ts';

test.use({
  siteOptions: { models: 'tiny', isolated: false },
  launchOptions: WITHOUT_ISOLATION_POLICY,
});

test('serve({ isolate: true }) falls back to COOP and COEP, with one more reload', async ({ page, site }) => {
  site.route('/page.html', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><script type="module">
      import * as llamatab from '/lib/index.js';
      globalThis.server = await llamatab.serve({ isolate: true, engine: { threads: 2 } });
    </script>`);
  });
  await page.goto(`${site.url}page.html`);
  await page.waitForFunction(() => 'server' in globalThis);
  expect(await page.evaluate(() => [crossOriginIsolated, server.status.isolated])).toEqual([true, true]);
  expect(await chat(page, { messages: user('hello'), max_tokens: 8, temperature: 0 })).toHaveLength(8);
  await expect
    .poll(() => page.evaluate(() => server.status.models.find((model) => model.default)?.runtime?.threads))
    .toBe(2);
  expect(site.requests.filter((path) => path === '/page.html')).toHaveLength(3);
});
