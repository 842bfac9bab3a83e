import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer } from '../testing/test-server.ts';

const HEARER = { ...CHAT_MODEL, id: 'hearer', aliases: [], capabilities: ['chat' as const, 'audio' as const] };
const WAV = new TextEncoder().encode('RIFF....WAVEfmt ');
const OGG = new TextEncoder().encode('OggS');

const USAGE = {
  type: 'tokens',
  input_tokens: 20,
  output_tokens: 2,
  total_tokens: 22,
  input_tokens_details: { cached_tokens: 0 },
};
const DONE: Json = { type: 'transcript.text.done', text: 'Hello there', usage: USAGE };

function hearing(...options: Parameters<typeof createTestServer>) {
  const server = createTestServer(
    options[0],
    options[1] ?? { ...CATALOG, default: 'hearer', models: [HEARER, CHAT_MODEL] },
  );
  server.engine.media = { audio: true };
  server.engine.sound = { inputRate: 16_000 };
  server.engine.onComplete = async function* ({ body }) {
    if (body.stream) for (const delta of ['Hello', ' there']) yield { type: 'transcript.text.delta', delta };
    yield DONE;
  };
  const openai = new OpenAI({
    baseURL: 'https://site/v1',
    apiKey: 'local',
    maxRetries: 0,
    fetch: (url, init) => server.fetch(new Request(url, init)),
  });
  return {
    server,
    openai,
    ask: (fields: Record<string, string>, file?: Uint8Array<ArrayBuffer>) => ask(server, fields, file),
  };
}

async function ask(
  server: ReturnType<typeof createTestServer>,
  fields: Record<string, string>,
  file: Uint8Array<ArrayBuffer> | undefined = WAV,
) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', new File([file], 'sound'));
  const response = await server.fetch(
    new Request('https://site/v1/audio/transcriptions', { method: 'POST', body: form }),
  );
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}

test('OpenAI’s client, unmodified', async () => {
  const { openai, server } = hearing();
  const file = new File([WAV], 'a.wav');
  const transcription = await openai.audio.transcriptions.create({
    model: 'hearer',
    file,
    language: 'en',
    prompt: 'Write:',
    temperature: 0.5,
  });
  expect(transcription).toEqual(DONE);
  const [request] = server.engine.completions;
  expect(request).toMatchObject({
    kind: 'transcription',
    body: { language: 'en', prompt: 'Write:', temperature: 0.5 },
    files: [WAV],
  });
});

test('OpenAI’s client, streamed', async () => {
  const { openai } = hearing();
  const stream = await openai.audio.transcriptions.create({
    model: 'hearer',
    file: new File([WAV], 'a.wav'),
    stream: true,
  });
  const events = [];
  for await (const event of stream) events.push(event);
  expect(events).toEqual([
    { type: 'transcript.text.delta', delta: 'Hello' },
    { type: 'transcript.text.delta', delta: ' there' },
    DONE,
  ]);
});

test('takes turns with other callers', async () => {
  const { server } = hearing();
  const form = new FormData();
  form.set('file', new File([WAV], 'sound'));
  const request = new Request('https://site/v1/audio/transcriptions', { method: 'POST', body: form });
  await (await server.fetch(request, { client: 'one' })).text();
  expect(server.engine.completions[0]?.caller).toBe('one');
});

test('a stream ends as llama-server’s', async () => {
  const { text, headers } = await hearing().ask({ stream: 'true' });
  expect(headers.get('Content-Type')).toBe('text/event-stream');
  expect(parseEvents(text).at(-1)).toBe('[DONE]');
});

test('texts of the form that are numbers or booleans are such, but for those that mean a text', async () => {
  const { ask, server } = hearing();
  await ask({
    max_tokens: '007',
    temperature: '2e-1',
    top_p: '.5',
    cache_prompt: 'true',
    seed: '5',
    prompt: '12',
  }).then(({ status, json }) => expect([status, json().error.param]).toEqual([400, 'top_p']));
  await ask({ max_tokens: '007', temperature: '2e-1', cache_prompt: 'true', seed: '5', prompt: '12', stop: '3' });
  expect(server.engine.completions[0]?.body).toEqual({
    n_predict: 7,
    temperature: 0.2,
    cache_prompt: true,
    seed: 5,
    prompt: '12',
    stop: ['3'],
  });
});

test('a format that only the browser knows', async () => {
  const decoded: [number, number][] = [];
  const { ask, server } = hearing({
    decodeAudio: async (file, rate) => {
      decoded.push([file.length, rate]);
      return new Float32Array(10);
    },
  });
  expect((await ask({}, OGG)).status).toBe(200);
  expect(decoded).toEqual([[OGG.length, 16_000]]);
  expect(server.engine.completions[0]?.files?.[0]?.length).toBe(44 + 2 * 10);
});

test('the llama-server path outside /v1', async () => {
  const { server } = hearing();
  const form = new FormData();
  form.set('file', new File([WAV], 'a.wav'));
  const response = await server.fetch(new Request('https://site/audio/transcriptions', { method: 'POST', body: form }));
  expect(await response.json()).toEqual(DONE);
});

test('a model that is deaf, by its catalog entry or in fact', async () => {
  const { ask, server } = hearing();
  const refused = await ask({ model: CHAT_MODEL.id });
  expect([refused.status, refused.json().error]).toEqual([
    501,
    {
      code: 501,
      type: 'not_supported_error',
      param: 'model',
      message: expect.stringMatching(
        /^The current model does not support audio input\. .* ask one of these as `model`: hearer\.$/,
      ),
    },
  ]);
  expect(server.engine.loads).toEqual([]);
  server.engine.media = {};
  const deaf = await ask({});
  expect([deaf.status, deaf.json().error.message]).toEqual([501, expect.stringMatching(/cross-origin isolated page/)]);
});

test.each([
  [{ response_format: 'verbose_json' }, 400, 'response_format', "Only 'json' response_format is supported"],
  [{ response_format: 'text' }, 400, 'response_format', "Only 'json' response_format is supported"],
  [
    { temperature: 'warm' },
    400,
    'temperature',
    "Field 'temperature': [json.exception.type_error.302] type must be number",
  ],
  [{ model: 'whisper-1' }, 404, 'model', "The model 'whisper-1' does not exist."],
])('%j', async (fields: Record<string, string>, status, param, message) => {
  const { ask, server } = hearing();
  const answer = await ask(fields);
  expect([answer.status, answer.json().error]).toMatchObject([status, { param }]);
  expect(answer.json().error.message).toContain(message);
  expect(server.engine.loads).toEqual([]);
});

test('without a file', async () => {
  const { server } = hearing();
  const response = await server.send('/v1/audio/transcriptions', { model: 'hearer', file: 'a.wav' });
  const { error } = await response.json();
  expect([response.status, error.message, error.param]).toEqual([400, 'No input file found for transcription', 'file']);
});

test('an aborted transcription ends the engine’s work', async () => {
  const { openai, server } = hearing();
  server.engine.onComplete = async function* () {
    for (;;) yield { type: 'transcript.text.delta', delta: 'a' };
  };
  const file = new File([WAV], 'a.wav');
  const stream = await openai.audio.transcriptions.create({ model: 'hearer', file, stream: true });
  for await (const _ of stream) break;
  await expect.poll(() => server.engine.left).toBe(1);
});
