/** The console's models page, as a person uses it. */
import type { Locator, Page } from '@playwright/test';
import { damagePart, expect, test } from './support/weights-fixture.ts';
import { syntheticGguf } from './support/weights-server.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

/** Opens the page and the panel; the chat's own model is loaded by then. */
async function openModels(page: Page, url: string): Promise<Locator> {
  await page.goto(url);
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
  await page.getByRole('button', { name: 'Models' }).click();
  return page.getByRole('dialog', { name: 'Models' });
}

const row = (page: Page, id: string) => page.getByTestId(`model-${id}`);
const press = (page: Page, id: string, name: string) =>
  row(page, id).getByRole('button', { name, exact: false }).click();

async function add(page: Page, source: string): Promise<void> {
  await page.getByLabel('Address of a GGUF').fill(source);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
}

test('what there is: size, licence, state, and what can be done', async ({ page, site }) => {
  await openModels(page, site.url);
  await expect(row(page, 'tiny')).toHaveAttribute('data-state', 'loaded');
  await expect(row(page, 'tiny')).toContainText(/1\.06.MB · chat, text · from this site · by llamatab · MIT/);
  await expect(row(page, 'tiny')).toContainText(/Loaded ?uses [\d.]+.MB of memory/);
  await expect(row(page, 'tiny')).toContainText('in this chat');
  await expect(row(page, 'tiny-2')).toContainText('Not downloaded');
  await press(page, 'tiny-2', 'What it needs');
  await expect(row(page, 'tiny-2')).toContainText(/Disk: 1\.06.MB to download, [\d.]+.GB free\. Memory: /);
  await expect(page.getByTestId('storage')).toContainText(
    /[\d.]+.MB used of the [\d.]+.GB that this browser grants the site/,
  );

  await press(page, 'tiny-2', 'Download');
  await press(page, 'tiny-2', 'Chat with it');
  await expect(row(page, 'tiny-2')).toHaveAttribute('data-state', 'loaded');
  await expect(row(page, 'tiny-2')).toContainText('in this chat');
  await press(page, 'tiny', 'Unload');
  await expect(row(page, 'tiny')).toContainText('On this device');
  await press(page, 'tiny', 'Keep');
  await expect(row(page, 'tiny')).toContainText('kept');
  await press(page, 'tiny', 'Delete');
  await expect(row(page, 'tiny')).toContainText(/Delete 1\.06.MB from this browser\?/);
  await press(page, 'tiny', 'Cancel');
  await expect(row(page, 'tiny')).toContainText('On this device');
  await press(page, 'tiny', 'Delete');
  await row(page, 'tiny').getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(row(page, 'tiny')).toContainText('Not downloaded');
});

test('a download by address: progress, pause, resume, cancel', async ({ page, site, weights }) => {
  weights.put('noise.gguf', syntheticGguf(12));
  await openModels(page, site.url);
  await expect(page.getByRole('button', { name: 'Add', exact: true })).toBeDisabled();
  weights.rate = 2e6;
  await add(page, `${weights.url}noise.gguf`);
  await expect(page.getByTestId('add-outcome')).toContainText('noise is being downloaded. Disk: 12.6');
  await expect(row(page, 'noise')).toContainText(/Downloading[\d.]+ of 12\.6.MB · \d+.% · [\d.]+.MB\/s · \d+.s left/);
  await expect(row(page, 'noise').getByRole('progressbar')).toHaveAttribute('value', /^[1-9]\d*$/);
  await press(page, 'noise', 'Pause');
  await expect(row(page, 'noise')).toContainText('Paused');
  await press(page, 'noise', 'Resume');
  await expect(row(page, 'noise')).toContainText('Downloading');
  await press(page, 'noise', 'Cancel');
  await expect(row(page, 'noise')).toContainText(/Not downloaded|Failed/);
  weights.rate = 0;
  await press(page, 'noise', 'Download');
  await expect(row(page, 'noise')).toContainText('On this device');
  await press(page, 'noise', 'Delete');
  await row(page, 'noise').getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(row(page, 'noise')).toHaveCount(0);
});

test('what is wrong is said in place', async ({ page, site, weights }) => {
  await openModels(page, site.url);
  const outcome = page.getByTestId('add-outcome');
  await add(page, `${weights.url}none.gguf`);
  await expect(outcome).toContainText('HTTP 404');
  await expect(outcome).toHaveAttribute('data-bad', 'true');
  await add(page, 'what is this');
  await expect(outcome).toContainText("The model 'what is this' does not exist");
  await page
    .getByTestId('add-files')
    .setInputFiles({ name: 'page.gguf', mimeType: '', buffer: Buffer.from('<!doctype html>') });
  await expect(outcome).toContainText('is not a GGUF');
});

test('a file is dropped, answers in the chat, and is there after a reload', async ({ page, site }) => {
  await openModels(page, site.url);
  const bytes = Buffer.from(tinyModel({ seed: 9 })).toString('base64');
  await page.evaluate((base64) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], 'dropped.gguf'));
    for (const type of ['dragover', 'drop']) {
      document
        .querySelector('dialog')
        ?.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }
  }, bytes);
  await expect(page.getByTestId('add-outcome')).toContainText('dropped was added.');
  await expect(row(page, 'dropped')).toContainText('from your disk');
  await press(page, 'dropped', 'Chat with it');
  await expect(row(page, 'dropped')).toHaveAttribute('data-state', 'loaded');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
  await page.getByRole('textbox').fill('hello');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('answer').last()).toHaveAttribute('data-state', /streaming|done/);
  await page.reload();
  await page.getByRole('button', { name: 'Models' }).click();
  await expect(row(page, 'dropped')).toContainText('in this chat');
});

test('damage is found and mended', async ({ page, site }) => {
  await openModels(page, site.url);
  await press(page, 'tiny', 'Verify');
  await expect(row(page, 'tiny')).toContainText(/All 1\.06.MB are intact/);
  await damagePart(page);
  await press(page, 'tiny', 'Verify');
  await expect(row(page, 'tiny')).toContainText(
    /One part was damaged or missing: tiny\.gguf, part \d of \d: .*SHA-256/,
  );
  await press(page, 'tiny', 'Repair');
  await expect(row(page, 'tiny')).toContainText(
    'One part was damaged or missing, and downloaded again. The model is complete.',
  );
});

test('saves a model with the browser’s own downloads, where there is no file picker', async ({ page, site }) => {
  await page.addInitScript(() => {
    delete (globalThis as { showSaveFilePicker?: unknown }).showSaveFilePicker;
  });
  await openModels(page, site.url);
  const downloading = page.waitForEvent('download');
  await press(page, 'tiny', 'Save to a file');
  expect((await downloading).suggestedFilename()).toBe('tiny.gguf');
});
