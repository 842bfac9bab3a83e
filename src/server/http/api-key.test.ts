import { describe, expect, test } from 'vitest';
import { Gate } from '../testing/gate.ts';
import { createTestServer } from '../testing/test-server.ts';

const CHAT = '/v1/chat/completions';

const question = { messages: [{ role: 'user', content: 'Hi' }] };

/** Keys and types, all the way down; of an array, of its first element. */

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
