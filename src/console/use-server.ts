import { useLayoutEffect, useState } from 'preact/hooks';
import type { Server } from '../index.ts';
import type { Connection } from './status.ts';

/** What is known of the server by now. */
export function useServer(starting: Promise<Server>): Connection {
  const [connection, setConnection] = useState<Connection>({ begun: false });
  // At once, not after the first paint: a rejection must find its handler.
  useLayoutEffect(() => {
    let unsubscribe = () => {};
    let left = false;
    starting.then(
      (server) => {
        if (left) return;
        unsubscribe = server.subscribe((status) =>
          setConnection(({ begun }) => ({
            server,
            status,
            begun: begun || status.models.some((model) => model.state !== 'available'),
          })),
        );
      },
      (error: unknown) => {
        if (!left) setConnection({ begun: false, problem: error instanceof Error ? error.message : String(error) });
      },
    );
    return () => {
      left = true;
      unsubscribe();
    };
  }, [starting]);
  return connection;
}
