/**
 * Parameters by content, in uniform buffers of ours: dispatches with the same parameters share a slot, which is written once,
 * and stays as it is for as long as a bind group refers to it.
 */
import { SLOT_BYTES } from './parameter-arena.ts';
import { COPY_DST, type GpuBuffer, type GpuDevice, UNIFORM } from './webgpu.ts';
import { equalWords, hashWords } from './words.ts';

/** Bytes of one buffer: 256 slots at the largest alignment that WebGPU allows a device to ask for. */
const PAGE_BYTES = 64 * 1024;

interface Page {
  buffer: GpuBuffer;
  words: Uint32Array<ArrayBuffer>;
  /** Bytes that were not yet written to the GPU; none where `from` is not below `to`. */
  from: number;
  to: number;
}

export interface ParameterSlot {
  readonly page: Page;
  /** Bytes. */
  readonly offset: number;
  hash: number;
  length: number;
  /** Bind groups that refer to it. */
  uses: number;
}

export class ParameterStore {
  readonly #device: GpuDevice;
  readonly #stride: number;
  readonly #pages: Page[] = [];
  readonly #byHash = new Map<number, ParameterSlot>();
  #free: ParameterSlot[] = [];
  /** Without uses, but commands that are not submitted may read them. */
  #released: ParameterSlot[] = [];

  constructor(device: GpuDevice) {
    this.#device = device;
    const alignment = device.limits.minUniformBufferOffsetAlignment;
    this.#stride = Math.ceil(SLOT_BYTES / alignment) * alignment;
  }

  get pages(): number {
    return this.#pages.length;
  }

  /** A slot with this content, for one more bind group. Its content is on the GPU after the next `flush`. */
  acquire(words: Uint32Array): ParameterSlot {
    const hash = hashWords(words);
    const known = this.#byHash.get(hash);
    if (known && equalWords(words, contentOf(known))) {
      known.uses++;
      return known;
    }
    const slot = this.#free.pop() ?? this.#newSlot();
    slot.hash = hash;
    slot.length = words.length;
    slot.uses = 1;
    const { page, offset } = slot;
    page.words.set(words, offset / 4);
    page.words.fill(0, offset / 4 + words.length, (offset + SLOT_BYTES) / 4);
    page.from = Math.min(page.from, offset);
    page.to = Math.max(page.to, offset + SLOT_BYTES);
    // Another content with the same hash keeps its place; this slot is then not shared.
    if (!known) this.#byHash.set(hash, slot);
    return slot;
  }

  release(slot: ParameterSlot): void {
    if (--slot.uses > 0) return;
    if (this.#byHash.get(slot.hash) === slot) this.#byHash.delete(slot.hash);
    this.#released.push(slot);
  }

  /** To be called before each submit. */
  flush(): void {
    for (const page of this.#pages) {
      if (page.from >= page.to) continue;
      const bytes = new Uint8Array(page.words.buffer, page.from, page.to - page.from);
      this.#device.queue.writeBuffer(page.buffer, page.from, bytes);
      page.from = PAGE_BYTES;
      page.to = 0;
    }
  }

  /** No recorded commands wait to be submitted: what was released may be overwritten, for the queue keeps its order. */
  reclaim(): void {
    if (this.#released.length === 0) return;
    this.#free.push(...this.#released);
    this.#released = [];
  }

  #newSlot(): ParameterSlot {
    const buffer = this.#device.createBuffer({
      label: 'llamatab parameters',
      size: PAGE_BYTES,
      usage: UNIFORM | COPY_DST,
    });
    const page = { buffer, words: new Uint32Array(PAGE_BYTES / 4), from: PAGE_BYTES, to: 0 };
    this.#pages.push(page);
    const last = Math.floor(PAGE_BYTES / this.#stride) - 1;
    // The first one is taken first, so that what is written together lies together.
    for (let i = last; i >= 0; i--) {
      this.#free.push({ page, offset: i * this.#stride, hash: 0, length: 0, uses: 0 });
    }
    return this.#free.pop() as ParameterSlot;
  }
}

function contentOf({ page, offset, length }: ParameterSlot): Uint32Array {
  return page.words.subarray(offset / 4, offset / 4 + length);
}
