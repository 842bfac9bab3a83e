/** The example site, built with the package's own plugin as a user would, does what it says. */
import { readFileSync } from 'node:fs';
import sirv from 'sirv';
import { expect, test } from './support/fixtures.ts';
import { path } from './support/paths.ts';

test('examples/openai-sdk', async ({ page, site }) => {
  const files = sirv(path('dist/examples/openai-sdk'), { dev: true });
  site.fallback(files);
  await page.goto(site.url);
  await expect(page.getByRole('status')).toHaveText('Tiny model for tests (tiny): loaded');
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect(page.locator('#answer')).toHaveText(/\w{20}/);
});

test('a site with a relative base, entered by the address of one of its views', async ({ page, site }) => {
  const built = path('dist/examples/relative-base');
  site.fallback(sirv(built, { dev: true }));
  site.mount('/app/');
  // As the host of a single-page application answers: the same page at every address.
  const html = readFileSync(`${built}/index.html`, 'utf8').replaceAll('"./', '"/app/');
  site.route('/app/chat/42', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(html);
  });
  await page.goto(`${site.url}app/chat/42`);
  await expect(page.getByRole('status')).toHaveText('Tiny model for tests (tiny): loaded');
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect(page.locator('#answer')).toHaveText(/\w{20}/);
  expect(site.requests.filter((path) => path.startsWith('/app/chat/'))).toEqual(['/app/chat/42']);
});
