/** Routes beside the completions: health, properties, slots, metrics, keys, and features that are not there. */
import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT, createTestServer, Gate, NOW } from './fakes.ts';
import recorded from './golden/services.json' with { type: 'json' };

const CHAT = '/v1/chat/completions';
const question = { messages: [{ role: 'user', content: 'Hi' }] };
const golden = (path: string) => recorded.find((entry) => entry.path === path)?.answer;

/** Keys and types, all the way down; of an array, of its first element. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, shape(entry)]));
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

  test('of a model whose vocabulary is not known still says the rest', async () => {
    const server = createTestServer();
    await server.send('/props');
    const { LlamatabError } = await import('../../errors.ts');
    for (const model of server.engine.loaded) {
      model.tokenizer = () => Promise.reject(new LlamatabError('not_supported_error', 'unknown vocabulary'));
    }
    expect(await (await server.send('/props')).json()).toMatchObject({ bos_token: '', eos_token: '' });
  });

  test('POST is llama-server’s 501', async () => {
    const response = await createTestServer().send('/props', {});
    expect([response.status, await response.json()]).toMatchObject([
      501,
      { error: { message: 'This server does not support changing global properties. Start it with `--props`' } },
    ]);
  });
});

describe('GET /slots', () => {
  test('idle, as llama-server', async () => {
    expect(await (await createTestServer().send('/slots')).json()).toEqual(golden('/slots'));
  });

  test('in use: whose task, without what was asked', async () => {
    const server = createTestServer();
    const end = new Gate();
    server.engine.onComplete = async function* ({ onAccepted }) {
      onAccepted?.();
      yield { object: 'chat.completion.chunk', choices: [] };
      await end.promise;
    };
    const streams = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        server.send(CHAT, { ...question, stream: true, n_predict: 9, temperature: index }),
      ),
    );
    const slots = async () => (await (await server.send('/slots')).json()) as (Json & { params: Json })[];
    await expect.poll(async () => (await slots())[3]?.next_token).toMatchObject([{ n_decoded: 1 }]);
    const busy = await slots();
    expect(busy.map(({ id, id_task, is_processing }) => [id, id_task, is_processing])).toEqual(
      [0, 1, 2, 3].map((id) => [id, id, true]),
    );
    expect(busy[2]).toMatchObject({
      n_ctx: 2048,
      speculative: false,
      params: { temperature: 2, top_k: 40, n_predict: 9, stream: true },
      next_token: [{ has_next_token: true, n_remain: 8, n_decoded: 1 }],
    });
    expect(JSON.stringify(busy)).not.toContain('Hi');
    end.open();
    await Promise.all(streams.map((stream) => stream.text()));
    expect((await slots()).map(({ is_processing }) => is_processing)).toEqual([false, false, false, false]);
  });

  test('fail_on_no_slot', async () => {
    const server = createTestServer();
    await server.send('/slots');
    for (const model of server.engine.loaded) model.load.processing = 4;
    expect((await server.send('/slots')).status).toBe(200);
    const response = await server.send('/slots?fail_on_no_slot=1');
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { error: { type: 'unavailable_error', message: 'no slot available' } },
    ]);
  });

  test('of a model that is not loaded, if it shall not be', async () => {
    const response = await createTestServer().send('/slots?autoload=false');
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'model' } }]);
  });
});

describe('GET /metrics', () => {
  const metric = (text: string, name: string) => Number(text.match(new RegExp(`^llamacpp:${name} (.*)$`, 'm'))?.[1]);

  test('before any request, is llama-server’s text', async () => {
    const response = await createTestServer().send('/metrics');
    expect(response.headers.get('Content-Type')).toBe('text/plain; version=0.0.4');
    expect(response.headers.get('Process-Start-Time-Unix')).toBe(String(NOW / 1000));
    expect(await response.text()).toBe(golden('/metrics'));
  });

  test('counts what was computed, and averages what is new', async () => {
    const server = createTestServer();
    const timings = { cache_n: 10, prompt_n: 20, prompt_ms: 500, predicted_n: 8, predicted_ms: 2000 };
    server.engine.onComplete = async function* () {
      yield { ...CHAT_RESULT, timings };
    };
    await (await server.send(CHAT, question)).text();
    await (await server.send(CHAT, question)).text();
    for (const model of server.engine.loaded) {
      Object.assign(model.load, { processing: 3, deferred: 2, decodes: 10, busySlots: 25 });
    }
    const text = await (await server.send('/metrics')).text();
    const expected = {
      prompt_tokens_total: 40,
      prompt_tokens_cached_total: 20,
      prompt_seconds_total: 1,
      tokens_predicted_total: 16,
      tokens_predicted_seconds_total: 4,
      n_decode_total: 10,
      n_tokens_max: 38,
      prompt_tokens_seconds: 40,
      predicted_tokens_seconds: 4,
      requests_processing: 3,
      requests_deferred: 2,
      n_busy_slots_per_decode: 2.5,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, metric(text, name)]).toEqual([name, value]);

    await server.send('/models/unload', {});
    const later = await (await server.send('/metrics')).text();
    expect([
      metric(later, 'predicted_tokens_seconds'),
      metric(later, 'tokens_predicted_total'),
      metric(later, 'n_decode_total'),
      metric(later, 'requests_processing'),
    ]).toEqual([0, 16, 10, 0]);
  });

  test('loads no model', async () => {
    const server = createTestServer();
    await server.send('/metrics');
    expect(server.store.opens).toBe(0);
  });
});

describe('an API key', () => {
  const server = createTestServer({ apiKeys: ['one', 'two'] });
  const ask = (path: string, headers: Record<string, string>, method = 'GET') =>
    server.send(path, undefined, { method, headers });

  test.each([
    [{}],
    [{ Authorization: 'Bearer three' }],
    [{ Authorization: 'one' }],
    [{ Authorization: 'bearer one' }],
    [{ Authorization: 'Bearer ' }],
    [{ 'X-Api-Key': '' }],
    [{ 'X-Api-Key': 'one', Authorization: 'Bearer three' }],
  ])('%j is not enough', async (headers) => {
    const response = await ask('/props', headers as Record<string, string>);
    expect([response.status, await response.text()]).toEqual([
      401,
      '{"error":{"message":"Invalid API Key","type":"authentication_error","code":401,"param":null}}',
    ]);
    expect(response.headers.get('X-Llamatab')).toBe('1.2.3');
  });

  test.each([[{ Authorization: 'Bearer one' }], [{ Authorization: 'Bearer two' }], [{ 'X-Api-Key': 'two' }]])(
    '%j will do',
    async (headers) => {
      expect((await ask('/props', headers as Record<string, string>)).status).toBe(200);
    },
  );

  test('is not asked for where llama-server asks for none', async () => {
    for (const path of ['/health', '/v1/health', '/models', '/v1/models']) {
      expect([path, (await ask(path, {})).status]).toEqual([path, 200]);
    }
    expect((await ask('/v1/chat/completions', {}, 'OPTIONS')).status).toBe(200);
    for (const path of ['/nothing', '/v1/models/local', '/slots', '/metrics', '/v1/stream?conv_id=x']) {
      expect([path, (await ask(path, {})).status]).toEqual([path, 401]);
    }
  });

  test('a request without it stops no stream', async () => {
    const server = createTestServer({ apiKeys: ['one'] });
    const held = new Gate();
    server.engine.onComplete = async function* ({ onAccepted }) {
      onAccepted?.();
      await held.promise;
      yield { object: 'chat.completion.chunk', choices: [] };
    };
    const send = (key: string) =>
      server.send(CHAT, { ...question, stream: true }, { headers: { 'X-Api-Key': key, 'X-Conversation-Id': 'c' } });
    const stream = await send('one');
    expect((await send('two')).status).toBe(401);
    held.open();
    expect(await stream.text()).toContain('[DONE]');
  });
});

describe('what is not there is llama-server’s answer', () => {
  test.each([
    [
      'POST',
      '/slots/0?action=save',
      501,
      'This server does not support slots action. Start it with `--slot-save-path`',
    ],
    ['POST', '/v1/props', 501, 'This server does not support changing global properties. Start it with `--props`'],
    ['GET', '/tools', 403, 'this feature is disabled'],
    ['POST', '/cors-proxy', 403, 'this feature is disabled'],
    ['DELETE', '/slots', 404, 'File Not Found'],
  ])('%s %s', async (method, path, status, message) => {
    const response = await createTestServer().send(path, undefined, { method });
    const { error } = (await response.json()) as { error: Json };
    expect([response.status, error.message]).toEqual([status, message]);
  });

  test('a disabled feature has no code (sic)', async () => {
    expect(await (await createTestServer().send('/tools')).json()).toEqual({
      error: { message: 'this feature is disabled', type: 'feature_disabled', param: null },
    });
  });

  test('adapters', async () => {
    const server = createTestServer();
    expect(await (await server.send('/lora-adapters')).json()).toEqual([]);
    expect(await (await server.send('/lora-adapters', [{ id: 0, scale: 1 }])).json()).toEqual({ success: true });
    const response = await server.send('/lora-adapters', {});
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { message: 'Request body must be an array' } },
    ]);
  });
});

test.each(['/health', '/props', '/v1/models', '/metrics', '/nothing'])(
  'HEAD %s is GET without its body',
  async (path) => {
    const server = createTestServer();
    const [head, get] = [await server.send(path, undefined, { method: 'HEAD' }), await server.send(path)];
    expect([head.status, await head.text()]).toEqual([get.status, '']);
    expect([...head.headers]).toEqual([...get.headers]);
  },
);
