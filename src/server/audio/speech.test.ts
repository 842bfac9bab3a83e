import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer } from '../testing/test-server.ts';

const SPEAKER = { ...CHAT_MODEL, id: 'speaker', aliases: [], capabilities: ['completion' as const, 'speech' as const] };
const ASKED = { model: 'speaker', input: 'Hello', voice: 'alba' };

function speaking(options: Parameters<typeof createTestServer>[0] = {}) {
  const server = createTestServer(options, { ...CATALOG, models: [CHAT_MODEL, SPEAKER] });
  server.engine.sound = { outputRate: 24_000, voices: ['alba', 'jean'] };
  const openai = new OpenAI({
    baseURL: 'https://site/v1',
    apiKey: 'local',
    maxRetries: 0,
    fetch: (url, init) => server.fetch(new Request(url, init)),
  });
  const ask = (more: Json = {}) => server.send('/v1/audio/speech', { ...ASKED, ...more });
  return { server, openai, ask };
}

/** Of the fake's chunks: 0, 1, -1, 0. */
const PCM = [0, 0, 0xff, 0x7f, 0x01, 0x80, 0, 0];

test('OpenAI’s client, unmodified: a WAV file, llama.cpp’s own', async () => {
  const { openai, server } = speaking();
  server.engine.onSpeak = async function* () {
    yield { audio: Uint8Array.of(1, 2, 3), sampleRate: 24_000 };
  };
  const response = await openai.audio.speech.create({ ...ASKED, response_format: 'wav' });
  expect(response.headers.get('Content-Type')).toBe('audio/wav');
  expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([1, 2, 3]);
  const [request] = server.engine.speeches;
  expect(request).toMatchObject({ format: 'wav', body: { input: 'Hello', voice: 'alba', seed: expect.any(Number) } });
  expect(request?.speaker).toBeUndefined();
});

test('OpenAI’s client, unmodified: samples as they are spoken', async () => {
  const { openai, server } = speaking();
  const held = new Gate();
  const { onSpeak } = server.engine;
  server.engine.onSpeak = async function* (request) {
    for await (const chunk of onSpeak(request)) {
      yield chunk;
      await held.promise;
    }
  };
  const response = await openai.audio.speech.create({ ...ASKED, response_format: 'pcm' });
  const reader = response.body?.getReader();
  expect([...((await reader?.read())?.value ?? [])]).toEqual(PCM.slice(0, 4));
  held.open();
  expect([...((await reader?.read())?.value ?? [])]).toEqual(PCM.slice(4));
  expect(await reader?.read()).toMatchObject({ done: true });
  expect(server.engine.speeches[0]?.format).toBe('samples');
});

test('takes turns with other callers', async () => {
  const { server } = speaking();
  const request = new Request('https://site/v1/audio/speech', { method: 'POST', body: JSON.stringify(ASKED) });
  await (await server.fetch(request, { client: 'one' })).arrayBuffer();
  expect(server.engine.speeches[0]?.caller).toBe('one');
});

test('events', async () => {
  const response = await speaking().ask({ response_format: 'pcm', stream_format: 'sse' });
  expect(response.headers.get('Content-Type')).toBe('text/event-stream');
  const events = parseEvents(await response.text()) as Json[];
  expect(events.map(({ type }) => type)).toEqual(['speech.audio.delta', 'speech.audio.delta', 'speech.audio.done']);
  expect(events.slice(0, 2).flatMap(({ audio }) => [...Buffer.from(audio as string, 'base64')])).toEqual(PCM);
});

test('llama.cpp’s own fields, and a voice as an object', async () => {
  const { ask, server } = speaking();
  await (
    await ask({ voice: { id: 'jean' }, lang: 'fr', top_k: 5, max_tokens: 9, seed: 2 ** 32 - 2, temperature: 2 })
  ).arrayBuffer();
  expect(server.engine.speeches[0]?.body).toEqual({
    input: 'Hello',
    voice: 'jean',
    lang: 'fr',
    top_k: 5,
    n_predict: 9,
    seed: 2 ** 32 - 2,
  });
});

test('a voice to imitate, in a format that only the browser knows', async () => {
  const { ask, server } = speaking({ decodeAudio: async () => new Float32Array(4) });
  const speaker_ref = `data:audio/ogg;base64,${btoa('OggS')}`;
  await (await ask({ speaker_ref, voice: undefined })).arrayBuffer();
  expect(server.engine.speeches[0]?.speaker?.length).toBe(44 + 8);
});

test.each([
  [{ input: '' }, 400, 'input', '"input" must be a non-empty string'],
  [{ input: ['a'] }, 400, 'input', '"input" must be a non-empty string'],
  [{ voice: 5 }, 400, 'voice', 'type must be string, but is number'],
  [{ voice: 'alloy' }, 400, 'voice', 'Unknown voice "alloy". This model speaks with: alba, jean'],
  [{ response_format: 'mp3' }, 400, 'response_format', '\'response_format\' must be wav or pcm, but is "mp3"'],
  [{ stream_format: 'x' }, 400, 'stream_format', "'stream_format' must be audio or sse"],
  [{ speed: 2 }, 400, 'speed', "'speed' must be 1, but is 2"],
  [{ top_k: 'many' }, 400, 'top_k', 'type must be number, but is string'],
  [{ speaker_ref: '%' }, 400, 'speaker_ref', 'must be a sound in base64'],
  [
    { model: CHAT_MODEL.id },
    501,
    'model',
    "does not support audio generation. 'smollm2-135m-instruct' is mute, ask one of these as `model`: speaker.",
  ],
])('%j', async (more, status, param, message) => {
  const { ask, server } = speaking();
  const response = await ask(more);
  const { error } = await response.json();
  expect([response.status, error]).toMatchObject([status, { param, message: expect.stringContaining(message) }]);
  expect(server.engine.speeches).toEqual([]);
});

test('a model whose catalog entry promises too much', async () => {
  const { ask, server } = speaking();
  server.engine.sound = {};
  expect((await ask()).status).toBe(501);
});

test('what the engine refuses before it speaks is an error with its status', async () => {
  const { ask, server } = speaking();
  server.engine.onSpeak = () => {
    throw new LlamatabError('invalid_request_error', 'chatterbox requires a speaker reference or a voice');
  };
  expect((await ask()).status).toBe(400);
});

test('a failure while it speaks breaks the sound off', async () => {
  const { ask, server } = speaking();
  const { onSpeak } = server.engine;
  server.engine.onSpeak = async function* (request) {
    yield* onSpeak(request);
    throw new LlamatabError('server_error', 'codec decode failed');
  };
  const response = await ask({ response_format: 'pcm' });
  expect(response.status).toBe(200);
  await expect(response.arrayBuffer()).rejects.toThrow('codec decode failed');
});

test('who stops listening stops the engine', async () => {
  const { ask, server } = speaking();
  server.engine.onSpeak = async function* () {
    for (;;) yield { audio: new Uint8Array(4), sampleRate: 24_000 };
  };
  const response = await ask({ response_format: 'pcm' });
  await response.body?.cancel();
  await expect.poll(() => server.engine.left).toBe(1);
});

test('the answer begins when the engine has taken the text', async () => {
  const { ask, server } = speaking();
  const held = new Gate();
  server.engine.onSpeak = async function* ({ onAccepted }) {
    onAccepted?.();
    await held.promise;
    yield { audio: Uint8Array.of(1), sampleRate: 24_000 };
  };
  const response = await ask();
  expect(response.status).toBe(200);
  held.open();
  expect((await response.arrayBuffer()).byteLength).toBe(1);
});

test('the descriptions say who speaks, with which voices', async () => {
  const { server } = speaking();
  const { data } = await (await server.send('/v1/models')).json();
  expect(data[1].architecture.output_modalities).toEqual(['text', 'audio']);
  const props = await (await server.send('/props?model=speaker')).json();
  expect(props.audio).toMatchObject({ output_rate: 24_000, voices: ['alba', 'jean'] });
});
