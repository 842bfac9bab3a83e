/** The engine worker: stands for election, then builds models, engine and server, and answers trunks. */
import { expose } from 'comlink';
import type { EngineWorker } from '../protocol.ts';
import { createHostEndpoint, type HostEndpoint } from '../transport/host.ts';
import { aliveLock, holdLock, hostLock } from '../transport/locks.ts';

let endpoint: HostEndpoint | null = null;

const worker: EngineWorker = {
  async start(config) {
    // Most tabs' workers wait here for as long as they live, and never load the engine's code.
    const leadership = config.solo ? null : await holdLock(hostLock(config.base));
    // Another tab took this worker for dead and stole its lock. There must not be two engines.
    leadership?.stolen.then(() => self.close());

    const host = crypto.randomUUID();
    const { buildServer } = await import('./build.ts');
    const server = buildServer(config);
    await holdLock(aliveLock(host));
    endpoint = createHostEndpoint(host, server.fetch);
    return host;
  },
  connect(port) {
    if (!endpoint) throw new Error('This worker does not host the engine.');
    endpoint.accept(port);
  },
};

expose(worker);
