import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { CatalogModel, VerifyReport } from '../../models/models.ts';
import { CHAT_MODEL, EMBEDDING_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const load = (server: TestServer, model?: string) => server.send('/models/load', { model });

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

  test('tells why a download failed', async () => {
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
