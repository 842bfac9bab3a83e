/** A Content-Security-Policy: with what is needed the site answers; what is missing is named. */
import type { Tab } from '../support/engines/tab.ts';
import { expect, test } from '../support/everywhere.ts';
import { chat, serveIn, user } from '../support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** What `serve()` rejects with in a page that is open. */
const failure = async (tab: Tab) => {
  await tab.waitForFunction(() => 'llamatab' in globalThis);
  return tab.evaluate(() =>
    llamatab.serve().then(
      () => 'served',
      (error) => ({ isOurs: error instanceof llamatab.LlamatabError, type: error.type, message: error.message }),
    ),
  );
};

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

  test('does not keep the site from answering', async ({ tab, site }) => {
    await serveIn(tab, site);
    expect(await chat(tab, question)).toHaveLength(8);
  });
});

const lacking: [name: string, directives: Partial<typeof ENOUGH>, message: string][] = [
  ['blob: workers', { 'worker-src': "'self'" }, 'add blob: to worker-src'],
  ['wasm-unsafe-eval', { 'script-src': "'self' 'unsafe-inline' blob:" }, "add 'wasm-unsafe-eval' to script-src"],
];
for (const [name, directives, message] of lacking) {
  test.describe(`without ${name}`, () => {
    test.use({ siteOptions: { models: 'tiny', headers: header({ ...ENOUGH, ...directives }) } });

    test('is named by the answer', async ({ tab, site }) => {
      await serveIn(tab, site, { preload: false });
      const error = await tab.evaluate(() =>
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

  test('is named by the download', async ({ tab, site, engine }) => {
    await serveIn(tab, site, { preload: false });
    const message = await tab.evaluate(() =>
      server.models.download('https://models.example/m.gguf').then(
        () => 'downloaded',
        (error) => error.message,
      ),
    );
    // WebKit tells a worker nothing of what its policy forbids.
    expect(message).toContain(
      engine === 'webkit' ? 'name that server in connect-src?' : 'add https://models.example to connect-src',
    );
  });
});

test.describe('without the site itself', () => {
  test.use({ siteOptions: { models: 'tiny', headers: header({ ...ENOUGH, 'connect-src': 'blob:' }) } });

  test('is named by serve()', async ({ tab, site }) => {
    await tab.goto(`${site.url}test/app.html`);
    expect(await failure(tab)).toMatchObject({
      isOurs: true,
      type: 'unavailable_error',
      message: expect.stringContaining("add 'self' to connect-src"),
    });
  });
});

test.describe('without any worker', () => {
  test.use({ siteOptions: { models: 'tiny', headers: header({ 'worker-src': "'none'" }) } });

  test('is named by serve()', async ({ tab, site }) => {
    await tab.goto(`${site.url}test/app.html`);
    expect(await failure(tab)).toMatchObject({
      isOurs: true,
      type: 'unavailable_error',
      message: expect.stringContaining("add 'self' to worker-src"),
    });
  });
});
