/** How much memory a model takes, as far as its header tells: the size of its KV cache, and the context that it was made for. */
import type { GgufHeader, GgufValue } from './header.ts';

/** Tokens, for a header that does not say: what the oldest models had. */
const DEFAULT_CONTEXT = 2048;

/** `LLAMA_MAX_LAYERS` is 512; a header that claims more must not keep us counting. */
const MAX_LAYERS = 4096;

type Header = Pick<GgufHeader, 'architecture' | 'metadata'>;

/** Longest context that the model was trained for, in tokens. */
export function trainedContext(header: Header): number {
  const length = number(header, 'context_length');
  return length !== undefined && length > 0 ? length : DEFAULT_CONTEXT;
}

/**
 * Elements of keys and values that one token adds to the KV cache, over all layers. 0 for an encoder, which keeps nothing from
 * one token to the next.
 *
 * An upper bound: layers with a sliding window, or with a recurrent state instead of a cache, take less.
 */
export function kvElementsPerToken(header: Header): number {
  // Pooling type 0 is none: a header may say so of a model that generates.
  if ((number(header, 'pooling_type') ?? 0) > 0 || value(header, 'attention.causal') === false) return 0;
  const keySize = headSize(header);
  const valueSize = number(header, 'attention.value_length') ?? keySize;
  return kvHeadsByLayer(header).reduce((sum, heads) => sum + heads * (keySize + valueSize), 0);
}

/** In the keys of layers that keep a state from token to token in place of keys and values. */
const RECURRENT = /\.(ssm|wkv|shortconv|kda)\./;

/** Whether the model keeps more than a KV cache from one token to the next. */
export function hasRecurrentState({ architecture, metadata }: Header): boolean {
  return [...metadata.keys()].some((key) => key.startsWith(`${architecture}.`) && RECURRENT.test(key));
}

/** Elements of the keys, or the values, whichever are more, that one token adds to one layer; of the largest layer. */
export function kvElementsOfLargestLayer(header: Header): number {
  const keySize = headSize(header);
  const valueSize = number(header, 'attention.value_length') ?? keySize;
  return Math.max(0, ...kvHeadsByLayer(header)) * Math.max(keySize, valueSize);
}

function kvHeadsByLayer(header: Header): number[] {
  const layers = Math.min(number(header, 'block_count') ?? 0, MAX_LAYERS);
  const heads = perLayer(value(header, 'attention.head_count_kv')) ?? headCounts(header);
  return Array.from({ length: layers }, (_, layer) => heads[Math.min(layer, heads.length - 1)] ?? 0);
}

/** Elements of one head's key. */
export function headSize(header: Header): number {
  const embedding = number(header, 'embedding_length') ?? 0;
  return number(header, 'attention.key_length') ?? embedding / Math.max(1, ...headCounts(header));
}

function headCounts(header: Header): number[] {
  return perLayer(value(header, 'attention.head_count')) ?? [1];
}

/** An entry of the model's architecture. */
function value({ metadata, architecture }: Header, key: string): GgufValue | undefined {
  return metadata.get(`${architecture}.${key}`);
}

function number(header: Header, key: string): number | undefined {
  const found = value(header, key);
  return typeof found === 'number' ? found : undefined;
}

/** Most architectures have one number for all layers; some have a list, with 0 for layers without attention. */
function perLayer(found: GgufValue | undefined): number[] | undefined {
  if (typeof found === 'number') return [found];
  if (typeof found !== 'object' || found.values === null) return undefined;
  const numbers = found.values.filter((item): item is number => typeof item === 'number');
  return numbers.length > 0 ? numbers : undefined;
}
