import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { Gate } from '../testing/gate.ts';
import recorded from '../testing/recorded-answers/services.json' with { type: 'json' };
import { createTestServer } from '../testing/test-server.ts';

const CHAT = '/v1/chat/completions';

const question = { messages: [{ role: 'user', content: 'Hi' }] };

const golden = (path: string) => recorded.find((entry) => entry.path === path)?.answer;

/** Keys and types, all the way down; of an array, of its first element. */

describe('GET /slots', () => {
  test('idle, as llama-server', async () => {
    expect(await (await createTestServer().send('/slots')).json()).toEqual(golden('/slots'));
  });

  test('in use: shows the task without its prompt', async () => {
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
    for (const model of server.engine.loaded) model.workload.processing = 4;
    expect((await server.send('/slots')).status).toBe(200);
    const response = await server.send('/slots?fail_on_no_slot=1');
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { error: { type: 'unavailable_error', message: 'no slot available' } },
    ]);
  });

  test('of a model that is not loaded, with autoload=false', async () => {
    const response = await createTestServer().send('/slots?autoload=false');
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'model' } }]);
  });
});
