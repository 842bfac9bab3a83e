import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { VerifyReport } from '../../models/models.ts';
import { CHAT_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const post = async (server: TestServer, path: string, body: unknown) => {
  const response = await server.send(path, body);
  return { status: response.status, json: (await response.json()) as Json & { error: Json } };
};

describe('POST /models', () => {
  test.each(['/models', '/v1/models'])('%s begins a download and says so', async (path) => {
    const server = createTestServer();
    server.store.onWork = () => new Promise(() => {});
    expect(await post(server, path, { model: 'smollm2' })).toEqual({
      status: 200,
      json: { success: true, model: CHAT_MODEL.id },
    });
    // A second request joins the same download.
    await post(server, path, { model: CHAT_MODEL.id });
    expect(server.store.calls).toEqual([
      ['download', CHAT_MODEL.id],
      ['resume', CHAT_MODEL.id],
    ]);
  });

  test('waits for the end, if asked to; an error is the answer', async () => {
    const server = createTestServer();
    const download = new Gate<VerifyReport>();
    server.store.onWork = () => download.promise;
    const waiting = post(server, '/models', { model: 'local', wait: true });
    download.fail(new LlamatabError('unavailable_error', 'part 2 is missing (404)'));
    expect(await waiting).toMatchObject({ status: 503, json: { error: { message: 'part 2 is missing (404)' } } });
  });

  test.each([
    ['https://other.example/m.gguf', { kind: 'url', url: 'https://other.example/m.gguf' }],
    ['owner/repo', { kind: 'hub', endpoint: 'https://hub', repo: 'owner/repo', tag: 'Q4_K_M' }],
    ['owner/repo:Q8_0', { kind: 'hub', endpoint: 'https://hub', repo: 'owner/repo:Q8_0', tag: 'Q4_K_M' }],
  ])('adds %s', async (name, source) => {
    const server = createTestServer();
    const { json } = await post(server, '/models', { model: name, id: 'mine', token: 'secret', download: false });
    expect(json).toEqual({ success: true, model: 'mine' });
    expect(server.store.calls).toEqual([['add', source, { id: 'mine', token: 'secret' }]]);
    const { data } = (await (await server.send('/models')).json()) as { data: Json[] };
    expect(data.at(-1)).toMatchObject({ id: 'mine', source: source.kind, can_remove: true });
    expect(JSON.stringify(data)).not.toContain('secret');
  });

  test.each([
    [{}, 400, 'model'],
    [{ model: 5 }, 400, 'model'],
    [{ model: 'nobody' }, 404, 'model'],
    [{ model: 'local', wait: 'yes' }, 400, 'wait'],
    [{ model: 'local', download: 1 }, 400, 'download'],
    [{ model: 'owner/repo', token: 5 }, 400, 'token'],
  ])('%j is refused', async (body, status, param) => {
    const server = createTestServer();
    const { json, ...answer } = await post(server, '/models', body);
    expect([answer.status, json.error.param]).toEqual([status, param]);
    expect(server.store.calls).toEqual([]);
  });
});

describe('a download', () => {
  const download = { loaded: 10, total: 100, speed: 0, state: 'paused' } as const;

  test('pauses, goes on, and ends', async () => {
    const server = createTestServer();
    await server.store.set(CHAT_MODEL, { state: 'partial', download });
    for (const verb of ['pause', 'resume', 'cancel']) {
      expect((await post(server, `/v1/models/${verb}`, { model: 'local' })).json).toEqual({ success: true });
    }
    expect(server.store.calls.map(([verb]) => verb)).toEqual(['pause', 'resume', 'cancel']);
  });

  test('is taken up that another visit left, or is thrown away', async () => {
    const server = createTestServer();
    await server.store.set(CHAT_MODEL, { state: 'partial', loaded: 10 });
    await post(server, '/v1/models/resume', { model: 'local' });
    await post(server, '/v1/models/cancel', { model: 'local' });
    expect(server.store.calls.map(([verb]) => verb)).toEqual(['download', 'remove']);
  });

  test('that is over stays: nothing is deleted by a late click', async () => {
    const server = createTestServer();
    await server.store.set(CHAT_MODEL, { state: 'complete', loaded: 100 });
    await post(server, '/v1/models/resume', { model: 'local' });
    await post(server, '/v1/models/cancel', { model: 'local' });
    expect(server.store.calls).toEqual([]);
  });

  test('ends with an unload, as in llama-server; what has come stays', async () => {
    const server = createTestServer();
    let signal: AbortSignal | undefined;
    server.store.onWork = (_, __, options) => {
      signal = options.signal;
      return new Promise(() => {});
    };
    await post(server, '/models', { model: 'local' });
    await post(server, '/models/unload', { model: 'local' });
    expect(signal?.aborted).toBe(true);
    expect(server.store.calls.map(([verb]) => verb)).not.toContain('remove');
  });
});

describe('POST /v1/models/verify and /repair', () => {
  const report: VerifyReport = {
    ok: false,
    checked: 90,
    bad: [{ file: 'smollm2.gguf', part: 2, of: 3, reason: 'its SHA-256 is another' }],
  };

  test.each(['verify', 'repair'])('%s reports', async (verb) => {
    const server = createTestServer();
    server.store.onWork = async () => report;
    const { json } = await post(server, `/v1/models/${verb}`, { model: 'smollm2' });
    expect(json).toEqual({ model: CHAT_MODEL.id, ...report });
    expect(server.store.calls).toEqual([[verb, CHAT_MODEL.id]]);
  });

  test('requests share a check; a repair follows it', async () => {
    const server = createTestServer();
    const checks = [new Gate<VerifyReport>(), new Gate<VerifyReport>()];
    let number = 0;
    server.store.onWork = () => (checks[number++] as Gate<VerifyReport>).promise;
    const waiting = ['verify', 'verify', 'repair'].map((verb) => post(server, `/v1/models/${verb}`, {}));
    await expect.poll(() => server.store.calls.length).toBe(1);
    const { data } = (await (await server.send('/models')).json()) as { data: { files: Json }[] };
    expect(data[0]?.files.work).toMatchObject({ loaded: 0, total: 100, state: 'verifying' });
    checks[0]?.open(report);
    await expect.poll(() => server.store.calls.length).toBe(2);
    checks[1]?.open({ ...report, ok: true });
    expect((await Promise.all(waiting)).map(({ json }) => json.ok)).toEqual([false, false, true]);
  });

  test('a client that goes away ends only its own wait', async () => {
    const server = createTestServer();
    const check = new Gate<VerifyReport>();
    server.store.onWork = () => check.promise;
    const abort = new AbortController();
    const body = JSON.stringify({ model: 'local' });
    const impatient = server.send('/v1/models/verify', undefined, { method: 'POST', body, signal: abort.signal });
    const patient = post(server, '/v1/models/verify', { model: 'local' });
    await expect.poll(() => server.store.calls.length).toBe(1);
    abort.abort();
    expect((await impatient).status).toBe(503);
    check.open(report);
    expect((await patient).json).toMatchObject({ checked: 90 });
  });
});

test('POST /v1/models/pin', async () => {
  const server = createTestServer();
  await post(server, '/v1/models/pin', { model: 'local' });
  await post(server, '/v1/models/pin', { model: 'local', pinned: false });
  expect(server.store.calls).toEqual([
    ['pin', CHAT_MODEL.id, true],
    ['pin', CHAT_MODEL.id, false],
  ]);
  const { status, json } = await post(server, '/v1/models/pin', { model: 'local', pinned: 'no' });
  expect([status, json.error.param]).toEqual([400, 'pinned']);
});

describe('GET /v1/models/space', () => {
  const get = async (query: string) => (await createTestServer().send(`/v1/models/space${query}`)).json();

  test('reports what a model needs and what is available', async () => {
    expect(await get('?model=smollm2')).toMatchObject({
      model: CHAT_MODEL.id,
      disk: { needed: 100, enough: true },
      memory: { total: 110, contextLength: 2048 },
    });
    expect(await get('?context=512')).toMatchObject({ memory: { contextLength: 512 } });
  });

  test.each(['0', '-5', '1e99', 'x'])('context=%s is refused', async (context) => {
    expect(await get(`?context=${context}`)).toMatchObject({ error: { code: 400, param: 'context' } });
  });
});
