/** The engine worker: stands for election, then builds models, engine and server, and answers trunks. */
import { expose, transfer } from 'comlink';
import type { EnginePage, EngineWorker } from '../protocol.ts';
import { type Election, standForElection } from '../transport/election.ts';
import { answerHeartbeats } from '../transport/heartbeat.ts';
import { createHostEndpoint, type HostEndpoint } from '../transport/host.ts';
import { aliveLock, holdLock } from '../transport/locks.ts';

let election: Election | null = null;
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
    const host = crypto.randomUUID();
    if (leadership !== null) answerHeartbeats(config.base, () => ({ host, ready: endpoint !== null }));

    const { buildServer } = await loadCode(page).catch((error) => {
      leadership?.release();
      throw error;
    });
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
  takeOver(silent) {
    election?.takeOver(silent);
  },
};

/** @throws Error if this worker is of an earlier deploy: its page stands again with that of the current one */
async function loadCode(page: EnginePage): Promise<typeof import('./build.ts')> {
  const because = 'the site was deployed anew since this page was opened';
  const [code, isCurrent] = await Promise.all([
    import('./build.ts').catch((error) => {
      const reason = error instanceof Error ? error.message : error;
      throw new Error(`The engine's code could not be loaded (${reason}): ${because}, or the network is gone`);
    }),
    page.isCurrent(),
  ]);
  if (!isCurrent) throw new Error(`This page's engine is not the site's any more: ${because}`);
  return code;
}

expose(worker);
