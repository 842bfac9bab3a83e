import { expect, it } from 'vitest';
import { fetchUnderPolicy, remedyOf, remedyOfMessage, watchPolicy } from './content-policy.ts';

it.each([
  ['script-src', 'wasm-eval', "add 'wasm-unsafe-eval' to script-src"],
  ['worker-src', 'blob', 'add blob: to worker-src'],
  ['worker-src', 'blob:https://a.example/1', 'add blob: to worker-src'],
  ['connect-src', 'https://models.example/m.gguf', 'add https://models.example to connect-src'],
])('%s of %s', (effectiveDirective, blockedURI, expected) => {
  const violation = { effectiveDirective, blockedURI, disposition: 'enforce' } as const;
  expect(remedyOf(violation)).toContain(expected);
  expect(remedyOf({ ...violation, disposition: 'report' })).toBeNull();
});

it.each([
  ['CompileError: violates the following Content Security Policy directive: "script-src \'self\'"', 'wasm-unsafe-eval'],
  ['CompileError: call to WebAssembly.instantiateStreaming() blocked by CSP', 'wasm-unsafe-eval'],
  ["Failed to construct 'Worker': Access to the script is denied by the document's Content Security Policy", 'blob:'],
  ['The operation is insecure.', 'add blob: to worker-src'],
  ['CompileError: expected magic word', null],
])('%s', (message, expected) => {
  if (expected === null) expect(remedyOfMessage(message)).toBeNull();
  else expect(remedyOfMessage(message)).toContain(expected);
});

it('remembers the last violation', () => {
  const scope = new EventTarget();
  const watch = watchPolicy(scope);
  expect(watch.remedy).toBeNull();
  const violation = { effectiveDirective: 'worker-src', blockedURI: 'blob', disposition: 'enforce' };
  scope.dispatchEvent(Object.assign(new Event('securitypolicyviolation'), violation));
  expect(watch.remedy).toContain('worker-src');
});

it('fetches, and says which directive forbids it', async () => {
  const scope = new EventTarget();
  const failure = new TypeError('Failed to fetch');
  let forbids = false;
  const fetch = fetchUnderPolicy(scope, async (url) => {
    if (url.endsWith('/there')) return new Response('text');
    const violation = { effectiveDirective: 'connect-src', blockedURI: url, disposition: 'enforce' };
    const event = Object.assign(new Event('securitypolicyviolation'), violation);
    if (forbids) setTimeout(() => scope.dispatchEvent(event));
    throw failure;
  });
  expect(await (await fetch('https://models.example/there')).text()).toBe('text');
  await expect(fetch('https://models.example/m.gguf')).rejects.toBe(failure);
  forbids = true;
  await expect(fetch('https://models.example/m.gguf?key=1')).rejects.toThrow(
    /^https:\/\/models\.example\/m\.gguf can't be reached\. .*add https:\/\/models\.example to connect-src/,
  );
  forbids = false;
  await expect(fetch('https://other.example/m.gguf')).rejects.toBe(failure);
});

it('waits a moment for what a browser tells after the failure', async () => {
  const scope = new EventTarget();
  const watch = watchPolicy(scope);
  expect(await watch.remedyOfFailure()).toBeNull();
  const remedy = watch.remedyOfFailure();
  const violation = { effectiveDirective: 'worker-src', blockedURI: 'blob', disposition: 'enforce' };
  scope.dispatchEvent(Object.assign(new Event('securitypolicyviolation'), violation));
  expect(await remedy).toContain('add blob: to worker-src');
});
