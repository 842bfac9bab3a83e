/** Resumable streams in IndexedDB, by site. Where the browser keeps nothing, they end with their host. */
import { del, entries, set } from 'idb-keyval';
import { openDatabase, retrying } from '../database.ts';
import type { StoredStream, StreamStore } from '../server/http/resumable-streams.ts';

/** @param base of the site: others of the origin have their own conversations. */
export function createStreamStore(base: string): StreamStore {
  const database = retrying(openDatabase('llamatab-streams', 'streams'));
  const keyOf = (id: string) => `${base} ${id}`;
  return {
    all: () =>
      orElse([], async () => {
        const all = await entries<string, StoredStream>(database);
        return all.filter(([key]) => key.startsWith(`${base} `)).map(([, stream]) => stream);
      }),
    put: (stream) => orElse(undefined, () => set(keyOf(stream.id), stream, database)),
    delete: (id) => orElse(undefined, () => del(keyOf(id), database)),
  };
}

/** Without IndexedDB, idb-keyval throws even before it returns a promise. */
async function orElse<T>(otherwise: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch {
    return otherwise;
  }
}
