/** How much memory a model needs, and whether the device has it. */
import type { GgufHeader } from '../gguf/header.ts';
import { kvElementsPerToken } from '../gguf/memory.ts';
import type { SpaceReport } from './models.ts';

/** Bytes of an element of the KV cache in f16. */
const F16 = 2;

/** Bytes: 4 GiB is the most that wllama's memory grows to. */
export const ENGINE_MEMORY = 4 * 2 ** 30;

/**
 * Memory of a model, computed from its header.
 *
 * An upper bound: layers with a sliding window, or with a state instead of a cache, take less.
 *
 * @param weights Bytes of all its files.
 * @param contextLength Tokens of one request.
 * @param deviceMemory GiB as the browser tells them (`navigator.deviceMemory`: rounded, at most 8 in most); undefined where not.
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
