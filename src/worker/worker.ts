/** The engine worker: stands for election, then builds models, engine and server, and answers trunks. */
import { expose, transfer } from 'comlink';
import type { EnginePage, EngineSettings, EngineWorker, EngineWorkerConfig } from '../protocol.ts';
import { type Election, standForElection } from '../transport/election.ts';
import { answerHeartbeats } from '../transport/heartbeat.ts';
import { createHostEndpoint, type HostEndpoint } from '../transport/host.ts';
import { aliveLock, holdLock } from '../transport/locks.ts';

type Build = typeof import('./build.ts');

let election: Election | null = null;
let running: { endpoint: HostEndpoint; server: ReturnType<Build['buildServer']>; settings: EngineSettings } | null =
  null;

const worker: EngineWorker = {
  async start(base, solo, page) {
    if (!solo) election = standForElection(base);
    // Most tabs' workers wait here for as long as they live, and never load the engine's code.
    const leadership = (await election?.won) ?? null;
    // Another tab took this worker for dead and stole its lock. There must not be two engines.
    leadership?.stolen.then(() => {
      page.onReplaced();
      self.close();
    });
    const host = crypto.randomUUID();
    if (leadership !== null) answerHeartbeats(base, () => ({ host, ready: running !== null }));

    const { buildServer, config } = await prepare(page).catch((error) => {
      leadership?.release();
      throw error;
    });
    const decodeAudio = (file: Uint8Array, sampleRate: number) => {
      const { buffer } = file.slice();
      return page.decodeAudio(transfer(buffer, [buffer]), sampleRate);
    };
    const server = buildServer(base, config, decodeAudio, () => page.isCurrent());
    await holdLock(aliveLock(host));
    running = { endpoint: createHostEndpoint(host, server.fetch), server, settings: config };
    return host;
  },
  connect(port) {
    if (!running) throw new Error('This worker does not host the engine.');
    running.endpoint.accept(port);
  },
  adopt(settings) {
    if (!running) return false;
    running.server.configure({
      defaultModel: settings.model,
      aliases: settings.aliases,
      apiKeys: settings.apiKeys,
      upstream: settings.upstream,
    });
    return fixedIn(settings) === fixedIn(running.settings);
  },
  isIdle() {
    // Pages watch the models all the time, and ask the next host.
    return running === null || (running.server.isIdle() && running.endpoint.underWay.every((url) => WATCH.test(url)));
  },
  async takeOver(silent) {
    return (await election?.takeOver(silent)) ?? false;
  },
};

const WATCH = /\/models\/sse(\?|$)/;

/** What of the settings an engine has for its life. */
function fixedIn({ catalog, evict, memory, sleepIdleSeconds, engine }: EngineSettings): string {
  return JSON.stringify([catalog, evict, memory, sleepIdleSeconds, engine]);
}

/** @throws Error if this worker is of an earlier deploy: its page stands again with that of the current one */
async function prepare(page: EnginePage): Promise<Build & { config: EngineWorkerConfig }> {
  const because = 'the site was deployed anew since this page was opened';
  const [code, config] = await Promise.all([
    import('./build.ts').catch((error) => {
      const reason = error instanceof Error ? error.message : error;
      throw new Error(`The engine's code could not be loaded (${reason}): ${because}, or the network is gone`);
    }),
    page.onElected(),
  ]);
  if (config === null) throw new Error(`This page's engine is not the site's any more: ${because}`);
  return { buildServer: code.buildServer, config };
}

expose(worker);
