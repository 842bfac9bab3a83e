import { expect, test } from 'vitest';
import { DownloadMeter } from './progress.ts';

test('counts what is stored and what is under way', () => {
  const meter = new DownloadMeter(300, () => 0);
  expect(meter.progress()).toEqual({
    loaded: 0,
    total: 300,
    speed: 0,
    eta: null,
    state: 'checking',
    source: 'this tab',
  });
  meter.stored('a', 100);
  meter.received('b', 30);
  meter.received('c', 10);
  expect(meter.progress().loaded).toBe(140);
  // Started again: what had come does not count.
  meter.received('b', 0);
  expect(meter.progress().loaded).toBe(110);
  meter.received('b', 100);
  meter.stored('b', 100);
  expect(meter.progress().loaded).toBe(210);
});

test('takes the speed over the last seconds, and not from what was stored before', () => {
  let now = 0;
  const meter = new DownloadMeter(1e9, () => now);
  meter.stored('old', 5e8);
  for (let second = 1; second <= 10; second++) {
    now = second * 1000;
    meter.received('new', second * 2_000_000);
  }
  expect(meter.progress().speed).toBeGreaterThan(1_500_000);
  expect(meter.progress().speed).toBeLessThan(3_000_000);
  now += 2000;
  expect(meter.progress().speed).toBeLessThan(1_500_000);
  now += 2000;
  expect(meter.progress().speed).toBe(0);
});

test('does not take the first chunk for a speed', () => {
  let now = 0;
  const meter = new DownloadMeter(1000, () => now);
  meter.received('a', 500);
  now = 1;
  expect(meter.progress().speed).toBe(500);
});

test('tells what it waits for and how long', () => {
  let now = 0;
  const meter = new DownloadMeter(1000, () => now);
  meter.enter('retrying', 'HTTP 503', 2500);
  expect(meter.progress()).toMatchObject({ state: 'retrying', reason: 'HTTP 503', retryIn: 3, eta: null });
  now = 2000;
  expect(meter.progress().retryIn).toBe(1);
  meter.received('a', 500);
  expect(meter.progress()).toMatchObject({ state: 'downloading', eta: 1 });
  expect(meter.progress()).not.toHaveProperty('reason');
});
