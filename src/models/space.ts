/** What a model takes of the device. */
import type { GgufHeader } from '../gguf/gguf.ts';
import type { SpaceReport } from './models.ts';

/** Bytes of an element of the KV cache in f16. */
const F16 = 2;

/** Bytes: 4 GiB is the most that wllama's memory grows to. */
export const ENGINE_MEMORY = 4 * 2 ** 30;

/** Tokens, for a header that does not say: what the oldest models had. */
const DEFAULT_CONTEXT = 2048;

/** Longest context that the model was trained for, in tokens. */
export function trainedContext({ metadata, architecture }: GgufHeader): number {
  const length = metadata.get(`${architecture}.context_length`);
  return typeof length === 'number' && length > 0 ? length : DEFAULT_CONTEXT;
}

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

/** Keys and values of all layers, for one token. An encoder keeps nothing from one token to the next. */
export function kvElementsPerToken({ metadata, architecture }: GgufHeader): number {
  const value = (key: string) => metadata.get(`${architecture}.${key}`);
  const number = (key: string) => {
    const found = value(key);
    return typeof found === 'number' ? found : undefined;
  };
  if (number('pooling_type') !== undefined || value('attention.causal') === false) return 0;
  const layers = number('block_count') ?? 0;
  const heads = perLayer(value('attention.head_count')) ?? [1];
  const kvHeads = perLayer(value('attention.head_count_kv')) ?? heads;
  const headSize = number('attention.key_length') ?? (number('embedding_length') ?? 0) / Math.max(1, ...heads);
  const valueSize = number('attention.value_length') ?? headSize;
  let elements = 0;
  // Some architectures have a number for each layer, 0 for those without attention.
  for (let layer = 0; layer < Math.min(layers, 4096); layer++) {
    elements += (kvHeads[Math.min(layer, kvHeads.length - 1)] ?? 0) * (headSize + valueSize);
  }
  return elements;
}

function perLayer(value: ReturnType<GgufHeader['metadata']['get']>): number[] | undefined {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value.values === null) return undefined;
  const numbers = value.values.filter((item): item is number => typeof item === 'number');
  return numbers.length > 0 ? numbers : undefined;
}
