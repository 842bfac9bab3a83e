import { describe, expect, test } from 'vitest';
import type { Json, TuningReport } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { CatalogModel, VerifyReport } from '../../models/models.ts';
import { CHAT_MODEL, EMBEDDING_MODEL } from '../testing/catalog.ts';
import type { FakeModel } from '../testing/fake-engine.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

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
      source: 'site',
      can_remove: false,
      status: { value: 'unloaded' },
      meta: null,
      name: 'SmolLM2 135M Instruct',
      default: true,
      capabilities: ['chat', 'completion'],
      size: 100,
      contextLength: 2048,
      authors: 'Hugging Face',
      license: 'Apache-2.0',
      files: {
        state: 'absent',
        loaded: 0,
        total: 100,
        names: ['smollm2.gguf'],
        pinned: false,
        lastUsed: null,
        kept: 'disk',
      },
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
        memory: 100,
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
      n_params: 134_515_008,
      size: 96,
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
    const files = expect.objectContaining({ state: 'absent', total: 100 });
    const status = (model: string, status: string, more: Json = {}) => ({
      model,
      event: 'model_status',
      data: { status, ...more, files },
    });
    expect(await readUntil((events) => events.length === 2)).toEqual([
      status(CHAT_MODEL.id, 'unloaded'),
      status(EMBEDDING_MODEL.id, 'unloaded'),
    ]);
    await load(server);
    // A reader that comes late to a state that is over skips it: only the last is certain.
    const events = await readUntil((events) => JSON.stringify(events).includes('"status":"loaded"'));
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
    expect(await next()).toMatchObject({
      model: CHAT_MODEL.id,
      event: 'model_status',
      data: { status: 'downloading', files: { state: 'absent' } },
    });
    const progress = (done: number) => ({
      model: CHAT_MODEL.id,
      event: 'download_progress',
      data: { 'smollm2.gguf': { done, total: 100, speed: 9 } },
      work: { loaded: done, total: 100, speed: 9 },
    });
    expect(await next()).toEqual(progress(40));
    await next();
    report({ loaded: 50, total: 100, speed: 9 });
    expect(await next()).toEqual(progress(50));
    abort.abort();
    expect(await reader.read()).toEqual({ done: true, value: undefined });
  });

  test('tells of models that are added, downloaded, pinned, checked and removed', async () => {
    const server = createTestServer();
    const response = await server.send('/models/sse');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let text = '';
    /** The events since the last call, up to the first of that name. */
    const until = async (name: string): Promise<Json[]> => {
      for (;;) {
        const events = parseEvents(text) as Json[];
        const found = events.findIndex(({ event }) => event === name);
        if (found >= 0) {
          text = '';
          return events.slice(0, found + 1);
        }
        text += decoder.decode((await reader.read()).value);
      }
    };
    await until('model_status');
    await until('model_status');

    await server.send('/v1/models', { model: 'https://hub/m.gguf', id: 'mine', download: false });
    expect(await until('model_status')).toEqual([
      { model: '*', event: 'models_reload' },
      { model: 'mine', event: 'model_status', data: { status: 'unloaded', files: expect.anything() } },
    ]);
    const mine = (await server.store.catalog()).models.find(({ id }) => id === 'mine') as CatalogModel;
    const download = { loaded: 20, total: 100, speed: 5, eta: 16, state: 'downloading' } as const;
    await server.store.set(mine, { state: 'partial', loaded: 20, download });
    const [, progress] = [await until('model_status'), await until('download_progress')];
    expect(progress.at(-1)).toEqual({
      model: 'mine',
      event: 'download_progress',
      data: { 'smollm2.gguf': { done: 20, total: 100, speed: 5 } },
      work: download,
    });
    await server.store.set(mine, { state: 'complete', loaded: 100, download: undefined as never });
    expect((await until('download_finished'))[0]).toMatchObject({ data: { files: { state: 'complete' } } });
    await server.send('/v1/models/pin', { model: 'mine' });
    expect((await until('model_status'))[0]).toMatchObject({ data: { files: { pinned: true } } });

    const check = new Gate<VerifyReport>();
    server.store.onWork = (_, __, { onProgress }) => {
      onProgress?.({ loaded: 50, total: 100, speed: 0, state: 'verifying' });
      return check.promise;
    };
    const checking = server.send('/v1/models/verify', { model: 'mine' });
    expect((await until('verify_progress')).at(-1)).toMatchObject({ data: { loaded: 50, total: 100 } });
    check.open({ ok: true, checked: 100, bad: [] });
    expect((await checking).status).toBe(200);
    await until('model_status');
    await server.send('/v1/models/mine', undefined, { method: 'DELETE' });
    expect((await until('model_remove')).at(-1)).toEqual({ model: 'mine', event: 'model_remove' });
    await reader.cancel();
  });

  test('tells what a download failed of', async () => {
    const server = createTestServer();
    const download = { loaded: 20, total: 100, speed: 5 };
    await server.store.set(CHAT_MODEL, { state: 'partial', loaded: 20, download });
    const response = await server.send('/models/sse');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    const events = async (name: string) => {
      while (!text.includes(name)) text += new TextDecoder().decode((await reader.read()).value);
      return parseEvents(text);
    };
    await events('download_progress');
    const error = new LlamatabError('unavailable_error', 'part 3 of 4: its SHA-256 is another');
    await server.store.set(CHAT_MODEL, { state: 'failed', error, download: undefined as never });
    expect(await events('download_failed')).toContainEqual(
      expect.objectContaining({
        model: CHAT_MODEL.id,
        data: expect.objectContaining({ status: 'unloaded', failed: true, error: error.message }),
      }),
    );
    await reader.cancel();
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
