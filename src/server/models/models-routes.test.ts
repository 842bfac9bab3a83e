import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CATALOG, CHAT_MODEL, EMBEDDING_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
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
      aliases: [CHAT_MODEL.id, 'smollm2'],
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

  test('lists the catalog’s tags', async () => {
    const tagged = { ...CATALOG, models: [{ ...CHAT_MODEL, tags: ['small', 'English'] }] };
    expect(await list(createTestServer({}, tagged))).toMatchObject([{ tags: ['small', 'English'] }]);
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
        gpuNote: null,
        compat: false,
        variant: 'stock',
        contextSize: 2048,
        contextNote: null,
        restartNote: null,
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

  test('shows why it failed', async () => {
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
