/** What every route is given, and what each does first with a request. */
import { LlamatabError } from '../../errors.ts';
import type { Capability, CatalogModel, ModelStore } from '../../models/models.ts';
import type { DecodeAudio } from '../audio/sound.ts';
import { readAutoload } from './autoload.ts';
import type { ModelNaming } from './model-names.ts';
import type { ModelRouter } from './model-router.ts';
import type { ModelWork } from './model-work.ts';
import type { Monitor } from './monitor.ts';

export interface ServerContext {
  models: ModelStore;
  router: ModelRouter;
  work: ModelWork;
  monitor: Monitor;
  naming: ModelNaming;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** Draws an unsigned 32-bit integer. */
  random: () => number;
  /** For sounds in formats that the engine can't read; undefined where there is no browser. */
  decodeAudio: DecodeAudio | undefined;
}

/** Aborts when the request's sender goes away, or when told to. */
export function abortWith(request: Request): AbortController {
  const abort = new AbortController();
  // Without the sender's reason: an abort is then an AbortError everywhere.
  if (request.signal.aborted) abort.abort();
  else request.signal.addEventListener('abort', () => abort.abort(), { once: true });
  readAutoload(request, abort.signal);
  return abort;
}

export function unixSeconds({ clock }: ServerContext): number {
  return Math.floor(clock() / 1000);
}

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** 32 characters, as llama-server's ids have after their prefix. */
export function randomId({ random }: ServerContext, prefix = ''): string {
  const characters = Array.from({ length: 32 }, () => ALPHANUMERIC[random() % ALPHANUMERIC.length]);
  return `${prefix}${characters.join('')}`;
}

/** For text completions too, as in llama-server. */
export function completionId(context: ServerContext): string {
  return randomId(context, 'chatcmpl-');
}

export function hasCapability(model: CatalogModel, ...capabilities: Capability[]): boolean {
  return capabilities.some((capability) => model.capabilities.includes(capability));
}

/** @throws LlamatabError llama-server's answer (sic) where a model that only embeds is asked for text. */
export function requireCompletion(model: CatalogModel): void {
  if (hasCapability(model, 'chat', 'completion')) return;
  throw new LlamatabError('server_error', 'the current context does not logits computation. skipping', {
    param: 'model',
  });
}
