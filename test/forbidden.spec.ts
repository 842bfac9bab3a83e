/** Contexts that forbid things: what is forbidden is said, with what to do, and what can go on does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Frame, Page } from '@playwright/test';
import { chat, expect, serveIn, test, user } from './support/fixtures.ts';
import { launch } from './support/own-browser.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** What `serve()` rejects with in a page that is open. */
const failure = async (page: Page | Frame) => {
  await page.waitForFunction(() => 'llamatab' in globalThis);
  return page.evaluate(() =>
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
  expect(errors).toEqual([]);
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
});

test.describe('a Content-Security-Policy', () => {
  const ENOUGH = {
    'default-src': "'none'",
    // `app.html` has its script in the page.
    'script-src': "'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:",
    'worker-src': "'self' blob:",
    'connect-src': "'self' blob:",
  };
  const header = (directives: Record<string, string>) => ({
    'Content-Security-Policy': Object.entries(directives)
      .map(([name, sources]) => `${name} ${sources}`)
      .join('; '),
  });

  test.describe('with all that is needed', () => {
    test.use({ siteOptions: { models: 'tiny', headers: header(ENOUGH) } });

    test('does not keep the site from answering', async ({ page, site }) => {
      await serveIn(page, site);
      expect(await chat(page, question)).toHaveLength(8);
    });
  });

  const lacking: [name: string, directives: Partial<typeof ENOUGH>, message: string][] = [
    ['blob: workers', { 'worker-src': "'self'" }, 'add blob: to worker-src'],
    ['wasm-unsafe-eval', { 'script-src': "'self' 'unsafe-inline' blob:" }, "add 'wasm-unsafe-eval' to script-src"],
  ];
  for (const [name, directives, message] of lacking) {
    test.describe(`without ${name}`, () => {
      test.use({ siteOptions: { models: 'tiny', headers: header({ ...ENOUGH, ...directives }) } });

      test('is named by the answer', async ({ page, site }) => {
        await serveIn(page, site, { preload: false });
        const error = await page.evaluate(() =>
          server.models.load().then(
            () => 'loaded',
            (error) => error.message,
          ),
        );
        expect(error).toContain(message);
      });
    });
  }

  test.describe('without a server that a model comes from', () => {
    test.use({ siteOptions: { models: 'tiny', headers: header(ENOUGH) } });

    test('is named by the download', async ({ page, site }) => {
      await serveIn(page, site, { preload: false });
      const message = await page.evaluate(() =>
        server.models.download('https://models.example/m.gguf').then(
          () => 'downloaded',
          (error) => error.message,
        ),
      );
      expect(message).toMatch(
        /models\.example\/m\.gguf can't be reached.*add https:\/\/models\.example to connect-src/,
      );
    });
  });

  test.describe('without the site itself', () => {
    test.use({ siteOptions: { models: 'tiny', headers: header({ ...ENOUGH, 'connect-src': 'blob:' }) } });

    test('is named by serve()', async ({ page, site }) => {
      await page.goto(`${site.url}test/app.html`);
      expect(await failure(page)).toMatchObject({
        isOurs: true,
        type: 'unavailable_error',
        message: expect.stringContaining("add 'self' to connect-src"),
      });
    });
  });

  test.describe('without any worker', () => {
    test.use({ siteOptions: { models: 'tiny', headers: header({ 'worker-src': "'none'" }) } });

    test('is named by serve()', async ({ page, site }) => {
      await page.goto(`${site.url}test/app.html`);
      expect(await failure(page)).toMatchObject({
        isOurs: true,
        type: 'unavailable_error',
        message: expect.stringContaining("add 'self' to worker-src"),
      });
    });
  });
});
