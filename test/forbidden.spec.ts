/** Contexts that forbid things: what is forbidden is said, with what to do, and what can go on does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Frame } from '@playwright/test';
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';
import { launch } from './support/own-browser.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** What `serve()` rejects with in a frame that is open. */
const failure = async (frame: Frame) => {
  await frame.waitForFunction(() => 'llamatab' in globalThis);
  return frame.evaluate(() =>
    llamatab.serve().then(
      () => 'served',
      (error) => ({ isOurs: error instanceof llamatab.LlamatabError, type: error.type, message: error.message }),
    ),
  );
};

test.describe('a sandboxed iframe', () => {
  // So that a page without an origin can load the modules of `app.html`.
  test.use({
    siteOptions: { models: 'tiny', isolated: false, headers: { 'Access-Control-Allow-Origin': '*' } },
  });

  test('without allow-same-origin is told so; with it, it serves', async ({ page, site }) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${site.url}test/plain.html`);
    const open = async (sandbox: string) => {
      await page.evaluate((sandbox) => {
        const iframe = document.createElement('iframe');
        iframe.setAttribute('sandbox', sandbox);
        iframe.src = '/test/app.html';
        document.body.replaceChildren(iframe);
      }, sandbox);
      const frame = await page.waitForSelector('iframe').then((iframe) => iframe.contentFrame());
      if (!frame) throw new Error('no frame');
      return frame;
    };
    expect(await failure(await open('allow-scripts'))).toEqual({
      isOurs: true,
      type: 'not_supported_error',
      message: expect.stringContaining('allow-same-origin'),
    });
    expect(await failure(await open('allow-scripts allow-same-origin'))).toBe('served');
    expect(errors).toEqual([]);
  });
});

test('a profile that blocks site data: the page is served alone, from memory', async ({ site }) => {
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-blocked-'));
  mkdirSync(join(profile, 'Default'));
  // As the setting "Block all cookies" writes it.
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  const browser = await launch(profile);
  const { page } = browser;
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await serveIn(page, site);
  expect(await page.evaluate(() => [server.status.intercepts, server.status.interceptsNot])).toEqual([
    false,
    expect.stringMatching(/blocks site data.*server\.fetch/),
  ]);
  expect(await chat(page, question, 'server')).toHaveLength(8);
  expect(await page.evaluate(() => server.status.models[0]?.files.kept)).toBe('memory');
  // Left, and come back to as it was: with another worker, and nothing that tells of the first one's end.
  await page.evaluate(() => {
    for (const type of ['pagehide', 'pageshow']) dispatchEvent(new PageTransitionEvent(type, { persisted: true }));
  });
  expect(await chat(page, question, 'server')).toHaveLength(8);
  expect(errors).toEqual([]);
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
});
