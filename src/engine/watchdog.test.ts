import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Watchdog } from './watchdog.ts';

let hung: number[];
let watchdog: Watchdog;
/** Milliseconds that the machine sleeps in addition to what the timers see. */
let asleep: number;

beforeEach(() => {
  vi.useFakeTimers();
  hung = [];
  asleep = 0;
  watchdog = new Watchdog(
    (seconds) => hung.push(seconds),
    () => Date.now() + asleep,
  );
});
afterEach(() => {
  vi.useRealTimers();
});

it('tells of a call that takes longer than its limit, once', () => {
  watchdog.watch(10);
  vi.advanceTimersByTime(9_000);
  expect(hung).toEqual([]);
  vi.advanceTimersByTime(20_000);
  expect(hung).toEqual([10]);
  expect(vi.getTimerCount()).toBe(0);
});

it('gives each call its time from the end of the one before', () => {
  const [first, second] = [watchdog.watch(10), watchdog.watch(10)];
  vi.advanceTimersByTime(8_000);
  first();
  vi.advanceTimersByTime(8_000);
  second();
  vi.advanceTimersByTime(60_000);
  expect(hung).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

it('does not count the time that a machine or a tab was asleep', () => {
  watchdog.watch(10);
  vi.advanceTimersByTime(3_000);
  asleep = 3_600_000;
  vi.advanceTimersByTime(5_000);
  expect(hung).toEqual([]);
  vi.advanceTimersByTime(10_000);
  expect(hung).toEqual([10]);
});
