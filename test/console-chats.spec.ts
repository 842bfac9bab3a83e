/** What a person does with conversations in the console: kept, found, renamed, branched, exported; JSON, tools, pictures. */
import { readFile } from 'node:fs/promises';
import type { Locator, Page } from '@playwright/test';
import { expect, putTinyModels, test } from './support/fixtures.ts';

/** Few tokens, so that answers end; the same each time. */
const SETTINGS = { maxTokens: 12, seed: 1 };

async function open(page: Page, url: string, settings: object = {}): Promise<void> {
  await page.addInitScript(
    (settings) => localStorage.setItem('llamatab:settings:/', settings),
    JSON.stringify({ ...SETTINGS, ...settings }),
  );
  await page.goto(url);
  await expect(page.getByTestId('model-state')).toHaveAttribute('data-state', 'ready');
}

/** Asks, and gives the answer once it is whole. */
async function ask(page: Page, question: string): Promise<Locator> {
  await page.getByLabel('Your message').fill(question);
  await page.getByLabel('Your message').press('Enter');
  await expect(page.getByTestId('question').last()).toHaveText(question);
  return whole(page);
}

async function whole(page: Page): Promise<Locator> {
  const answer = page.getByTestId('answer').last();
  await expect(answer).toHaveAttribute('data-state', 'done');
  return answer;
}

test('conversations are kept, found, renamed, exported and deleted', async ({ page, site }) => {
  await open(page, site.url);
  await ask(page, 'apples');
  await ask(page, 'and more apples');
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByRole('heading', { name: 'llama-server, in a browser tab' })).toBeVisible();
  await ask(page, 'pears');

  await page.reload();
  const entries = page.getByTestId('conversation');
  await expect(entries).toHaveText(['pears', 'apples']);
  await expect(page.getByTestId('question')).toHaveText(['pears']);
  await page.getByRole('link', { name: 'apples' }).click();
  await expect(page.getByTestId('question')).toHaveText(['apples', 'and more apples']);
  await page.goBack();
  await expect(page.getByTestId('question')).toHaveText(['pears']);

  await page.getByLabel('Search the conversations').fill('more');
  await expect(entries).toHaveText(['apples']);
  await page.getByLabel('Search the conversations').fill('quinces');
  await expect(page.getByText('Nothing found for “quinces”.')).toBeVisible();
  await page.getByLabel('Search the conversations').fill('');

  await page.getByRole('button', { name: 'Rename apples' }).click();
  await page.getByLabel('Title').fill('Fruit');
  await page.getByLabel('Title').press('Enter');
  await expect(entries).toHaveText(['pears', 'Fruit']);
  await page.getByRole('button', { name: 'Rename Fruit' }).click();
  await page.getByLabel('Title').fill('Vegetables');
  await page.getByLabel('Title').press('Escape');
  await expect(entries).toHaveText(['pears', 'Fruit']);

  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export Fruit' }).click();
  const saved = await saving;
  expect(saved.suggestedFilename()).toBe('Fruit.md');
  expect(await readFile(await saved.path(), 'utf8')).toMatch(/^# Fruit\n\n## You\n\napples\n\n## tiny\n\n/);

  await page.getByRole('button', { name: 'Delete pears' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(entries).toHaveText(['Fruit']);
  await expect(page.getByTestId('question')).toHaveCount(0);
  await page.reload();
  await expect(entries).toHaveText(['Fruit']);
});

test('answers and questions have branches', async ({ page, site }) => {
  await open(page, site.url, { seed: null, temperature: 2 });
  const first = (await (await ask(page, 'one')).locator('.markdown').textContent()) ?? '';
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(page.getByTestId('branch')).toHaveText('2 / 2');
  await whole(page);
  await expect(page.getByTestId('answer').locator('.markdown')).not.toHaveText(first);
  await page.getByRole('button', { name: 'Previous answer' }).click();
  await expect(page.getByTestId('branch')).toHaveText('1 / 2');
  await expect(page.getByTestId('answer').locator('.markdown')).toHaveText(first);

  await page.getByRole('article', { name: 'You' }).hover();
  await page.getByRole('button', { name: 'Edit question' }).click();
  await page.getByLabel('Edited question').fill('two');
  await page.getByLabel('Edited question').press('Enter');
  await expect(page.getByTestId('question')).toHaveText(['two']);
  await whole(page);
  await page.getByRole('button', { name: 'Previous question' }).click();
  await expect(page.getByTestId('question')).toHaveText(['one']);
});

test('an answer is held to a schema; a tool is called, and its result goes back', async ({ page, site }) => {
  putTinyModels(site, { agent: { agent: true, endBias: 0 } });
  await open(page, site.url, { maxTokens: 400, format: 'schema' });
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Schema', { exact: true }).fill('{ "enum": ["yes", "no"]');
  await expect(page.getByRole('alert')).toContainText('This is no JSON');
  await page.getByLabel('Schema', { exact: true }).fill('{ "enum": ["yes", "no"] }');
  await expect(page.getByRole('alert')).toHaveCount(0);
  await page.keyboard.press('Escape');
  await expect((await ask(page, 'well?')).locator('.markdown').last()).toHaveText(/^"(yes|no)"$/);

  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Text', { exact: true }).check();
  await page.getByText('Functions that the model may ask for.').click();
  const tool = {
    name: 'look_up',
    parameters: { type: 'object', properties: { word: { enum: ['llama'] } }, required: ['word'] },
  };
  await page.getByLabel('Functions').fill(JSON.stringify([{ type: 'function', function: tool }]));
  await page.getByLabel('When to call').selectOption('required');
  await page.keyboard.press('Escape');
  await ask(page, 'what is a llama?');
  const call = page.getByTestId('tool-call');
  await expect(call).toContainText('look_up');
  await expect(call).toContainText('"llama"');
  await page.getByLabel('What does it give?').fill('A camelid.');
  await page.getByRole('button', { name: 'Give the result' }).click();
  await expect(call.first()).toContainText('Result A camelid.');
  await expect(page.getByTestId('answer')).toHaveCount(3);
  await whole(page);
});

test('a picture goes to a model that sees', async ({ page, site }) => {
  putTinyModels(site, { seer: { sense: 'vision' } });
  await open(page, site.url);
  const png = Buffer.from(
    await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(20, 10);
      canvas.getContext('2d')?.fillRect(0, 0, 5, 10);
      const blob = await canvas.convertToBlob();
      return [...new Uint8Array(await blob.arrayBuffer())];
    }),
  );
  await page.getByTestId('attach').setInputFiles({ name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no') });
  await expect(page.getByRole('alert')).toContainText('can’t read no.png');
  await page.getByTestId('attach').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: png });
  await expect(page.getByAltText('Attachment 1')).toBeVisible();
  await ask(page, 'What is it?');
  await page.reload();
  await expect(page.getByAltText('Attachment 1')).toBeVisible();
});
