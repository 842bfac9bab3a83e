/** Puts models, engine and server together. Only the elected worker loads this. */
import { fetchUnderPolicy } from '../content-policy.ts';
import { createWllamaEngine } from '../engine/wllama-engine.ts';
import { createModelStore } from '../models/model-store.ts';
import type { EngineWorkerConfig } from '../protocol.ts';
import { createServer, type ServerOptions } from '../server/server.ts';
import { pastServiceWorker } from '../transport/address.ts';
import { createCurrentEngine } from './current-engine.ts';
import { recodePicture } from './recode-picture.ts';
import { createStreamStore } from './stream-store.ts';

const fetch = fetchUnderPolicy();

export function buildServer(
  base: string,
  config: EngineWorkerConfig,
  decodeAudio: ServerOptions['decodeAudio'],
  isCurrent: () => Promise<boolean>,
): ReturnType<typeof createServer> {
  return createServer({
    models: createModelStore({ catalogUrl: config.catalog, evict: config.evict, fetch }),
    engine: createCurrentEngine(createWllamaEngine(config.assets, config.engine), isCurrent),
    defaultModel: config.model,
    aliases: config.aliases,
    apiKeys: config.apiKeys,
    upstream: config.upstream,
    askUpstream: (url, init) => fetch(pastServiceWorker(url), init),
    memory: config.memory,
    sleepIdleSeconds: config.sleepIdleSeconds,
    version: __LLAMATAB_VERSION__,
    decodeAudio,
    recodePicture,
    streams: createStreamStore(base),
  });
}
