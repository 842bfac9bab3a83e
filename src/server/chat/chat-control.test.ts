import { expect, test } from 'vitest';
import { createTestServer } from '../testing/test-server.ts';

test.each([
  [{}, 'id', 'missing completion id'],
  [{ id: 5 }, 'id', 'missing completion id'],
  [{ id: 'chatcmpl-1' }, 'action', 'unknown control action'],
  [{ id: 'chatcmpl-1', action: 'x' }, 'action', 'unknown control action'],
])('%j', async (body, param, message) => {
  const response = await createTestServer().send('/v1/chat/completions/control', body);
  expect([response.status, await response.json()]).toEqual([
    400,
    { error: { code: 400, message, type: 'invalid_request_error', param } },
  ]);
});

test('what cannot be done here is said', async () => {
  const body = { id: 'chatcmpl-1', action: 'reasoning_end' };
  const response = await createTestServer().send('/v1/chat/completions/control', body);
  expect([response.status, await response.json()]).toEqual([
    200,
    { success: false, message: expect.stringContaining('reasoning_budget_tokens') },
  ]);
});
