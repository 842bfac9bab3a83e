/**
 * Bind groups by their layout, buffers, ranges and the content of their parameters. From one decoded token to the next nearly
 * all of them are the same.
 */
import type { ParameterSlot } from './parameter-store.ts';
import type { GpuBindGroup, GpuBindGroupDescriptor, GpuBufferBinding } from './webgpu.ts';
import { equalWords, hashWords } from './words.ts';

/**
 * Bind groups that are kept, at most. A decoded token has about 20 a layer, and each number of requests that are decoded
 * together has its own; a prompt's are of use only to prompts of the same length.
 */
export const MAX_GROUPS = 8192;
/** That are left when there would be more: so that they are sorted once in many, not for each. */
const KEPT_GROUPS = MAX_GROUPS * 0.75;

export interface CachedGroup {
  readonly group: GpuBindGroup;
  readonly key: Uint32Array;
  readonly hash: number;
  readonly entries: GpuBindGroupDescriptor['entries'];
  /** Where its parameters are. */
  readonly parameterBinding: GpuBufferBinding;
  /** Addresses of the buffers that it binds. */
  readonly buffers: readonly number[];
  readonly parameters: ParameterSlot;
  lastUse: number;
  isKept: boolean;
}

export class BindGroupCache {
  readonly #groups = new Map<number, CachedGroup>();
  readonly #byBuffer = new Map<number, Set<CachedGroup>>();
  readonly #onDrop: (group: CachedGroup) => void;
  #clock = 0;

  /** @param onDrop Called for each group that is not kept any more. */
  constructor(onDrop: (group: CachedGroup) => void) {
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#groups.size;
  }

  /** Buffers that a kept group binds. */
  get buffers(): number {
    return this.#byBuffer.size;
  }

  find(key: Uint32Array, length: number, hash = hashWords(key, length)): CachedGroup | undefined {
    const found = this.#groups.get(hash);
    if (found === undefined || !equalWords(found.key, key, length)) return undefined;
    found.lastUse = ++this.#clock;
    return found;
  }

  add(group: Omit<CachedGroup, 'lastUse' | 'isKept'>): CachedGroup {
    // One that differs and has the same hash makes room: that is rare, and costs no more than not to keep it.
    const other = this.#groups.get(group.hash);
    if (other) this.#drop(other);
    if (this.#groups.size >= MAX_GROUPS) this.#evict();
    const cached = { ...group, lastUse: ++this.#clock, isKept: true };
    this.#groups.set(group.hash, cached);
    for (const buffer of group.buffers) {
      const groups = this.#byBuffer.get(buffer);
      if (groups) groups.add(cached);
      else this.#byBuffer.set(buffer, new Set([cached]));
    }
    return cached;
  }

  /** The buffer is destroyed, or its address is free for another. */
  dropBuffer(buffer: number): void {
    for (const group of this.#byBuffer.get(buffer) ?? []) this.#drop(group);
  }

  clear(): void {
    for (const group of this.#groups.values()) this.#drop(group);
  }

  #evict(): void {
    const oldest = [...this.#groups.values()].sort((a, b) => a.lastUse - b.lastUse);
    for (const group of oldest.slice(0, oldest.length - KEPT_GROUPS)) this.#drop(group);
  }

  #drop(group: CachedGroup): void {
    group.isKept = false;
    this.#groups.delete(group.hash);
    for (const buffer of group.buffers) {
      const groups = this.#byBuffer.get(buffer);
      groups?.delete(group);
      if (groups?.size === 0) this.#byBuffer.delete(buffer);
    }
    this.#onDrop(group);
  }
}
