/** Sounds written down, by the tiny model with an ear of random weights: another sound is another text. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { hearer: { sense: 'audio' }, tiny: {} });
  await serveIn(page, site);
});

const RATE = 16_000;

/** A second of a tone: WAV, one channel, 16 bits, base64. */
function tone(hertz: number): string {
  const wav = Buffer.alloc(44 + 2 * RATE);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(36 + 2 * RATE, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(RATE, 24);
  wav.writeUInt32LE(2 * RATE, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(2 * RATE, 40);
  for (let i = 0; i < RATE; i++) wav.writeInt16LE(Math.sin((2 * Math.PI * hertz * i) / RATE) * 16_000, 44 + 2 * i);
  return wav.toString('base64');
}

const SETTINGS = { max_tokens: '16', seed: '1' };

/** A form with a sound in it. */
function transcribe(page: Page, sound: string, fields: Record<string, string> = {}) {
  return page.evaluate(
    async ({ sound, fields }) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.set(name, value);
      form.set('file', new File([Uint8Array.from(atob(sound), (c) => c.charCodeAt(0))], 'sound'));
      const response = await fetch('/v1/audio/transcriptions', { method: 'POST', body: form });
      const text = await response.text();
      return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : null };
    },
    { sound, fields: { ...SETTINGS, ...fields } },
  );
}

test('a sound is written down, in the words that llama.cpp asks the model with', async ({ page }) => {
  const low = await transcribe(page, tone(200));
  expect([low.status, low.json]).toEqual([
    200,
    {
      type: 'transcript.text.done',
      text: expect.any(String),
      usage: {
        type: 'tokens',
        input_tokens: expect.any(Number),
        output_tokens: 16,
        total_tokens: low.json.usage.input_tokens + 16,
        input_tokens_details: { cached_tokens: 0 },
      },
    },
  ]);
  expect((await transcribe(page, tone(200))).json.text).toBe(low.json.text);
  expect((await transcribe(page, tone(3000))).json.text).not.toBe(low.json.text);
  const inGerman = await transcribe(page, tone(200), { language: 'de' });
  expect(inGerman.json.usage.input_tokens).toBeGreaterThan(low.json.usage.input_tokens);

  const input_audio = { data: tone(200), format: 'wav' };
  const content = [
    { type: 'text', text: 'Transcribe audio to text' },
    { type: 'input_audio', input_audio },
  ];
  const chat = { messages: [{ role: 'user', content }], max_tokens: 16, seed: 1 };
  const said = (await fetchIn(page, '/v1/chat/completions', chat)).json;
  expect(said.choices[0].message.content.trim()).toBe(low.json.text.trim());
  expect(said.usage.prompt_tokens).toBe(low.json.usage.input_tokens);
});

test('OpenAI’s client, unmodified, over fetch: whole and streamed', async ({ page }) => {
  const { whole, events } = await page.evaluate(async (sound) => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const file = new File([Uint8Array.from(atob(sound), (c) => c.charCodeAt(0))], 'sound.wav');
    const request = { model: 'local', file, temperature: 0 };
    const whole = await openai.audio.transcriptions.create(request);
    const events = [];
    for await (const event of await openai.audio.transcriptions.create({ ...request, stream: true }))
      events.push(event);
    return { whole, events };
  }, tone(440));
  const deltas = events.flatMap((event) => (event.type === 'transcript.text.delta' ? [event.delta] : []));
  expect(deltas.length).toBeGreaterThan(1);
  expect(deltas.join('')).toBe(whole.text);
  expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text: whole.text });
});

for (const type of ['audio/webm;codecs=opus', 'audio/mp4;codecs=opus']) {
  test(`what a page records, ${type}: the browser decodes it for the engine`, async ({ page }) => {
    // A gesture, without which a page makes no sound.
    await page.mouse.click(1, 1);
    const recorded = await page.evaluate(async (mimeType) => {
      if (!MediaRecorder.isTypeSupported(mimeType)) return null;
      const context = new AudioContext();
      await context.resume();
      const oscillator = context.createOscillator();
      const destination = context.createMediaStreamDestination();
      oscillator.connect(destination);
      oscillator.start();
      oscillator.stop(context.currentTime + 0.5);
      const recorder = new MediaRecorder(destination.stream, { mimeType });
      const chunks: Blob[] = [];
      recorder.ondataavailable = ({ data }) => chunks.push(data);
      const stopped = new Promise((resolve) => {
        recorder.onstop = resolve;
      });
      recorder.start();
      oscillator.onended = () => recorder.stop();
      await stopped;
      const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    }, type);
    test.skip(recorded === null, `this browser does not record ${type}`);
    const { status, json } = await transcribe(page, recorded ?? '');
    expect([status, json.type, json.error]).toEqual([200, 'transcript.text.done', undefined]);
  });
}

test('faults are answered, and cost nobody else anything', async ({ page }) => {
  const cases: [sound: string, fields: Record<string, string>, status: number, message: string][] = [
    [btoa('no sound at all'), {}, 400, 'Failed to load image or audio file'],
    [tone(200), { model: 'tiny' }, 501, 'The current model does not support audio input.'],
    [tone(200), { response_format: 'srt' }, 400, "Only 'json' response_format is supported"],
    [tone(200), { max_tokens: '-7' }, 400, "Field 'max_tokens': Value must be between"],
  ];
  const fine = transcribe(page, tone(200));
  for (const [sound, fields, status, message] of cases) {
    const answer = await transcribe(page, sound, fields);
    expect([answer.status, answer.json.error.message], message).toEqual([status, expect.stringContaining(message)]);
  }
  expect((await fine).status).toBe(200);
});

test('the server says who hears, and at which rate', async ({ page }) => {
  const { data } = (await fetchIn(page, '/v1/models')).json;
  expect(data.map(({ architecture }: { architecture: unknown }) => architecture)).toEqual([
    { input_modalities: ['text', 'audio'], output_modalities: ['text'] },
    { input_modalities: ['text'], output_modalities: ['text'] },
  ]);
  const props = (await fetchIn(page, '/props')).json;
  expect(props.modalities).toEqual({ vision: false, video: false, audio: true });
  expect(props.audio).toEqual({ input_rate: RATE, output_rate: 0, voices: [], realtime: false, live: false });
});

test('speech and realtime sessions are refused by a model that can do neither', async ({ page }) => {
  const mute = await fetchIn(page, '/v1/audio/speech', { model: 'hearer', input: 'Hello', voice: 'alba' });
  expect([mute.status, mute.json.error.message]).toEqual([
    501,
    'This model does not support audio generation. No model of the catalog does.',
  ]);
  const closed = await page.evaluate(async () => {
    const socket = server.realtime({ model: 'hearer' });
    const event = await new Promise<CloseEvent>((resolve) => {
      socket.onclose = resolve;
    });
    return [event.code, event.reason, socket.readyState];
  });
  expect(closed).toEqual([1011, 'This model does not support realtime audio', 3]);
});
