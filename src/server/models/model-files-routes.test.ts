import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { CatalogModel } from '../../models/models.ts';
import { CHAT_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const post = async (server: TestServer, path: string, body: unknown) => {
  const response = await server.send(path, body);
  return { status: response.status, json: (await response.json()) as Json & { error: Json } };
};

const model = async (server: TestServer, id: string) =>
  (await server.store.catalog()).models.find((model) => model.id === id) as CatalogModel;

describe('POST /v1/models/import', () => {
  const file = new File(['GGUF…'], 'mine.gguf');
  const request = (body: BodyInit, query = '') =>
    new Request(`https://site/v1/models/import${query}`, { method: 'POST', body });

  test('takes files beside the request', async () => {
    const server = createTestServer();
    const response = await server.fetch(request(JSON.stringify({ id: 'mine' })), { files: [file] });
    expect(await response.json()).toEqual({ success: true, model: 'mine' });
    expect(server.store.calls).toEqual([['add', { kind: 'file', name: 'mine.gguf' }, { id: 'mine' }]]);
  });

  test('takes the file itself as the body', async () => {
    const server = createTestServer();
    await server.fetch(request(file, '?name=other.gguf&id=mine'));
    expect(server.store.calls).toEqual([['add', { kind: 'file', name: 'other.gguf' }, { id: 'mine' }]]);
  });

  test('streams progress', async () => {
    const server = createTestServer();
    const half = new Gate();
    server.store.onAdd = async ({ onProgress }) => {
      onProgress?.({ loaded: 50, total: 100, speed: 7, eta: 7 });
      await half.promise;
      onProgress?.({ loaded: 100, total: 100, speed: 7, eta: 0 });
    };
    const response = await server.fetch(request(JSON.stringify({ id: 'mine', stream: true })), { files: [file] });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    expect(parseEvents(first)).toEqual([{ loaded: 50, total: 100, speed: 7, eta: 7 }]);
    half.open();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest += new TextDecoder().decode(value);
    }
    expect(parseEvents(rest)).toContainEqual({ success: true, model: 'mine' });
  });

  test('says what is wrong with a file', async () => {
    const server = createTestServer();
    server.store.onAdd = () => Promise.reject(new LlamatabError('invalid_request_error', 'x.txt is no GGUF'));
    const response = await server.fetch(request('{}'), { files: [file] });
    expect([response.status, ((await response.json()) as { error: Json }).error.message]).toEqual([
      400,
      'x.txt is no GGUF',
    ]);
  });

  test('an abort ends the copying', async () => {
    const server = createTestServer();
    let signal: AbortSignal | undefined;
    server.store.onAdd = (options) => {
      signal = options.signal;
      options.onProgress?.({ loaded: 1, total: 100, speed: 0 });
      return new Promise(() => {});
    };
    const response = await server.fetch(request('{"stream":true}'), { files: [file] });
    await response.body?.cancel();
    expect(signal?.aborted).toBe(true);
  });
});

describe('GET /v1/models/export', () => {
  const get = async (query: string) => {
    const server = createTestServer();
    server.store.exported = [new File(['abc'], 'smollm2.gguf'), new File(['defg'], 'mmproj é.gguf')];
    return server.send(`/v1/models/export${query}`);
  };

  test('gives all as an archive, or one file', async () => {
    const archive = await get('?model=local');
    expect(Object.fromEntries(archive.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '7',
      'content-disposition': "attachment; filename*=UTF-8''smollm2-135m-instruct.tar",
    });
    expect(await archive.text()).toBe('abcdefg');
    const file = await get('?file=mmproj%20%C3%A9.gguf');
    expect(file.headers.get('Content-Disposition')).toBe("attachment; filename*=UTF-8''mmproj%20%C3%A9.gguf");
    expect(await file.text()).toBe('defg');
  });

  test('knows the names of the files', async () => {
    expect(await (await get('?file=none')).json()).toMatchObject({
      error: { code: 400, param: 'file', message: expect.stringContaining('Its files: smollm2.gguf, mmproj é.gguf') },
    });
  });
});

describe('DELETE', () => {
  test.each([
    '/models?model=smollm2',
    '/v1/models?model=smollm2',
    '/models/smollm2',
    '/v1/models/smollm2-135m-instruct',
  ])('%s frees its memory and deletes its files', async (path) => {
    const server = createTestServer();
    await server.send('/props');
    const response = await server.send(path, undefined, { method: 'DELETE' });
    expect(await response.json()).toEqual({ success: true });
    expect(server.engine.loaded[0]?.unloaded).toBe(true);
    expect(server.store.calls).toEqual([['remove', CHAT_MODEL.id]]);
    expect((await server.send('/v1/models/smollm2')).status).toBe(200);
  });

  test('forgets a model that was added', async () => {
    const server = createTestServer();
    await post(server, '/models', { model: 'owner/repo', id: 'own/mine', download: false });
    expect(await model(server, 'own/mine')).toBeDefined();
    await server.send('/v1/models/own/mine', undefined, { method: 'DELETE' });
    expect((await server.send('/v1/models/own/mine')).status).toBe(404);
  });

  test.each([
    ['/v1/models', 'not_found_error'],
    ['/v1/models/nobody', 'model_not_found'],
  ])('%s: 404', async (path, type) => {
    const server = createTestServer();
    const response = await server.send(path, undefined, { method: 'DELETE' });
    expect([response.status, ((await response.json()) as { error: Json }).error.type]).toEqual([404, type]);
    expect(server.store.calls).toEqual([]);
  });
});
