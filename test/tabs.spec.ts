/** One engine for all tabs, and the back/forward cache, in which a page keeps its locks. */
import type { Page } from '@playwright/test';
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const role = (page: Page) => page.evaluate(() => server.status.role);

test('the engine goes to the next tab when a page is left, and comes back with it', async ({ page, site, context }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  const second = await context.newPage();
  await serveIn(second, site);
  await page.goto(`${site.url}test/plain.html`);
  await expect.poll(() => role(second)).toBe('host');
  expect(await chat(page, question)).toBe(expected);

  await page.goBack();
  if (await page.evaluate(() => 'server' in globalThis)) {
    // From the back/forward cache, as it was: a guest now.
    expect(await role(page)).toBe('guest');
    expect(await chat(page, question, 'server')).toBe(expected);
  }
});
