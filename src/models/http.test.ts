import { expect, test } from 'vitest';
import { pause, retryAfter, size } from './http.ts';

test('Retry-After is a number of seconds or a date', () => {
  const at = (value?: string) => retryAfter(new Headers(value === undefined ? {} : { 'Retry-After': value }), 1000);
  expect(at('120')).toBe(120);
  expect(at('Thu, 01 Jan 1970 00:00:31 GMT')).toBe(30);
  expect(at('Thu, 01 Jan 1970 00:00:00 GMT')).toBe(0);
  expect(at('soon')).toBeNull();
  expect(at()).toBeNull();
});

test('a pause ends by its time, by being woken, or with the reason of an abort', async () => {
  const never = new AbortController().signal;
  await pause(1, never);
  await pause(60_000, never, AbortSignal.abort());
  await expect(pause(60_000, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
});

test('sizes as disks are sold', () => {
  expect([0, 1_500_000, 999_949_999, 2_500_000_000].map(size)).toEqual(['0.0 MB', '1.5 MB', '999.9 MB', '2.50 GB']);
});
