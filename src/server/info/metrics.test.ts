import { describe, expect, test } from 'vitest';
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
    const timings = { cache_n: 10, prompt_n: 20, prompt_ms: 500, predicted_n: 8, predicted_ms: 2000 };
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
