/** The engine worker: stands for election, then builds models, engine and server, and answers trunks. */
import { expose, transfer } from 'comlink';
import { LlamatabError } from '../errors.ts';
import type { EngineWorker } from '../protocol.ts';
import { createHostEndpoint, type HostEndpoint } from '../transport/host.ts';
import { aliveLock, holdLock, hostLock } from '../transport/locks.ts';

let endpoint: HostEndpoint | null = null;

const worker: EngineWorker = {
  async start(config, page) {
    // Most tabs' workers wait here for as long as they live, and never load the engine's code.
    const leadership = config.solo ? null : await holdLock(hostLock(config.base));
    // Another tab took this worker for dead and stole its lock. There must not be two engines.
    leadership?.stolen.then(() => self.close());

    const { buildServer } = await import('./build.ts').catch((error) => {
      // A tab that waited through a deploy: its files are gone. The next tab in the queue may be of the new one.
      leadership?.release();
      throw new LlamatabError(
        'unavailable_error',
        `The engine's code could not be loaded (${error instanceof Error ? error.message : error}). Was the site deployed anew since this page was opened? Reload it.`,
      );
    });
    const host = crypto.randomUUID();
    const server = buildServer(config, (file, sampleRate) => {
      const { buffer } = file.slice();
      return page.decodeAudio(transfer(buffer, [buffer]), sampleRate);
    });
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
