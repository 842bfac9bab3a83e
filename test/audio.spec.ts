/** Sounds written down and texts spoken, by tiny models of random weights: another sound is another text, and the other way round. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';
import { toneWav, WAV_RATE } from './support/wav.ts';
import { FRAMES_PER_SECOND, SPEECH_RATE, VOICES } from './tiny-model/tiny-speaker.ts';

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { hearer: { sense: 'audio' }, tiny: {}, speaker: { speaks: true } });
  await serveIn(page, site);
});

/** As base64. */
const tone = (hertz: number) => toneWav(hertz).toString('base64');

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
    // llama-server's field: this model never ends by itself.
    const request = { model: 'local', file, temperature: 0, max_tokens: 24 };
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
    { input_modalities: ['text'], output_modalities: ['text', 'audio'] },
  ]);
  const props = (await fetchIn(page, '/props')).json;
  expect(props.modalities).toEqual({ vision: false, video: false, audio: true });
  expect(props.audio).toEqual({ input_rate: WAV_RATE, output_rate: 0, voices: [], realtime: false, live: false });
});

test('speech and realtime sessions are refused by a model that can do neither', async ({ page }) => {
  const mute = await fetchIn(page, '/v1/audio/speech', { model: 'hearer', input: 'Hello', voice: 'alba' });
  expect([mute.status, mute.json.error.message]).toEqual([
    501,
    "This model does not support audio generation. 'hearer' is mute, ask one of these as `model`: speaker.",
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

/** Speech by OpenAI's client, its bytes. */
async function speak(page: Page, request: { response_format: 'wav' | 'pcm'; input?: string; voice?: string }) {
  const { type, base64 } = await page.evaluate(async (request) => {
    const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });
    const asked = { model: 'speaker', voice: 'alba', input: 'Hi', seed: 1, ...request };
    const response = await openai.audio.speech.create(asked);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    return { type: response.headers.get('Content-Type'), base64 };
  }, request);
  return { type, bytes: Buffer.from(base64, 'base64') };
}

/** Samples that llama.cpp lets this architecture speak for a text, one token a byte, with the full stop that it adds. */
function samplesFor(text: string): number {
  const frames = Math.ceil(((text.length + 1) / 3 + 2) * FRAMES_PER_SECOND);
  return (frames * SPEECH_RATE) / FRAMES_PER_SECOND;
}

test('a text is spoken, by OpenAI’s client, unmodified: a WAV file, samples, events', async ({ page }) => {
  const wav = await speak(page, { response_format: 'wav' });
  expect([wav.type, wav.bytes.toString('latin1', 0, 4), wav.bytes.readUInt32LE(24)]).toEqual([
    'audio/wav',
    'RIFF',
    SPEECH_RATE,
  ]);
  const samples = wav.bytes.subarray(44);
  expect(samples.length).toBe(2 * samplesFor('Hi'));
  expect(samples.some((byte) => byte !== 0)).toBe(true);
  expect((await speak(page, { response_format: 'wav' })).bytes.equals(wav.bytes)).toBe(true);
  expect((await speak(page, { response_format: 'wav', input: 'Ho' })).bytes.equals(wav.bytes)).toBe(false);
  expect((await speak(page, { response_format: 'wav', voice: 'jean' })).bytes.equals(wav.bytes)).toBe(false);

  const pcm = await speak(page, { response_format: 'pcm' });
  expect([pcm.type, pcm.bytes.length]).toEqual(['audio/pcm', samples.length]);
  const loudest = Math.max(
    ...Array.from({ length: samplesFor('Hi') }, (_, i) =>
      Math.abs(pcm.bytes.readInt16LE(2 * i) - samples.readInt16LE(2 * i)),
    ),
  );
  // Each rounds in its own way.
  expect(loudest).toBeLessThanOrEqual(2);

  const request = { model: 'speaker', input: 'Hi', seed: 1, response_format: 'pcm', stream_format: 'sse' };
  const { text } = await fetchIn(page, '/v1/audio/speech', request);
  const events = text
    .trim()
    .split('\n\n')
    .map((event) => JSON.parse(event.slice('data: '.length)));
  expect(events.length).toBeGreaterThan(2);
  expect(events.pop()).toEqual({ type: 'speech.audio.done' });
  expect(Buffer.concat(events.map(({ audio }) => Buffer.from(audio, 'base64'))).equals(pcm.bytes)).toBe(true);

  const props = (await fetchIn(page, '/props?model=speaker')).json;
  expect(props.audio).toMatchObject({ output_rate: SPEECH_RATE, voices: VOICES });
  const alloy = await fetchIn(page, '/v1/audio/speech', { ...request, voice: 'alloy' });
  expect([alloy.status, alloy.json.error.message]).toEqual([
    400,
    'Unknown voice "alloy". This model speaks with: alba, jean',
  ]);
});
