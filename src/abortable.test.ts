import { afterEach, describe, expect, test, vi } from 'vitest';
import { abortable, anySignal } from './abortable.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('abortable', () => {
  test('is the promise, or the reason of an abort', async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve(1), signal)).toBe(1);
    await expect(abortable(Promise.reject(new Error('failed')), signal)).rejects.toThrow('failed');
    const aborted = AbortSignal.abort(new Error('given up'));
    await expect(abortable(new Promise(() => {}), aborted)).rejects.toThrow('given up');
  });
});

describe.each(['the platform’s own', 'by hand'])('anySignal, %s', (how) => {
  /** As before Safari 17.4. */
  const withoutAny = () => {
    if (how === 'by hand') vi.stubGlobal('AbortSignal', { abort: AbortSignal.abort });
  };

  test('is aborted with the first, and its reason', () => {
    withoutAny();
    const [first, second] = [new AbortController(), new AbortController()];
    const either = anySignal(first.signal, second.signal);
    expect(either.aborted).toBe(false);
    second.abort('second');
    first.abort('first');
    expect(either.reason).toBe('second');
  });

  test('is aborted at once where one was before', () => {
    withoutAny();
    const { signal } = new AbortController();
    expect(anySignal(signal, AbortSignal.abort('before')).reason).toBe('before');
  });
});
