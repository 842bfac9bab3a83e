/** Images and sounds, for the tiny model with projectors of random weights: another image is another answer. */
import type { Page } from '@playwright/test';
import { type Answer, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import { AVIF, HEIC, turned } from './support/pictures.ts';
import { toneWav } from './support/wav.ts';
import { AUDIO_TOKENS, IMAGE_TOKENS } from './tiny-model/tiny-projector.ts';

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, seer: { sense: 'vision' }, hearer: { sense: 'audio' } });
  await serveIn(page, site);
});

/** A picture of one colour with a black bar, as a data URI. */
function picture(page: Page, colour: string, type = 'image/png'): Promise<string> {
  return page.evaluate(
    async ({ colour, type }) => {
      const canvas = new OffscreenCanvas(20, 10);
      const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
      context.fillStyle = colour;
      context.fillRect(0, 0, 20, 10);
      context.fillStyle = 'black';
      context.fillRect(3, 0, 5, 10);
      const bytes = new Uint8Array(await (await canvas.convertToBlob({ type })).arrayBuffer());
      return `data:${type};base64,${btoa(String.fromCharCode(...bytes))}`;
    },
    { colour, type },
  );
}

const bytesOf = (uri: string) => new Uint8Array(Buffer.from(uri.split(',')[1] ?? '', 'base64'));
const image = (url: string) => ({ type: 'image_url', image_url: { url } });
const text = (text: string) => ({ type: 'text', text });

function ask(page: Page, content: unknown, more: object = {}): Promise<Answer> {
  const request = { model: 'seer', messages: [{ role: 'user', content }], max_tokens: 20, seed: 1, ...more };
  return fetchIn(page, '/v1/chat/completions', request);
}

async function answerTo(page: Page, content: unknown): Promise<string> {
  const { status, json, text } = await ask(page, content);
  if (status !== 200) throw new Error(text);
  return json.choices[0].message.content;
}

test('an image is seen: its pixels, its place, its tokens', async ({ page }) => {
  const [red, blue] = [await picture(page, 'red'), await picture(page, 'blue')];
  const seen = await ask(page, [text('What?'), image(red)]);
  expect(seen.status).toBe(200);
  const answer = seen.json.choices[0].message.content;
  const without = await ask(page, 'What?');
  expect(seen.json.usage.prompt_tokens).toBe(without.json.usage.prompt_tokens + IMAGE_TOKENS);
  expect(await answerTo(page, [text('What?'), image(red)])).toBe(answer);
  const others = [
    without.json.choices[0].message.content,
    await answerTo(page, [text('What?'), image(blue)]),
    await answerTo(page, [image(red), text('What?')]),
    await answerTo(page, [text('What?'), image(red), image(blue)]),
    await answerTo(page, [text('What?'), image(blue), image(red)]),
  ];
  expect(new Set([answer, ...others]).size).toBe(others.length + 1);
});

test('an image is counted', async ({ page }) => {
  const messages = [{ role: 'user', content: [text('What?'), image(await picture(page, 'red'))] }];
  const { json } = await fetchIn(page, '/v1/chat/completions', { model: 'seer', messages, max_tokens: 1 });
  const count = await fetchIn(page, '/v1/chat/completions/input_tokens', { model: 'seer', messages });
  expect(count.json).toEqual({ input_tokens: json.usage.prompt_tokens, object: 'response.input_tokens' });
});

test('a JPEG, a stream, and the other APIs see the same', async ({ page }) => {
  const red = await picture(page, 'red', 'image/jpeg');
  const answer = await answerTo(page, [text('What?'), image(red)]);
  const streamed = await ask(page, [text('What?'), image(red)], { stream: true });
  const deltas = streamed.text.split('\n\n').filter((event) => event.startsWith('data: {'));
  expect(deltas.map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '').join('')).toBe(answer);

  const response = await fetchIn(page, '/v1/responses', {
    model: 'seer',
    seed: 1,
    max_output_tokens: 20,
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What?' },
          { type: 'input_image', image_url: red },
        ],
      },
    ],
  });
  expect(response.json.output[0].content[0].text).toBe(answer);
  const source = { type: 'base64', media_type: 'image/jpeg', data: red.split(',')[1] };
  const message = await fetchIn(page, '/v1/messages', {
    model: 'seer',
    seed: 1,
    max_tokens: 20,
    messages: [{ role: 'user', content: [text('What?'), { type: 'image', source }] }],
  });
  expect(message.json.content[0].text).toBe(answer);
});

/** As PNG, as the page itself sees it. */
function asPng(page: Page, uri: string): Promise<string> {
  return page.evaluate(async (uri) => {
    const bitmap = await createImageBitmap(await (await fetch(uri)).blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
    return `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
  }, uri);
}

test('what the engine can’t read is seen as the browser sees it: WebP, AVIF', async ({ page }) => {
  const webp = await picture(page, 'red', 'image/webp');
  for (const uri of [webp, AVIF]) {
    const seen = await answerTo(page, [text('What?'), image(uri)]);
    expect(seen).toBe(await answerTo(page, [text('What?'), image(await asPng(page, uri))]));
  }
  const { media_marker } = (await fetchIn(page, '/props?model=seer')).json;
  const prompt = { prompt_string: `a ${media_marker} b`, multimodal_data: [webp.split(',')[1]] };
  const { status, json } = await fetchIn(page, '/completion', { model: 'seer', prompt, n_predict: 1 });
  expect([status, json.error]).toEqual([200, undefined]);
});

test('a photo is seen upright, however the camera was held', async ({ page }) => {
  const jpeg = await picture(page, 'red', 'image/jpeg');
  const answers = new Set<string>();
  for (const orientation of [1, 3, 6, 8]) {
    const uri = `data:image/jpeg;base64,${Buffer.from(turned(bytesOf(jpeg), orientation)).toString('base64')}`;
    const seen = await answerTo(page, [text('What?'), image(uri)]);
    const expected = orientation === 1 ? jpeg : await asPng(page, uri);
    expect(seen, `orientation ${orientation}`).toBe(await answerTo(page, [text('What?'), image(expected)]));
    answers.add(seen);
  }
  expect(answers.size).toBeGreaterThan(1);
});

test('a picture that is larger than the engine can bear is made smaller', async ({ page }) => {
  const huge = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(8200, 8200);
    canvas.getContext('2d')?.fillRect(0, 0, 1, 1);
    const blob = await canvas.convertToBlob({ type: 'image/png' });
    const reader = new FileReader();
    return new Promise<string>((resolve) => {
      reader.onload = () => resolve(reader.result as string);
      reader.readAsDataURL(blob);
    });
  });
  const { status, json } = await ask(page, [text('What?'), image(huge)], { max_tokens: 1 });
  expect([status, json.error]).toEqual([200, undefined]);
});

test('a picture that no worker of this browser decodes is named, with what to send instead', async ({ page }) => {
  const svg = btoa('<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="9" height="9"/></svg>');
  for (const [uri, message] of [
    [`data:image/svg+xml;base64,${svg}`, "The picture is an SVG, which a browser can't draw in a worker."],
    [HEIC, "The picture is HEIC, which this browser can't decode. Send it as PNG, JPEG or WebP."],
  ] as const) {
    const { status, json } = await ask(page, [text('What?'), image(uri)], { stream: true });
    expect([status, json.error]).toMatchObject([
      400,
      { type: 'invalid_request_error', param: 'messages', message: expect.stringContaining(message) },
    ]);
  }
});

test('a text prompt shows images too, at the markers that /props tells', async ({ page }) => {
  const { media_marker: marker } = (await fetchIn(page, '/props?model=seer')).json;
  const show = async (prompt_string: string, ...images: string[]) => {
    const multimodal_data = images.map((uri) => uri.split(',')[1]);
    const prompt = { prompt_string, multimodal_data };
    return fetchIn(page, '/v1/completions', { model: 'seer', prompt, max_tokens: 20, seed: 1 });
  };
  const [red, blue] = [await picture(page, 'red'), await picture(page, 'blue')];
  const seen = await show(`a ${marker} b`, red);
  expect([seen.status, seen.json.error]).toEqual([200, undefined]);
  const answer = seen.json.choices[0].text;
  expect((await show(`a ${marker} b`, red)).json.choices[0].text).toBe(answer);
  expect((await show(`a ${marker} b`, blue)).json.choices[0].text).not.toBe(answer);
  const both = await fetchIn(page, '/completion', {
    model: 'seer',
    prompt: ['a', { prompt_string: `a ${marker} b`, multimodal_data: [red.split(',')[1]] }],
    n_predict: 20,
    seed: 1,
  });
  expect(both.json).toHaveLength(2);

  for (const [prompt, images, message] of [
    ['no marker', [red], "'prompt_string' has 0 media markers, but 'multimodal_data' has 1"],
    [`${marker}${marker}`, [red], "'prompt_string' has 2 media markers, but 'multimodal_data' has 1"],
    [`${marker}.`, ['data:image/png;base64,AAAA'], 'Failed to load image or audio file'],
    [`a ${marker}`, [red], "'prompt' ends with an image or a sound"],
  ] as const) {
    const { status, json } = await show(prompt, ...images);
    expect([status, json.error?.message], prompt).toEqual([400, expect.stringContaining(message)]);
  }
  expect((await show(`a ${marker} b`, red)).json.choices[0].text).toBe(answer);
});

test('a sound is heard', async ({ page }) => {
  const hear = (hertz: number) => {
    const sound = { type: 'input_audio', input_audio: { data: toneWav(hertz).toString('base64'), format: 'wav' } };
    return ask(page, [text('What?'), sound], { model: 'hearer' });
  };
  const low = await hear(200);
  expect([low.status, low.json.error]).toEqual([200, undefined]);
  expect(low.json.usage.prompt_tokens).toBeGreaterThan(AUDIO_TOKENS);
  const high = await hear(3000);
  expect(high.json.choices[0].message.content).not.toBe(low.json.choices[0].message.content);
  expect((await hear(200)).json.choices).toEqual(low.json.choices);
});

test.describe('without cross-origin isolation, and so without threads', () => {
  test.use({ siteOptions: { models: 'tiny', isolated: false } });

  test('sounds are refused, where llama.cpp would crash; images are seen', async ({ page }) => {
    const sound = { type: 'input_audio', input_audio: { data: toneWav(200).toString('base64'), format: 'wav' } };
    const deaf = await ask(page, [sound], { model: 'hearer' });
    expect([deaf.status, deaf.json.error.message]).toEqual([
      500,
      expect.stringMatching(/^audio input is not supported .*audio also needs threads/),
    ]);
    expect((await ask(page, 'What?', { model: 'hearer' })).status).toBe(200);
    expect((await ask(page, [image(await picture(page, 'red'))])).status).toBe(200);
  });
});

test('an image on the web is fetched by the device, without the user’s cookies', async ({ page, site }) => {
  const red = await picture(page, 'red');
  const requests: { cookie: string | undefined; referer: string | undefined }[] = [];
  site.route('/red.png', ({ headers }, response) => {
    requests.push({ cookie: headers.cookie, referer: headers.referer });
    response.setHeader('Content-Type', 'image/png');
    response.end(bytesOf(red));
  });
  await page.evaluate(() => {
    // biome-ignore lint/suspicious/noDocumentCookie: the point is that it is not sent
    document.cookie = 'secret=1';
  });
  const answer = await answerTo(page, [text('What?'), image(red)]);
  expect(await answerTo(page, [text('What?'), image(`${site.url}red.png`)])).toBe(answer);
  expect(requests).toEqual([{ cookie: undefined, referer: undefined }]);
});

test('faults: each says what to do, and costs only the request that has it', async ({ page, site }) => {
  const red = await picture(page, 'red');
  site.put('/red.png', bytesOf(red));
  site.put('/long.png', new Uint8Array(10 * 1024 * 1024 + 1));
  const elsewhere = site.url.replace('localhost', '127.0.0.1');
  const cases: [content: unknown[], status: number, message: string][] = [
    [[image('data:image/png;base64,AAAA')], 400, 'Failed to load image or audio file'],
    [[image('data:text/plain;base64,AAAA')], 400, 'Invalid uri format: data:text/plain;base64'],
    [[image('data:image/png,AAAA')], 400, 'uri must be base64 encoded'],
    [[image('data:image/png;base64')], 400, 'Invalid uri-encoded base64 value'],
    [[image('file:///etc/passwd')], 400, 'file:// URLs are not allowed unless --media-path is specified'],
    [[image('%')], 500, 'Invalid base64 value'],
    [[image(`${site.url}none.png`)], 400, 'HTTP 404'],
    [[image(`${site.url}long.png`)], 400, 'more than 10485760 bytes'],
    [[image(`${elsewhere}red.png`)], 400, 'CORS'],
    [[{ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }], 500, 'audio input is not supported'],
  ];
  for (const change of [{ role: 'assistant' }, { add_generation_prompt: false }]) {
    const { role = 'user', ...more } = change as { role?: string };
    const messages = [{ role, content: [text('a'), image(red)] }];
    const { status, json } = await ask(page, '', { messages, ...more });
    expect([status, json.error.message]).toEqual([400, expect.stringContaining("'messages' ends with an image")]);
  }
  for (const [content, status, message] of cases) {
    const answer = await ask(page, content, { stream: true });
    expect([answer.status, answer.json?.error.message], JSON.stringify(content).slice(0, 100)).toEqual([
      status,
      expect.stringContaining(message),
    ]);
  }
  const blind = await ask(page, [image(red)], { model: 'tiny' });
  expect([blind.status, blind.json.error]).toMatchObject([
    500,
    {
      message: 'image input is not supported - hint: if this is unexpected, you may need to provide the mmproj',
      type: 'server_error',
      param: 'messages',
    },
  ]);
  expect((await ask(page, user('hello')[0]?.content)).status).toBe(200);
});
