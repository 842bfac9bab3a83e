import { describe, expect, test } from 'vitest';
import type { Json, TuningReport } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CHAT_MODEL } from '../testing/catalog.ts';
import type { FakeModel } from '../testing/fake-engine.ts';
import recorded from '../testing/recorded-answers/services.json' with { type: 'json' };
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const golden = (path: string) => recorded.find((entry) => entry.path === path)?.answer;

/** Keys and types, all the way down; of an array, of its first element. */

function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, shape(entry)]));
}

async function list(server: TestServer): Promise<Json[]> {
  return ((await (await server.send('/v1/models')).json()) as { data: Json[] }).data;
}

describe('GET /props', () => {
  test.each(['/props', '/v1/props'])('%s has all of llama-server’s keys, and ours', async (path) => {
    const server = createTestServer();
    const { engine, audio, ...props } = (await (await server.send(path)).json()) as Json;
    expect(shape(props)).toEqual(shape(golden('/props')));
    expect(engine).toMatchObject({ slots: 4, requests: { processing: 0, deferred: 0 } });
    expect(audio).toEqual({ input_rate: 0, output_rate: 0, voices: [], realtime: false, live: false });
    const wanted = golden('/props') as Json & { default_generation_settings: { params: Json } };
    const { params, n_ctx } = props.default_generation_settings as { params: Json; n_ctx: number };
    expect([params, n_ctx]).toEqual([wanted.default_generation_settings.params, 2048]);
    expect(props).toMatchObject({ bos_token: '\u0001', eos_token: '\u0002', endpoint_slots: true, is_sleeping: false });
    expect(props.media_marker).toMatch(/^<__media_[A-Za-z0-9]{32}__>$/);
    expect(await (await server.send(path)).json()).toMatchObject({ media_marker: props.media_marker });
  });

  test('of a model with an unknown vocabulary has the rest', async () => {
    const server = createTestServer();
    await server.send('/props');
    for (const model of server.engine.loaded) {
      model.tokenizer = () => Promise.reject(new LlamatabError('not_supported_error', 'unknown vocabulary'));
    }
    expect(await (await server.send('/props')).json()).toMatchObject({ bos_token: '', eos_token: '' });
  });

  test('of a model whose template can’t be parsed: the one in its place, and why', async () => {
    const server = createTestServer();
    server.engine.metadata['tokenizer.chat_template'] = '{{ .System }}';
    server.engine.templateFault = 'unexpected character: .';
    const props = (await (await server.send('/props')).json()) as Json;
    expect(props).toMatchObject({
      chat_template: expect.stringContaining('<|im_start|>'),
      chat_template_error: 'unexpected character: .',
    });
  });

  test('POST is llama-server’s 501', async () => {
    const response = await createTestServer().send('/props', {});
    expect([response.status, await response.json()]).toMatchObject([
      501,
      { error: { message: 'This server does not support changing global properties. Start it with `--props`' } },
    ]);
  });

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

  test('shows the measurements of the plan in use and of the others', async () => {
    const server = createTestServer();
    await server.send('/props');
    const choice = {
      variant: 'stock',
      kvCacheType: 'q8_0',
      flashAttention: true,
      gpuLayers: 0,
      drafting: 'none',
    } as const;
    const measured = { prompt_per_second: 100, predicted_per_second: 50 };
    const tuning: TuningReport = {
      source: 'measured',
      measured,
      candidates: [
        { ...choice, threads: 2, estimated: measured, measured, chosen: true },
        {
          ...choice,
          threads: 1,
          estimated: { prompt_per_second: 70, predicted_per_second: 30 },
          measured: null,
          chosen: false,
        },
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
