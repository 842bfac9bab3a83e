/** The server on top of a fake engine and a fake store. */
import { createServer, type Server, type ServerOptions } from '../server.ts';
import { CATALOG } from './catalog.ts';
import { FakeEngine } from './fake-engine.ts';
import { FakeStore } from './fake-store.ts';
import { seededRandom } from './seeded-random.ts';

export interface TestServer extends Server {
  engine: FakeEngine;
  store: FakeStore;
  /** Sends a request to `path`: a POST if there is a body, which is sent as JSON unless it is a string. */
  send(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
}

export const NOW = 1_700_000_000_000;

export function createTestServer(options: Partial<ServerOptions> = {}, catalog = CATALOG): TestServer {
  const engine = new FakeEngine();
  const store = new FakeStore(catalog);
  const random = seededRandom(1);
  const server = createServer(
    { models: store, engine, version: '1.2.3', ...options },
    () => NOW,
    () => Math.floor(random() * 2 ** 32),
  );
  return {
    ...server,
    engine,
    store,
    send: (path, body, init = {}) =>
      server.fetch(
        new Request(`https://site${path}`, {
          ...(body === undefined
            ? {}
            : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
          ...init,
        }),
      ),
  };
}
