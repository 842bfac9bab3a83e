/** A page's way to the host. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeLocks } from '../../test/support/fake-locks.ts';
import { createConnection } from './connection.ts';
import type { EngineHost } from './engine-host.ts';

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('navigator', { locks: new FakeLocks() });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('asks the service worker again and again for a host, until it is closed, and not after that', async () => {
  let asked = 0;
  const registration = { active: { postMessage: () => asked++ } } as unknown as ServiceWorkerRegistration;
  const standing = { whenHosting: () => new Promise(() => {}) } as Partial<EngineHost>;
  const connection = createConnection(standing as EngineHost, registration);
  void connection.find();
  await vi.advanceTimersByTimeAsync(25_000);
  expect(asked).toBe(3);
  connection.close();
  void connection.find();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toBe(3);
  expect(vi.getTimerCount()).toBe(0);

  const closed = createConnection(standing as EngineHost, registration);
  closed.close();
  void closed.find();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toBe(3);
});
