/** Puts models, engine and server together. Loaded only by the worker that is elected. */
import type { EngineOptions } from '../engine/engine.ts';
import { createWllamaEngine } from '../engine/wllama-engine.ts';
import { createModelStore } from '../models/model-store.ts';
import type { EngineWorkerConfig } from '../protocol.ts';
import { createServer, type ServerOptions } from '../server/server.ts';

export function buildServer(
  config: EngineWorkerConfig,
  decodeAudio: ServerOptions['decodeAudio'],
): ReturnType<typeof createServer> {
  return createServer({
    models: createModelStore({ catalogUrl: config.catalog, evict: config.evict }),
    engine: createWllamaEngine(config.assets, config.engine as EngineOptions),
    defaultModel: config.model,
    aliases: config.aliases,
    apiKeys: config.apiKeys,
    memory: config.memory,
    sleepIdleSeconds: config.sleepIdleSeconds,
    version: __LLAMATAB_VERSION__,
    decodeAudio,
  });
}
