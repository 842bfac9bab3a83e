import { describe, expect, test } from 'vitest';
import { EngineLost, type Json } from '../../engine/engine.ts';
import type { Delivered } from '../../protocol.ts';
import { ALWAYS_ADMITTED, MAX_WAITING } from '../state/model-pool.ts';
import { Gate } from '../testing/gate.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const SLOTS = 4;

const chunk = (content: string): Json => ({
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
});

/** @param taken Whether another host had taken it on, and what that has delivered, if anything. */
function ask({ fetch }: TestServer, content: string, client: string, taken?: 'again' | Delivered): Promise<Response> {
  const body = JSON.stringify({ messages: [{ role: 'user', content }], stream: true });
  return fetch(new Request('https://site/v1/chat/completions', { method: 'POST', body }), {
    client,
    ...(taken === 'again' ? { again: true } : { delivered: taken }),
  });
}

const textOf = async (response: Response | Promise<Response>) => (await response).text();

describe('a full queue', () => {
  test.each<[string, 'again' | Delivered]>([
    ['had taken on', 'again'],
    ['had begun', { status: 200, bytes: new TextEncoder().encode(':\n\n') }],
  ])('lets in what another host %s, where the model is still to be loaded', async (_, taken) => {
    const server = createTestServer();
    const loading = new Gate();
    server.engine.onLoad = () => loading.promise;
    server.engine.onComplete = async function* () {
      yield chunk('one');
    };
    const all = Array.from({ length: MAX_WAITING + SLOTS }, () => textOf(ask(server, 'Hi', 'a', taken)));
    await expect.poll(() => server.engine.loads.length).toBe(1);
    expect(await textOf(ask(server, 'Hi', 'a'))).toContain('The queue is full');
    loading.open();
    for (const text of await Promise.all(all)) expect(text).toContain('one');
  });

  test('lets in the rest of an answer, after the loss of its engine', async () => {
    const server = createTestServer();
    const [asked, others] = [new Gate(), new Gate()];
    const attempts = [['One', ' two'], ['One', ' too'], [' and three']];
    server.engine.onComplete = async function* ({ body, onAccepted }) {
      onAccepted?.();
      if (!JSON.stringify(body.messages).includes('Count')) {
        await others.promise;
        yield chunk('.');
        return;
      }
      const words = attempts.shift() ?? [];
      for (const word of words) yield chunk(word);
      if (attempts.length < 2) return;
      await asked.promise;
      const lost = new EngineLost('The engine crashed: unreachable');
      server.engine.loaded.at(-1)?.lostGate.open(lost);
      throw lost;
    };
    const counting = ask(server, 'Count', 'greedy');
    await expect.poll(() => server.engine.completions.length).toBe(1);
    const waiting = [
      ...Array.from({ length: MAX_WAITING + SLOTS - 1 }, () => ask(server, 'Hi', 'greedy')),
      ...Array.from({ length: ALWAYS_ADMITTED }, () => ask(server, 'Hi', 'modest')),
    ];
    await expect.poll(() => server.engine.completions.length).toBe(1 + waiting.length);
    asked.open();
    const text = await textOf(counting);
    expect(text).toContain('and three');
    expect(text).not.toContain('error');
    others.open();
    await Promise.all(waiting.map(textOf));
  });
});
