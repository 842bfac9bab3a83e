import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer } from '../testing/test-server.ts';

function talking() {
  const server = createTestServer();
  server.engine.sound = { realtime: true };
  return server;
}

const open = (server: ReturnType<typeof talking>, body: Json = {}) =>
  server.send('/v1/realtime', { session: 's', ...body });
const say = (server: ReturnType<typeof talking>, events: unknown, session = 's') =>
  server.send(`/v1/realtime/${session}`, events);

/** The next event of a stream. */
async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<unknown> {
  const { value } = await reader.read();
  return parseEvents(new TextDecoder().decode(value))[0];
}

test('the client’s events reach the engine in order, and its own come back', async () => {
  const server = talking();
  const stream = await open(server, { intent: 'transcription', seed: 7 });
  expect(stream.headers.get('Content-Type')).toBe('text/event-stream');
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  const created = { type: 'session.created', options: { intent: 'transcription', seed: 7 } };
  expect(await next(reader)).toEqual(created);
  expect((await say(server, [{ type: 'a' }, { type: 'b' }])).status).toBe(204);
  expect([await next(reader), await next(reader)]).toEqual([{ type: 'a' }, { type: 'b' }]);
  expect((await say(server, [{ type: 'c' }])).status).toBe(204);
  expect(await next(reader)).toEqual({ type: 'c' });

  await reader.cancel();
  await expect.poll(() => server.engine.left).toBe(1);
  await expect.poll(async () => (await say(server, [])).status).toBe(404);
});

test('takes turns with other callers', async () => {
  const server = talking();
  server.engine.onConverse = async function* ({ caller }) {
    yield { caller };
  };
  const request = new Request('https://site/v1/realtime', { method: 'POST', body: JSON.stringify({ session: 's' }) });
  const session = await server.fetch(request, { client: 'one' });
  expect(parseEvents(await session.text())).toEqual([{ caller: 'one' }]);
});

test('a session that the engine ends', async () => {
  const server = talking();
  server.engine.onConverse = async function* () {
    yield { type: 'session.created' };
    throw new LlamatabError('server_error', 'audio stream error');
  };
  const events = parseEvents(await (await open(server)).text());
  expect(events).toEqual([
    { type: 'session.created' },
    { error: { code: 500, type: 'server_error', message: 'audio stream error', param: null } },
  ]);
  expect((await say(server, [])).status).toBe(404);
});

test('two sessions, of two ids', async () => {
  const server = talking();
  const first = await open(server);
  const again = await open(server);
  expect([again.status, (await again.json()).error.param]).toEqual([400, 'session']);
  const second = await open(server, { session: 't' });
  expect(second.status).toBe(200);
  await first.body?.cancel();
  await second.body?.cancel();
});

test.each([
  [{ session: '' }, 400, "'session' must be an id"],
  [{ session: 'x'.repeat(65) }, 400, "'session' must be an id"],
  [{ intent: 'chat' }, 400, '\'intent\' must be "transcription" or left out, but is "chat"'],
  [{ seed: 'x' }, 400, "Field 'seed'"],
  [{ model: 'nobody' }, 404, "The model 'nobody' does not exist"],
])('%j', async (body, status, message) => {
  const response = await open(talking(), body);
  const { error } = await response.json();
  expect([response.status, error.message]).toEqual([status, expect.stringContaining(message)]);
});

test('a model without ears', async () => {
  const response = await open(createTestServer());
  expect([response.status, (await response.json()).error.message]).toEqual([
    501,
    'This model does not support realtime audio',
  ]);
});

test('what is no event, or too many of them', async () => {
  const server = talking();
  const stream = await open(server);
  for (const [events, message] of [
    [{}, 'must be an array of events'],
    [[5], 'must be an array of events'],
    [Array(1001).fill({ type: 'a' }), 'the limit is 1000'],
  ] as const) {
    const response = await say(server, events);
    const { error } = await response.json();
    expect([response.status, error.message]).toEqual([400, expect.stringContaining(message)]);
  }
  await stream.body?.cancel();
});
