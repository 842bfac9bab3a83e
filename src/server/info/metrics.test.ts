import { describe, expect, test, vi } from 'vitest';
import type { CatalogModel } from '../../models/models.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import recorded from '../testing/recorded-answers/services.json' with { type: 'json' };
import { createTestServer, NOW } from '../testing/test-server.ts';

const CHAT = '/v1/chat/completions';

const question = { messages: [{ role: 'user', content: 'Hi' }] };

const golden = (path: string) => recorded.find((entry) => entry.path === path)?.answer;

/** Keys and types, all the way down; of an array, of its first element. */

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
    const timings = {
      cache_n: 10,
      prompt_n: 20,
      prompt_ms: 500,
      predicted_n: 8,
      predicted_ms: 2000,
      draft_n: 6,
      draft_n_accepted: 5,
    };
    server.engine.onComplete = async function* () {
      yield { ...CHAT_RESULT, timings };
    };
    await (await server.send(CHAT, question)).text();
    await (await server.send(CHAT, question)).text();
    for (const model of server.engine.loaded) {
      Object.assign(model.workload, { processing: 3, deferred: 2, decodes: 10, busySlots: 25 });
    }
    const text = await (await server.send('/metrics')).text();
    const expected = {
      prompt_tokens_total: 40,
      prompt_tokens_cached_total: 20,
      prompt_seconds_total: 1,
      tokens_predicted_total: 16,
      tokens_predicted_seconds_total: 4,
      n_decode_total: 10,
      spec_decode_num_draft_tokens_total: 12,
      spec_decode_num_accepted_tokens_total: 10,
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

  test('counts what is embedded and scored, and time in which several are computed once', async () => {
    vi.useFakeTimers();
    try {
      const reranker: CatalogModel = { ...CHAT_MODEL, id: 'reranker', aliases: [], capabilities: ['rerank'] };
      const server = createTestServer({}, { ...CATALOG, models: [...CATALOG.models, reranker] });
      server.engine.onEmbed = async ({ input }) => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        return { embedding: [1, 0, 0, 0], tokens: input.length };
      };
      const model = 'all-minilm-l6-v2';
      const answered = server.send('/v1/embeddings', { model, input: ['abc', 'defgh'] });
      await vi.advanceTimersByTimeAsync(500);
      expect((await answered).status).toBe(200);
      const ranked = server.send('/v1/rerank', { model: 'reranker', query: 'ab', documents: ['cdefghijk'] });
      expect((await ranked).status).toBe(200);
      const text = await (await server.send('/metrics')).text();
      const of = (name: string) => metric(text, name);
      expect([of('prompt_tokens_total'), of('prompt_seconds_total'), of('n_tokens_max')]).toEqual([19, 0.5, 11]);
      expect(of('tokens_predicted_total')).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('loads no model', async () => {
    const server = createTestServer();
    await server.send('/metrics');
    expect(server.store.opens).toBe(0);
  });
});
