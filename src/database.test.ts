import 'fake-indexeddb/auto';
import { get, set, update } from 'idb-keyval';
import { expect, it, vi } from 'vitest';
import { openDatabase, retrying } from './database.ts';

const request = (request: IDBRequest) =>
  new Promise<void>((resolve, reject) => {
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });

it('keeps nobody from deleting the database, tells of it, and goes on with a new one', async () => {
  const onLost = vi.fn();
  const database = openDatabase('deleted', 'things', onLost);
  await set('key', 'value', database);
  expect(await get('key', database)).toBe('value');
  await request(indexedDB.deleteDatabase('deleted'));
  expect(onLost).toHaveBeenCalledOnce();
  expect(await get('key', database)).toBeUndefined();
  await set('key', 'new', database);
  expect(await get('key', database)).toBe('new');
});

it('opens the database again when the browser has closed the connection', async () => {
  const database = retrying(openDatabase('closed', 'things'));
  await set('key', 'value', database);
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementationOnce(function (
    this: IDBDatabase,
  ) {
    throw new DOMException('The database connection is closing.', 'InvalidStateError');
  });
  expect(await get('key', database)).toBe('value');
  expect(transaction).toHaveBeenCalledTimes(2);
});

it('tries again what the browser aborted before it had read anything', async () => {
  const database = retrying(openDatabase('aborted', 'things'));
  await set('key', 1, database);
  const { transaction } = IDBDatabase.prototype;
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementationOnce(function (this: IDBDatabase, ...args) {
    const aborted = transaction.apply(this, args);
    queueMicrotask(() => aborted.abort());
    return aborted;
  });
  await update<number>('key', (value = 0) => value + 1, database);
  expect(await get('key', database)).toBe(2);
});

it('does not wait again and again for a browser in which nothing ever worked', async () => {
  const broken = vi.fn(() => Promise.reject(new DOMException('not here', 'InvalidStateError')));
  const database = retrying(broken, [0, 0]);
  await expect(get('key', database)).rejects.toThrow('not here');
  expect(broken).toHaveBeenCalledTimes(3);
  await expect(get('key', database)).rejects.toThrow('not here');
  expect(broken).toHaveBeenCalledTimes(4);
});

it.each(['QuotaExceededError', 'DataCloneError'])('does not try again what failed with %s', async (name) => {
  const full = vi.fn(() => Promise.reject(new DOMException('', name)));
  await expect(set('key', 1, retrying(full))).rejects.toThrow();
  expect(full).toHaveBeenCalledOnce();
});
