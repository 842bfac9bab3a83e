/** Puts models, engine and server together. Only the elected worker loads this. */
import { createWllamaEngine } from '../engine/wllama-engine.ts';
import { createModelStore } from '../models/model-store.ts';
import type { EngineWorkerConfig } from '../protocol.ts';
import { createServer, type ServerOptions } from '../server/server.ts';
import { UPSTREAM_REQUEST } from '../transport/address.ts';
import { createCurrentEngine } from './current-engine.ts';
import { recodePicture } from './recode-picture.ts';
import { createStreamStore } from './stream-store.ts';

export function buildServer(
  base: string,
  config: EngineWorkerConfig,
  decodeAudio: ServerOptions['decodeAudio'],
  isCurrent: () => Promise<boolean>,
): ReturnType<typeof createServer> {
  return createServer({
    models: createModelStore({ catalogUrl: config.catalog, evict: config.evict }),
    engine: createCurrentEngine(createWllamaEngine(config.assets, config.engine), isCurrent),
    defaultModel: config.model,
    aliases: config.aliases,
    apiKeys: config.apiKeys,
    upstream: config.upstream,
    // Past the service worker, where the upstream's address is one that it intercepts.
    fetch: (input, init) => fetch(input, { ...init, ...UPSTREAM_REQUEST }),
    memory: config.memory,
    sleepIdleSeconds: config.sleepIdleSeconds,
    version: __LLAMATAB_VERSION__,
    decodeAudio,
    recodePicture,
    streams: createStreamStore(base),
  });
}
