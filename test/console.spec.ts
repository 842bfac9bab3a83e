/** The console, as a person meets it: the first visit, a chat with the embedded model, a second visit without a network. */
import type { Page } from '@playwright/test';
import { engineWasm, expect, test } from './support/fixtures.ts';

test.describe('with the embedded model', () => {
  test.use({ siteOptions: { models: 'embedded' } });
  test.slow();

  test('first visit: progress, then a streamed answer; second visit offline', async ({ page, site, context }) => {
    await page.goto(site.url);
    const progress = page.getByTestId('model-progress');
    await expect(progress).toContainText('Downloading');
    await expect(progress).toContainText(/[\d.]+.(MB )?of 98\.4.MB · \d+.% · [\d.]+.MB\/s/);
    await expect(progress).toContainText('Loading into memory');
    await ready(page);
    await expect(progress).toHaveCount(0);

    await ask(page, 'What is the capital of France? Answer in one short sentence.');
    const answer = page.getByTestId('answer').last();
    await expect(answer).toHaveAttribute('data-state', 'done');
    await expect(answer).toContainText('Paris');
    await expect(page.getByTestId('rate').last()).toContainText(/[\d.]+.tokens\/s · \d+.tokens · first token after/);
    await expect(page.getByTestId('runtime')).toContainText(/CPU, \d+ threads? · context 4096 · llama\.cpp b\d+/);
    await expect
      .poll(() => page.evaluate(async (wasm) => (await caches.match(wasm)) !== undefined, engineWasm()))
      .toBe(true);
    await page.close();

    await site.goOffline();
    const second = await context.newPage();
    await second.goto(site.url);
    await ready(second);
    await ask(second, 'What is the capital of France? Answer in one short sentence.');
    await expect(second.getByTestId('answer').last()).toContainText('Paris');
  });
});

test('stop keeps what was said; a new question goes on', async ({ page, site }) => {
  await page.goto(site.url);
  await ready(page);
  await ask(page, 'hello');
  const answer = page.getByTestId('answer').last();
  await expect(answer).toHaveAttribute('data-state', 'streaming');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(answer).toHaveAttribute('data-state', 'stopped');
  await expect(answer).toContainText('Stopped');
  await ask(page, 'again');
  await expect(page.getByTestId('answer')).toHaveCount(2);
  await expect(page.getByTestId('answer').last()).toHaveAttribute('data-state', 'streaming');
});

test('a question asked before the model is there waits for it', async ({ page, site }) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const catalog = await (await fetch(`${site.url}models/catalog.json`)).json();
  site.route('/models/catalog.json', async (_, response) => {
    await held;
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(catalog));
  });
  await page.goto(site.url);
  await ask(page, 'hello');
  const answer = page.getByTestId('answer').last();
  await expect(answer).toHaveAttribute('data-state', 'waiting');
  release();
  await expect(answer).toHaveAttribute('data-state', 'streaming');
});

test('a model that can’t be had: what is wrong, and a way on', async ({ page, site }) => {
  const [pieces] = (await (await fetch(`${site.url}models/catalog.json`)).json()).models;
  const path = `/models/${pieces.files[0].pieces[0].url}`;
  const bytes = new Uint8Array(await (await fetch(site.url + path.slice(1))).arrayBuffer());
  site.route(path, (_, response) => {
    response.statusCode = 404;
    response.end();
  });
  await page.goto(site.url);
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('404');
  site.put(path, bytes);
  await alert.getByRole('button', { name: 'Try again' }).click();
  await ready(page);
});

test('what a model writes is text, never HTML', async ({ page, site }) => {
  await page.goto(site.url);
  await ready(page);
  await page.evaluate(() => {
    const events = [
      '<img src=x onerror="globalThis.pwned = true">',
      '**bold** <script>globalThis.pwned = true</script>',
    ]
      .map((content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`)
      .join('');
    const headers = { 'Content-Type': 'text/event-stream' };
    globalThis.fetch = async () => new Response(`${events}data: [DONE]\n\n`, { headers });
  });
  await ask(page, 'write HTML');
  const answer = page.getByTestId('answer').last();
  await expect(answer).toHaveAttribute('data-state', 'done');
  await expect(answer.locator('strong')).toHaveText('bold');
  await expect(answer).toContainText('<script>');
  expect(await answer.locator('img, script').count()).toBe(0);
  expect(await page.evaluate(() => 'pwned' in globalThis)).toBe(false);
});

for (const width of [320, 390, 1280]) {
  test(`fits a window of ${width} px`, async ({ page, site }) => {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(site.url);
    await ready(page);
    await ask(page, 'hello');
    await expect(page.getByTestId('answer').last()).toHaveAttribute('data-state', 'streaming');
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await expect(page.getByLabel('Your message')).toBeInViewport();
  });
}

async function ready(page: Page): Promise<void> {
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
}

async function ask(page: Page, question: string): Promise<void> {
  await page.getByLabel('Your message').fill(question);
  await page.getByLabel('Your message').press('Enter');
}
