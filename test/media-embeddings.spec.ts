/** Images in embeddings, of a tiny model that sees and pools its last token. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { seer: { sense: 'vision', embeds: true }, blind: { pooling: 'mean' } });
  await serveIn(page, site);
});

function picture(page: Page, colour: string): Promise<string> {
  return page.evaluate(async (colour) => {
    const canvas = new OffscreenCanvas(20, 10);
    const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
    context.fillStyle = colour;
    context.fillRect(0, 0, 20, 10);
    const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
    return `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
  }, colour);
}

const image = (url: string) => ({ type: 'image_url', image_url: { url } });
const text = (text: string) => ({ type: 'text', text });

const embed = (page: Page, input: unknown, model = 'seer') => fetchIn(page, '/v1/embeddings', { model, input });

test('each content is one vector, of its images and its texts', async ({ page }) => {
  const [red, blue] = [await picture(page, 'red'), await picture(page, 'blue')];
  const inputs = [
    { content: [image(red), text('What?')] },
    { content: [image(blue), text('What?')] },
    { content: [text('What?')] },
    { content: [text('What? '), image(red)] },
    'What?',
  ];
  const { status, json } = await embed(page, inputs);
  expect([status, json.error]).toEqual([200, undefined]);
  const vectors: number[][] = json.data.map(({ embedding }: { embedding: number[] }) => embedding);
  expect(vectors.map((vector) => Math.hypot(...vector).toFixed(3))).toEqual(Array(5).fill('1.000'));
  const [ofRed, ofBlue, ofText, , ofString] = vectors;
  expect(ofText).toEqual(ofString);
  expect(new Set(vectors.map((vector) => JSON.stringify(vector))).size).toBe(4);
  expect(ofRed).not.toEqual(ofBlue);
  const again = await embed(page, inputs[0]);
  expect(again.json.data[0].embedding).toEqual(ofRed);
  expect(again.json.usage.prompt_tokens).toBeGreaterThan(16);
});

test('a model that is blind says so, and costs nobody else anything', async ({ page }) => {
  const red = await picture(page, 'red');
  const blind = await embed(page, { content: [image(red)] }, 'blind');
  expect([blind.status, blind.json.error.message]).toEqual([
    500,
    expect.stringMatching(/^image input is not supported/),
  ]);
  const broken = await embed(page, [{ content: [image('data:image/png;base64,AAAA')] }]);
  expect([broken.status, broken.json.error.message]).toEqual([
    400,
    expect.stringContaining('Failed to load image or audio file'),
  ]);
  expect((await embed(page, 'still there')).status).toBe(200);
});
