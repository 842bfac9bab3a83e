/** What all requests share; every route gets it. */
import type { ModelStore } from '../../models/models.ts';
import type { Upstream } from '../http/upstream.ts';
import type { ModelNaming } from './model-names.ts';
import type { ModelPool } from './model-pool.ts';
import type { ModelWork } from './model-work.ts';
import type { Monitor } from './monitor.ts';

/** Decodes any format that the browser knows to one channel of samples from -1 to 1. Rejects if it knows it not. */
export type DecodeAudio = (file: Uint8Array, sampleRate: number) => Promise<Float32Array<ArrayBuffer>>;

/**
 * Decodes any picture that the browser knows, upright, and encodes it as PNG with at most `maxPixels`. Rejects if it does not
 * know it.
 */
export type RecodePicture = (file: Uint8Array, maxPixels: number) => Promise<Uint8Array>;

export interface ServerContext {
  models: ModelStore;
  pool: ModelPool;
  work: ModelWork;
  monitor: Monitor;
  naming: ModelNaming;
  /**
   * Stands for an image in a text. Each server draws its own, as llama-server does, so that no text contains it by
   * accident.
   */
  mediaMarker: string;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** When the request was made, likewise: to every host that answers it. */
  askedAt: () => number;
  /** Draws an unsigned 32-bit integer: for one request, the same ones on every host. */
  random: () => number;
  /** For sounds in formats that the engine can't read; undefined where there is no browser. */
  decodeAudio: DecodeAudio | undefined;
  /** For pictures that the engine can't read; undefined where there is no browser. */
  recodePicture: RecodePicture | undefined;
  /** For what this device can't do. */
  upstream: Upstream;
}

export function unixSeconds({ clock }: ServerContext): number {
  return Math.floor(clock() / 1000);
}

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Ends in 32 random characters, as llama-server's ids do. */
export function randomId({ random }: Pick<ServerContext, 'random'>, prefix = ''): string {
  const characters = Array.from({ length: 32 }, () => ALPHANUMERIC[random() % ALPHANUMERIC.length]);
  return `${prefix}${characters.join('')}`;
}

/** For text completions too, as in llama-server. */
export function completionId(context: ServerContext): string {
  return randomId(context, 'chatcmpl-');
}
