import { useLayoutEffect, useState } from 'preact/hooks';
import type { Server } from '../index.ts';
import type { Connection } from './status.ts';

/** The server and its status, once it has started, and again after each change. */
export function useServer(starting: Promise<Server>): Connection {
  const [connection, setConnection] = useState<Connection>({ begun: false });
  // Before the first paint, or a rejection might come before its handler.
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
