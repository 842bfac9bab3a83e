import { describe, expect, test } from 'vitest';
import type { Json, TuningReport } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import {
  CHAT_MODEL,
  createTestServer,
  EMBEDDING_MODEL,
  type FakeModel,
  Gate,
  parseEvents,
  type TestServer,
} from './fakes.ts';

async function list(server: TestServer): Promise<Json[]> {
  return ((await (await server.send('/v1/models')).json()) as { data: Json[] }).data;
}

const load = (server: TestServer, model?: string) => server.send('/models/load', { model });

describe('GET /v1/models', () => {
  test('lists the catalog before anything is loaded', async () => {
    const [chat, embedding] = await list(createTestServer());
    expect(chat).toEqual({
      id: CHAT_MODEL.id,
      aliases: ['smollm2'],
      tags: [],
      object: 'model',
      created: 1_700_000_000,
      owned_by: 'llamacpp',
      architecture: { input_modalities: ['text'], output_modalities: ['text'] },
      status: { value: 'unloaded' },
      meta: null,
      name: 'SmolLM2 135M Instruct',
      default: true,
      capabilities: ['chat', 'completion'],
      size: 100,
    });
    expect(embedding).toMatchObject({ id: EMBEDDING_MODEL.id, default: false, capabilities: ['embedding'] });
  });

  test('says how a loaded model runs', async () => {
    const server = createTestServer();
    await server.send('/props');
    const [chat] = await list(server);
    expect(chat?.status).toEqual({
      value: 'loaded',
      runtime: {
        threads: 2,
        gpu: null,
        compat: false,
        variant: 'stock',
        contextSize: 2048,
        slots: 4,
        kvCacheType: 'q8_0',
        build: 'b11364-46ca246',
        source: 'default',
        measured: null,
      },
    });
    expect(chat?.meta).toEqual({
      vocab_type: 2,
      n_vocab: 49152,
      n_ctx: 2048,
      n_ctx_train: 8192,
      n_embd: 4,
      n_params: null,
      size: 100,
      ftype: 'Q4_1',
    });
  });

  test('says what failed', async () => {
    const server = createTestServer();
    server.store.onOpen = () => Promise.reject(new LlamatabError('unavailable_error', 'no space left'));
    expect((await server.send('/props')).status).toBe(503);
    expect((await list(server))[0]?.status).toEqual({ value: 'unloaded', failed: true, error: 'no space left' });
  });

  test('says how a download goes, by file', async () => {
    const server = createTestServer();
    server.store.onOpen = async (report) => {
      report({ loaded: 70, total: 100, speed: 9 });
      await new Promise(() => {});
    };
    await load(server, 'all-minilm-l6-v2');
    expect((await list(server))[1]?.status).toEqual({
      value: 'downloading',
      progress: {
        'minilm-1.gguf': { done: 60, total: 60, speed: 0 },
        'minilm-2.gguf': { done: 10, total: 40, speed: 9 },
      },
    });
  });

  test('gives one model by id, alias or "local"; ids have slashes', async () => {
    const server = createTestServer();
    for (const [name, id] of [
      ['local', CHAT_MODEL.id],
      ['smollm2', CHAT_MODEL.id],
      ['org/all-minilm-l6-v2', EMBEDDING_MODEL.id],
      ['org%2Fall-minilm-l6-v2', EMBEDDING_MODEL.id],
    ]) {
      expect(await (await server.send(`/v1/models/${name}`)).json()).toMatchObject({ id });
    }
    expect((await server.send('/v1/models/gpt-4o')).status).toBe(404);
  });
});

describe('POST /models/load and /models/unload', () => {
  test.each(['', '/v1'])('start and end at once (%s)', async (prefix) => {
    const server = createTestServer();
    const download = new Gate();
    server.store.onOpen = () => download.promise;
    const loaded = await server.send(`${prefix}/models/load`, { model: 'smollm2' });
    expect([loaded.status, await loaded.json()]).toEqual([200, { success: true }]);
    expect(server.store.opens).toBe(1);
    download.open();
    await server.send('/props');
    const unloaded = await server.send(`${prefix}/models/unload`, { model: 'smollm2' });
    expect([unloaded.status, await unloaded.json()]).toEqual([200, { success: true }]);
    expect(server.engine.loaded[0]?.unloaded).toBe(true);
  });

  test.each(['load', 'unload'])('%s: 404 for an unknown model', async (verb) => {
    const response = await createTestServer().send(`/models/${verb}`, { model: 'gpt-4o' });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        code: 404,
        type: 'model_not_found',
        param: 'model',
        message: `The model 'gpt-4o' does not exist. Known models: ${CHAT_MODEL.id}, ${EMBEDDING_MODEL.id}`,
      },
    });
  });
});

describe('GET /models/sse', () => {
  test('tells the state of each model, then each change', async () => {
    const server = createTestServer();
    server.store.onOpen = async (report) => {
      report({ loaded: 40, total: 100, speed: 9 });
    };
    const response = await server.send('/models/sse');
    expect(response.headers.get('Content-Type')).toBe('text/event-stream');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let text = '';
    const readUntil = async (wanted: (events: unknown[]) => boolean) => {
      while (!wanted(parseEvents(text))) text += decoder.decode((await reader.read()).value);
      return parseEvents(text);
    };
    const status = (model: string, status: string, more: Json = {}) => ({
      model,
      event: 'model_status',
      data: { status, ...more },
    });
    expect(await readUntil((events) => events.length === 2)).toEqual([
      status(CHAT_MODEL.id, 'unloaded'),
      status(EMBEDDING_MODEL.id, 'unloaded'),
    ]);
    await load(server);
    // A reader that comes late to a state that is over skips it: only the last is certain.
    const events = await readUntil((events) => JSON.stringify(events).includes('"loaded"'));
    expect(events.at(-1)).toEqual(
      status(CHAT_MODEL.id, 'loaded', { runtime: expect.objectContaining({ threads: 2 }) }),
    );
    await reader.cancel();
  });

  test('tells progress, and its state only once', async () => {
    const server = createTestServer();
    let report = (_: { loaded: number; total: number; speed: number }) => {};
    server.store.onOpen = (reporter) => {
      report = reporter;
      return new Promise(() => {});
    };
    await load(server);
    report({ loaded: 40, total: 100, speed: 9 });
    const abort = new AbortController();
    const response = await server.send('/models/sse', undefined, { signal: abort.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const next = async () => parseEvents(new TextDecoder().decode((await reader.read()).value))[0];
    expect(await next()).toEqual({ model: CHAT_MODEL.id, event: 'model_status', data: { status: 'downloading' } });
    const progress = (done: number) => ({
      model: CHAT_MODEL.id,
      event: 'download_progress',
      data: { 'smollm2.gguf': { done, total: 100, speed: 9 } },
    });
    expect(await next()).toEqual(progress(40));
    await next();
    report({ loaded: 50, total: 100, speed: 9 });
    expect(await next()).toEqual(progress(50));
    abort.abort();
    expect(await reader.read()).toEqual({ done: true, value: undefined });
  });
});

describe('GET /props', () => {
  test('loads the model and shows its settings', async () => {
    const server = createTestServer();
    const props = (await (await server.send('/props?model=smollm2')).json()) as Json;
    expect(props).toMatchObject({
      default_generation_settings: { n_ctx: 2048, params: { temperature: 0.800000011920929 } },
      total_slots: 4,
      model_alias: CHAT_MODEL.id,
      model_path: 'models/smollm2.gguf',
      modalities: { vision: false },
      chat_template: '{{ messages }}',
      build_info: 'b11364-46ca246',
      engine: { kvCacheType: 'q8_0', gpu: null },
    });
  });

  test('tells what was measured, of the plan in use and of the others', async () => {
    const server = createTestServer();
    await server.send('/props');
    const choice = { variant: 'stock', kvCacheType: 'q8_0', flashAttention: true, gpuLayers: 0 } as const;
    const measured = { prompt_per_second: 100, predicted_per_second: 50 };
    const tuning: TuningReport = {
      source: 'measured',
      measured,
      candidates: [
        { ...choice, threads: 2, measured, chosen: true },
        { ...choice, threads: 1, measured: null, chosen: false },
      ],
    };
    (server.engine.loaded[0] as FakeModel).tuning = tuning;
    const { engine } = (await (await server.send('/props')).json()) as { engine: Json };
    expect(engine).toMatchObject({ ...tuning, variant: 'stock', threads: 2 });
    const [chat] = await list(server);
    expect(chat?.status).toMatchObject({ runtime: { source: 'measured', measured } });
  });

  test('autoload=false loads nothing', async () => {
    const server = createTestServer();
    const response = await server.send('/props?autoload=false');
    expect([response.status, ((await response.json()) as { error: Json }).error.message]).toEqual([
      400,
      'model is not loaded',
    ]);
    expect(server.store.opens).toBe(0);
  });
});
