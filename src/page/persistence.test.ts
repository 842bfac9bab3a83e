import { expect, test, vi } from 'vitest';
import { createPersistenceRequest } from './persistence.ts';

const loaded = [{ state: 'loaded' as const }];
const settled = () => new Promise((resolve) => setTimeout(resolve));

test('asks once, when there is something to keep', async () => {
  const storage = { persisted: async () => false, persist: vi.fn(async () => false) };
  const request = createPersistenceRequest(storage);
  request([{ state: 'available' }]);
  await settled();
  expect(storage.persist).not.toHaveBeenCalled();
  request([{ state: 'available' }, { state: 'downloading' }]);
  request(loaded);
  await settled();
  expect(storage.persist).toHaveBeenCalledOnce();
});

test('does not ask for what was granted', async () => {
  const storage = { persisted: async () => true, persist: vi.fn(async () => true) };
  createPersistenceRequest(storage)(loaded);
  await settled();
  expect(storage.persist).not.toHaveBeenCalled();
});

test('a refusal is no error, nor is a browser that can’t be asked', async () => {
  const refuse = () => Promise.reject(new TypeError('not here'));
  createPersistenceRequest({ persisted: refuse, persist: refuse })(loaded);
  createPersistenceRequest(undefined)(loaded);
  await settled();
});
