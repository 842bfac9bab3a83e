/** The console's views: live, API, documentation; for whoever reads them with a screen reader, a phone, or in the dark. */
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { expect, test } from './support/fixtures.ts';

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
}

test('the live view shows a request in its slot, and what has happened', async ({ page, site }) => {
  await open(page, `${site.url}#live`);
  await expect(page.getByTestId('events')).toContainText('This tab runs the engine.');
  await expect(page.getByTestId('events')).toContainText('is loaded: on the CPU');
  await expect(page.getByTestId('processing')).toHaveText('0');
  const slots = page.getByRole('list', { name: 'Slots' }).first();
  await expect(slots.getByText('idle')).toHaveCount(4);
  // More than the slots hold, and so long that the view looks at them many times.
  await page.evaluate(() => {
    const abort = new AbortController();
    Object.assign(globalThis, { abort });
    const messages = [{ role: 'user', content: 'hi' }];
    const body = JSON.stringify({ messages, stream: true, max_tokens: 2000 });
    for (let sent = 0; sent < 12; sent++) {
      const asked = fetch('/v1/chat/completions', { method: 'POST', body, signal: abort.signal });
      asked.then((response) => response.text()).catch(() => {});
    }
  });
  await expect(page.getByTestId('processing')).toHaveText('4');
  await expect(slots.getByText(/\d+ of 2000.tokens/)).toHaveCount(4);
  await expect(page.getByTestId('generated')).toHaveText(/[1-9]\d*.tokens/);
  await page.evaluate(() => (globalThis as unknown as { abort: AbortController }).abort.abort());
  await expect(page.getByTestId('processing')).toHaveText('0');
  await expect(page.getByTestId('plans').getByRole('listitem').first()).toContainText(/CPU, \d thread/);
  await page.getByRole('button', { name: 'Models' }).click();
  await page.getByTestId('model-tiny').getByRole('button', { name: 'Unload' }).click();
  await page.keyboard.press('Escape');
  await expect(page.getByText('No model is loaded.')).toBeVisible();
  await expect(page.getByTestId('events')).toContainText('left the memory');
});

test('the API page sends a request, shows the raw stream, and the request as code', async ({ page, site }) => {
  await open(page, `${site.url}#api`);
  const response = page.getByTestId('response');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(response).toHaveAttribute('data-state', 'done');
  await expect(page.getByTestId('raw')).toContainText(/^data: \{.*\n\ndata: \[DONE\]\n\n$/s);
  await expect(response).toContainText('200');
  await page.getByLabel('Body').fill('{');
  await expect(page.getByRole('alert')).toContainText('This is no JSON');
  await expect(page.getByRole('button', { name: 'Send' })).toBeDisabled();
  await page.getByLabel('Body').fill('{ "model": "nobody" }');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(response).toContainText('404');
  await page.getByRole('tab', { name: 'curl' }).click();
  await expect(page.getByRole('tabpanel')).toContainText('-d \'{ "model": "nobody" }\'');
});

test('an answer that grows moves nothing', async ({ page, site }) => {
  await page.addInitScript(() => localStorage.setItem('llamatab:settings:/', JSON.stringify({ maxTokens: 300 })));
  await open(page, site.url);
  const shifts = () =>
    page.evaluate(() => (globalThis as unknown as { shifts: { value: number; moved: string }[] }).shifts);
  await page.evaluate(() => {
    const shifts: { value: number; moved: string }[] = [];
    Object.assign(globalThis, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & {
        value: number;
        sources: { node: Node | null }[];
      })[]) {
        const moved = entry.sources.map(({ node }) => (node instanceof Element ? node.className : node?.nodeName));
        shifts.push({ value: entry.value, moved: moved.join() });
      }
    }).observe({ type: 'layout-shift' });
  });
  // The page is known to hear of shifts: one is made.
  await page.evaluate(() => {
    document.querySelector<HTMLElement>('.welcome')?.style.setProperty('margin-top', '150px');
  });
  await expect.poll(shifts).not.toEqual([]);
  await page.getByLabel('Your message').fill('hello');
  await page.getByLabel('Your message').press('Enter');
  await expect(page.getByTestId('answer')).toHaveAttribute('data-state', 'streaming');
  const before = (await shifts()).length;
  await expect(page.getByTestId('answer')).toHaveAttribute('data-state', 'done');
  // A hundredth of what counts as good.
  const moved = (await shifts()).slice(before).reduce((sum, { value }) => sum + value, 0);
  expect(moved).toBeLessThan(0.001);
});

test('a phone opens the menu, and a conversation closes it', async ({ page, site }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, `${site.url}#live`);
  await page.getByRole('button', { name: 'Menu' }).click();
  const menu = page.getByRole('dialog', { name: 'Menu' });
  await menu.getByRole('link', { name: 'API' }).click();
  await expect(menu).toHaveCount(0);
  await expect(page.getByLabel('Route', { exact: true })).toBeVisible();
  for (const view of ['#live', '#api', '#chat']) {
    await page.goto(site.url + view);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), view).toBe(390);
  }
  await page.goto(`${site.url}docs/`);
  await page.getByRole('button', { name: 'Menu' }).click();
  await page.getByRole('link', { name: 'API', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('API');
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
});

const AXE = createRequire(import.meta.url).resolve('axe-core');

for (const colorScheme of ['light', 'dark'] as const) {
  test(`no serious violation of accessibility on any view, ${colorScheme}`, async ({ page, site }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.addInitScript(() => localStorage.setItem('llamatab:settings:/', JSON.stringify({ maxTokens: 8 })));
    await open(page, site.url);
    await violations(page, 'welcome');
    await page.getByLabel('Your message').fill('hello');
    await page.getByLabel('Your message').press('Enter');
    await expect(page.getByTestId('answer')).toHaveAttribute('data-state', 'done');
    await violations(page, 'chat');
    for (const panel of ['Models', 'Settings']) {
      await page.getByRole('button', { name: panel, exact: true }).click();
      for (const group of await page.locator('dialog summary').all()) await group.click();
      await violations(page, panel);
      await page.keyboard.press('Escape');
    }
    await page.goto(`${site.url}#live`);
    await expect(page.getByTestId('plans')).toBeVisible();
    await violations(page, 'live');
    await page.goto(`${site.url}#api/models`);
    await page.getByRole('button', { name: 'Send' }).click();
    await expect(page.getByTestId('response')).toHaveAttribute('data-state', 'done');
    await violations(page, 'API');
    await page.goto(`${site.url}docs/#api`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('API');
    await violations(page, 'docs');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(site.url);
    await page.getByRole('button', { name: 'Menu' }).click();
    await violations(page, 'menu');
  });
}

async function violations(page: Page, view: string): Promise<void> {
  // A page that was left loses it.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.addScriptTag({ path: AXE });
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
  });
  expect(found, view).toEqual([]);
}

test('the page can be installed', async ({ page, site }) => {
  await page.goto(site.url);
  const manifest = await page.evaluate(async () => {
    const { href } = document.querySelector('link[rel=manifest]') as HTMLLinkElement;
    const { icons, ...manifest } = await (await fetch(href)).json();
    const sizes = await Promise.all(
      icons.map(async ({ src }: { src: string }) => {
        const image = new Image();
        image.src = new URL(src, href).href;
        await image.decode();
        return image.width;
      }),
    );
    return { ...manifest, wanted: icons.map(({ sizes }: { sizes: string }) => sizes), sizes };
  });
  expect(manifest).toMatchObject({ display: 'standalone', start_url: './', short_name: 'llamatab' });
  expect(manifest.wanted.slice(1)).toEqual(['192x192', '512x512', '512x512']);
  expect(manifest.sizes.slice(1)).toEqual([192, 512, 512]);
  const session = await page.context().newCDPSession(page);
  // Chromium's own judgement of what it could install; empty where nothing is missing.
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  const missing = installabilityErrors.map(({ errorId }) => errorId);
  expect(missing.filter((id) => id !== 'in-incognito')).toEqual([]);
});

test.describe('with the embedded models', () => {
  test.use({ siteOptions: { models: 'embedded' } });

  test('the documentation finds where it answers a question', async ({ page, site }) => {
    // By a real encoder.
    const reading = 120_000;
    test.setTimeout(reading + 60_000);
    await page.goto(`${site.url}docs/`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('llamatab');
    await page.getByRole('searchbox', { name: 'Ask the docs' }).fill('How do I pause a download?');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    const answer = page.getByTestId('docs-answer');
    await expect(answer).toContainText(/Reading the documentation: \d+ of \d+ pieces/);
    await expect(answer.getByRole('listitem')).toHaveCount(3, { timeout: reading });
    for (const link of await answer.getByRole('link').all()) await expect(link).toHaveAttribute('href', /^#\w/);
  });
});
