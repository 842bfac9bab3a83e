/** The engine worker: stands for election, then builds models, engine and server, and answers trunks. */
import { expose, transfer } from 'comlink';
import { LlamatabError } from '../errors.ts';
import type { EngineWorker } from '../protocol.ts';
import { type Election, standForElection } from '../transport/election.ts';
import { answerHeartbeats } from '../transport/heartbeat.ts';
import { createHostEndpoint, type HostEndpoint } from '../transport/host.ts';
import { aliveLock, holdLock } from '../transport/locks.ts';

let election: Election | null = null;
let host: string | null = null;
let endpoint: HostEndpoint | null = null;

const worker: EngineWorker = {
  async start(config, page) {
    if (!config.solo) election = standForElection(config.base);
    // Most tabs' workers wait here for as long as they live, and never load the engine's code.
    const leadership = (await election?.won) ?? null;
    // Another tab took this worker for dead and stole its lock. There must not be two engines.
    leadership?.stolen.then(() => {
      page.onReplaced();
      self.close();
    });
    if (leadership !== null) answerHeartbeats(config.base, () => host);

    const { buildServer } = await import('./build.ts').catch((error) => {
      // A tab that waited through a deploy: its files are gone. The next tab in the queue may be of the new one.
      leadership?.release();
      throw new LlamatabError(
        'unavailable_error',
        `The engine's code could not be loaded (${error instanceof Error ? error.message : error}). Was the site deployed anew since this page was opened? Reload it.`,
      );
    });
    const id = crypto.randomUUID();
    const server = buildServer(config, (file, sampleRate) => {
      const { buffer } = file.slice();
      return page.decodeAudio(transfer(buffer, [buffer]), sampleRate);
    });
    await holdLock(aliveLock(id));
    endpoint = createHostEndpoint(id, server.fetch);
    host = id;
    return id;
  },
  connect(port) {
    if (!endpoint) throw new Error('This worker does not host the engine.');
    endpoint.accept(port);
  },
  takeOver(silent) {
    election?.takeOver(silent);
  },
};

expose(worker);
