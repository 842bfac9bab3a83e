import { expect, it } from 'vitest';
import { isolated, needsIsolation } from './isolation.ts';

const POLICIES = ['Document-Isolation-Policy', 'Cross-Origin-Opener-Policy', 'Cross-Origin-Embedder-Policy'];

it.each([
  ['document-isolation', ['isolate-and-credentialless', null, null]],
  ['credentialless', [null, 'same-origin', 'credentialless']],
  ['require-corp', [null, 'same-origin', 'require-corp']],
  ['none', [null, null, null]],
] as const)('%s', async (policy, expected) => {
  const original = new Response('page', { status: 203, headers: { 'Content-Type': 'text/html' } });
  const response = isolated(original, policy);
  expect(POLICIES.map((name) => response.headers.get(name))).toEqual(expected);
  expect([response.status, response.headers.get('Content-Type'), await response.text()]).toEqual([
    203,
    'text/html',
    'page',
  ]);
});

it('leaves an error response as it is', () => {
  const response = Response.error();
  expect(isolated(response, 'credentialless')).toBe(response);
});

it.each([
  ['navigate', 'document', true],
  ['navigate', 'iframe', true],
  ['same-origin', 'worker', true],
  ['same-origin', 'sharedworker', true],
  ['cors', 'script', false],
  ['no-cors', 'image', false],
  ['cors', '', false],
] as const)('needs headers: %s of a %s? %s', (mode, destination, expected) => {
  expect(needsIsolation({ mode, destination })).toBe(expected);
});
