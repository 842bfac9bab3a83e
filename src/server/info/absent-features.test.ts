import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { createTestServer } from '../testing/test-server.ts';

/** Keys and types, all the way down; of an array, of its first element. */

describe('absent features get llama-server’s answers', () => {
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
