import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createStayAwake } from './stay-awake.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('asks every page for a message while a body is under way, and only then', async () => {
  const [one, two] = [{ postMessage: vi.fn() }, { postMessage: vi.fn() }];
  const pages = vi.fn(async () => [one, two]);
  let busy = true;
  const stayAwake = createStayAwake(pages, () => busy);

  await vi.advanceTimersByTimeAsync(60_000);
  expect(pages).not.toHaveBeenCalled();

  stayAwake();
  stayAwake();
  await vi.advanceTimersByTimeAsync(12_000);
  expect(one.postMessage.mock.calls).toEqual(Array(4).fill([{ type: 'wake' }]));
  expect(two.postMessage).toHaveBeenCalledTimes(4);

  busy = false;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(one.postMessage).toHaveBeenCalledTimes(4);

  busy = true;
  stayAwake();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(one.postMessage).toHaveBeenCalledTimes(5);
});
