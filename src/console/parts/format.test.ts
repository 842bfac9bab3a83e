import { expect, it } from 'vitest';
import {
  formatBytes,
  formatBytesOf,
  formatDuration,
  formatLatency,
  formatProgress,
  formatRate,
  formatTokens,
  percentOf,
} from './format.ts';

/** No-break spaces as plain ones, to read the expectations. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

it('writes bytes with three digits', () => {
  expect([0, 1_234_567, 98_362_432, 982_000_000, 1_270_000_000].map(formatBytes).map(plain)).toEqual([
    '0.00 MB',
    '1.23 MB',
    '98.4 MB',
    '982 MB',
    '1.27 GB',
  ]);
});

it("counts in the total's unit", () => {
  expect(plain(formatBytesOf(4_800_000, 98_362_432))).toBe('4.8 of 98.4 MB');
  expect(plain(formatBytesOf(48_200_000, 1_270_000_000))).toBe('0.05 of 1.27 GB');
});

it('says 100 percent only at the end', () => {
  expect([percentOf(0, 10), percentOf(9_999, 10_000), percentOf(10, 10), percentOf(11, 10), percentOf(0, 0)]).toEqual([
    0, 99, 100, 100, 0,
  ]);
});

it('writes a download on one line', () => {
  expect(plain(formatProgress({ loaded: 48_200_000, total: 98_362_432, speed: 31_000_000 }))).toBe(
    '48.2 of 98.4 MB · 49 % · 31 MB/s · 2 s left',
  );
});

it('leaves out speed and time left while nothing arrives', () => {
  expect(plain(formatProgress({ loaded: 48_200_000, total: 98_362_432, speed: 0 }))).toBe('48.2 of 98.4 MB · 49 %');
  expect(plain(formatProgress({ loaded: 98_362_432, total: 98_362_432, speed: 9 }))).toBe('98.4 of 98.4 MB · 100 %');
});

it('writes times, rates and counts', () => {
  expect([0, 1.2, 65, 3725].map(formatDuration).map(plain)).toEqual(['1 s', '2 s', '1 min 5 s', '1 h 2 min']);
  expect([84.4, 1234, 12_345].map(formatLatency).map(plain)).toEqual(['84 ms', '1.2 s', '12 s']);
  expect([4.2, 42.13, 123.4].map(formatRate).map(plain)).toEqual(['4.2 tokens/s', '42.1 tokens/s', '123 tokens/s']);
  expect([1, 198].map(formatTokens).map(plain)).toEqual(['1 token', '198 tokens']);
});
