import { expect, it } from 'vitest';
import { isolated, needsIsolation } from './isolation.ts';

const POLICIES = ['Document-Isolation-Policy', 'Cross-Origin-Opener-Policy', 'Cross-Origin-Embedder-Policy'];

it.each([
  ['Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36', ['isolate-and-credentialless', null, null]],
  ['Mozilla/5.0 Gecko/20100101 Firefox/153.0', [null, 'same-origin', 'credentialless']],
  ['Mozilla/5.0 Version/27.0 Safari/605.1.15', [null, 'same-origin', 'require-corp']],
])('%s', async (userAgent, expected) => {
  const original = new Response('page', { status: 203, headers: { 'Content-Type': 'text/html' } });
  const response = isolated(original, userAgent);
  expect(POLICIES.map((name) => response.headers.get(name))).toEqual(expected);
  expect([response.status, response.headers.get('Content-Type'), await response.text()]).toEqual([
    203,
    'text/html',
    'page',
  ]);
});

it('is COOP and COEP in a Chromium that does not know Document-Isolation-Policy', () => {
  const response = isolated(new Response('page'), 'Mozilla/5.0 Chrome/140.0.0.0 Mobile Safari/537.36', true);
  expect(POLICIES.map((name) => response.headers.get(name))).toEqual([null, 'same-origin', 'credentialless']);
});

it('leaves an error response as it is', () => {
  const response = Response.error();
  expect(isolated(response, 'Chrome/156')).toBe(response);
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
