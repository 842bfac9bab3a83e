/**
 * IndexedDB as browsers really treat it. They close connections by themselves (Safari when it was long in the background, any browser
 * when site data is cleared or the disk had a fault), abort transactions that were fine, and wait for open connections before they
 * delete a database. None of that may look like a browser that keeps nothing.
 */
import type { UseStore } from 'idb-keyval';

/** Milliseconds before each further attempt of a transaction. The first one only needs another connection. */
const RETRY_DELAYS: readonly number[] = [0, 100, 500];

/**
 * A store of idb-keyval's kind on a connection that is opened when it is needed, and again when it was lost.
 * @param onLost called when the browser closes the connection, or the database is deleted: what was stored may be gone.
 */
export function openDatabase(name: string, storeName: string, onLost: () => void = () => {}): UseStore {
  let connection: Promise<IDBDatabase> | undefined;

  function open(): Promise<IDBDatabase> {
    const opened = new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onupgradeneeded = () => request.result.createObjectStore(storeName);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const forget = () => {
      if (connection === opened) connection = undefined;
    };
    opened.then((database) => {
      database.onclose = () => {
        forget();
        onLost();
      };
      // Somebody deletes the database, and waits until nobody has it open.
      database.onversionchange = () => {
        forget();
        database.close();
        onLost();
      };
    }, forget);
    return opened;
  }

  return async (mode, callback) => {
    connection ??= open();
    const current = connection;
    const database = await current;
    try {
      const transaction = database.transaction(storeName, mode);
      // idb-keyval's `update` waits for its first request, and an aborted transaction never says that it succeeded.
      const aborted = new Promise<never>((_, reject) => {
        transaction.addEventListener('abort', () => reject(transaction.error));
      });
      return await Promise.race([callback(transaction.objectStore(storeName)), aborted]);
    } catch (error) {
      if (isPassing(error) && connection === current) {
        connection = undefined;
        database.close();
      }
      throw error;
    }
  };
}

/**
 * The same store, but what fails for a passing reason is tried again. A browser in which nothing ever worked is not waited for twice.
 * @param delays Milliseconds before each further attempt.
 */
export function retrying(database: UseStore, delays: readonly number[] = RETRY_DELAYS): UseStore {
  let state: 'unknown' | 'works' | 'never worked' = 'unknown';

  return async (mode, callback) => {
    for (const delay of state === 'never worked' ? [] : delays) {
      try {
        const result = await database(mode, callback);
        state = 'works';
        return result;
      } catch (error) {
        if (!isPassing(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
    try {
      return await database(mode, callback);
    } catch (error) {
      if (state === 'unknown') state = 'never worked';
      throw error;
    }
  };
}

/** Of a lost connection or an aborted transaction. An aborted transaction may give no error at all. */
function isPassing(error: unknown): boolean {
  if (error === null || error === undefined) return true;
  return error instanceof Error && PASSING.includes(error.name);
}

const PASSING = ['AbortError', 'InvalidStateError', 'TimeoutError', 'TransactionInactiveError', 'UnknownError'];
