/** The example site, built with the package's own plugin as a user would, does what it says. */
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
