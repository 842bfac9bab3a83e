import { describe, expect, test, vi } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { createTestServer } from '../testing/test-server.ts';
import { loadMedia } from './media.ts';

const SEER = { ...CHAT_MODEL, capabilities: ['chat' as const, 'vision' as const, 'audio' as const] };

function seeing(options: Parameters<typeof createTestServer>[0] = {}) {
  const server = createTestServer(options, { ...CATALOG, models: [SEER] });
  server.engine.media = { image: true, audio: true };
  return server;
}

const image = (url: unknown) => ({ type: 'image_url', image_url: { url } });
const text = (text: string) => ({ type: 'text', text });
const RED = 'data:image/png;base64,AQID';

async function ask(server: ReturnType<typeof seeing>, content: unknown) {
  const response = await server.send('/v1/chat/completions', { messages: [{ role: 'user', content }] });
  return { status: response.status, json: (await response.json()) as { error: Json } };
}

test('media become files, and markers in the text around them', async () => {
  const server = seeing();
  const audio = { type: 'input_audio', input_audio: { data: 'BAUG', format: 'wav' } };
  await ask(server, [text('a'), text('b'), image(RED), text('c'), text('d'), audio, image('Bwg=')]);
  const [request] = server.engine.completions;
  expect(request?.files?.map((file) => [...file])).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8],
  ]);
  expect(request?.body.messages).toEqual([
    {
      role: 'user',
      content: [text('a'), text('b<__media__>c'), text('d<__media__><__media__>')],
    },
  ]);
});

test('a sound in any format, in base64, a data URI or `url`: the browser decodes what the engine can’t', async () => {
  const server = seeing({ decodeAudio: async () => new Float32Array(2) });
  server.engine.sound = { inputRate: 16_000 };
  const ogg = btoa('OggS');
  const sound = (input_audio: Json) => ({ type: 'input_audio', input_audio });
  await ask(server, [sound({ data: `data:audio/ogg;base64,${ogg}` }), sound({ url: ogg, format: 'ogg' }), image(RED)]);
  const [request] = server.engine.completions;
  expect(request?.files?.map(({ length }) => length)).toEqual([44 + 4, 44 + 4, 3]);
});

test('what the catalog promises and the model does not keep', async () => {
  const server = seeing();
  server.engine.media = { image: true };
  const { status, json } = await ask(server, [{ type: 'input_audio', input_audio: { data: 'BAUG' } }]);
  expect([status, json.error.message]).toEqual([500, expect.stringMatching(/^audio input is not supported/)]);
});

test('the model’s descriptions tell', async () => {
  const server = seeing();
  const { data } = await (await server.send('/v1/models')).json();
  expect(data[0].architecture.input_modalities).toEqual(['text', 'image', 'audio']);
  const { modalities } = await (await server.send('/v1/props')).json();
  expect(modalities).toEqual({ vision: true, video: false, audio: true });
});

test('text alone has no files', async () => {
  const server = seeing();
  await ask(server, [text('a')]);
  expect(server.engine.completions[0]?.files).toBeUndefined();
});

describe('a prompt that would end with an image, which the engine can’t bear', () => {
  const send = async (path: string, body: Json) => {
    const server = seeing();
    const response = await server.send(path, body);
    const { error } = (await response.json()) as { error?: Json };
    return [response.status, error?.param, server.engine.completions.length];
  };
  const chat = (role: string, content: unknown[], more: Json = {}) =>
    send('/v1/chat/completions', { messages: [{ role, content }], ...more });

  test('is refused', async () => {
    expect(await chat('assistant', [text('a'), image(RED)])).toEqual([400, 'messages', 0]);
    expect(await chat('user', [image(RED)], { add_generation_prompt: false })).toEqual([400, 'messages', 0]);
    const { media_marker } = (await (await seeing().send('/props')).json()) as { media_marker: string };
    const prompt = { prompt_string: `a ${media_marker}`, multimodal_data: ['AQID'] };
    expect(await send('/completion', { prompt })).toEqual([400, 'prompt', 0]);
  });

  test('with text after it is not', async () => {
    expect(await chat('assistant', [image(RED), text('\n')])).toEqual([200, undefined, 1]);
    expect(await chat('user', [image(RED)])).toEqual([200, undefined, 1]);
  });
});

describe('faults', () => {
  const cases: [content: unknown[], status: number, message: string][] = [
    [[image('data:text/plain;base64,AAAA')], 400, 'Invalid uri format: data:text/plain;base64'],
    [[image('data:image/png,AAAA')], 400, 'uri must be base64 encoded'],
    [[image('data:image/png;base64,A,B')], 400, 'Invalid uri-encoded base64 value'],
    [[image('data:image/png;base64,%')], 400, 'Invalid uri-encoded base64 value'],
    [[image('file:///x')], 400, 'file:// URLs are not allowed unless --media-path is specified'],
    [[image('%')], 500, 'Invalid base64 value'],
    [[image(5)], 500, 'Invalid base64 value'],
    [[{ type: 'image_url' }], 500, 'Invalid base64 value'],
    [[{ type: 'input_audio' }], 500, 'Invalid base64 value'],
    [[{ type: 'input_audio', input_audio: { data: '%', format: 'ogg' } }], 500, 'Invalid base64 value'],
    [
      [{ type: 'video_url', video_url: { url: 'data:video/mp4;base64,AAAA' } }],
      500,
      'video input is not supported - hint: if this is unexpected, you may need to provide the mmproj',
    ],
    [
      [{ type: 'input_video' }],
      500,
      'video input is not supported - hint: if this is unexpected, you may need to provide the mmproj',
    ],
    [Array(65).fill(image(RED)), 400, 'The messages have more than 64 images and sounds. Send fewer.'],
  ];
  test.each(cases)('%j', async (content, status, message) => {
    const server = seeing();
    const answer = await ask(server, content);
    expect([answer.status, answer.json.error]).toMatchObject([status, { message, param: 'messages' }]);
    expect(server.engine.loads).toEqual([]);
  });
});

describe('from the web', () => {
  const url = 'https://elsewhere/a.png';
  const load = (response: Response | Error, signal = new AbortController().signal) => {
    const fetch = vi.fn(async () => (response instanceof Error ? Promise.reject(response) : response));
    return { fetch, loaded: loadMedia([{ kind: 'image', url }], signal, fetch) };
  };

  test('without credentials', async () => {
    const { fetch, loaded } = load(new Response(Uint8Array.of(1, 2)));
    expect(await loaded).toEqual([Uint8Array.of(1, 2)]);
    expect(fetch).toHaveBeenCalledWith(
      url,
      expect.objectContaining({ credentials: 'omit', referrerPolicy: 'no-referrer' }),
    );
  });

  test.each([
    ['HTTP 404', new Response('', { status: 404 })],
    ['more than 10485760 bytes', new Response(new Uint8Array(10 * 1024 * 1024 + 1))],
    ['CORS', new TypeError('Failed to fetch')],
  ])('%s', async (message, response) => {
    await expect(load(response).loaded).rejects.toMatchObject({
      type: 'invalid_request_error',
      message: expect.stringMatching(new RegExp(`^The image ${url} can't be fetched: .*${message}.*data: URI\\.$`)),
    });
  });

  test('an abort is an abort', async () => {
    const abort = new AbortController();
    abort.abort();
    await expect(load(new TypeError('Failed to fetch'), abort.signal).loaded).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
