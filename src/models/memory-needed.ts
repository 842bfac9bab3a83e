/** How much memory a model needs, and whether the device has it. */
import type { GgufHeader } from '../gguf/header.ts';
import { kvElementsPerToken } from '../gguf/memory.ts';
import type { SpaceReport } from './models.ts';

/** Bytes of an element of the KV cache in f16. */
const F16 = 2;

/** Bytes: 4 GiB is the most that wllama's memory grows to. */
export const ENGINE_MEMORY = 4 * 2 ** 30;

/**
 * Computes the memory that a model needs from its header.
 *
 * It is an upper bound: see `kvElementsPerToken`.
 *
 * @param weights Bytes of all its files.
 * @param contextLength Tokens of one request.
 * @param deviceMemory GiB, as `navigator.deviceMemory` gives them (rounded, and 8 at most in most browsers); undefined if not.
 */
export function memoryNeeded(
  header: GgufHeader,
  weights: number,
  contextLength: number,
  deviceMemory: number | undefined,
): SpaceReport['memory'] {
  const kvCache = kvElementsPerToken(header) * contextLength * F16;
  const total = weights + kvCache;
  const available = Math.min(ENGINE_MEMORY, deviceMemory === undefined ? ENGINE_MEMORY : deviceMemory * 2 ** 30);
  return { weights, kvCache, total, contextLength, available, enough: total <= available };
}
