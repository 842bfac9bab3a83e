/**
 * ggml-webgpu's parameter arena, kept on this side: a uniform buffer of slots. ggml writes each dispatch's parameters into the
 * next slot before it sets the bind group that names the slot, and begins again with the first slot after each submit.
 */
import type { GpuBuffer } from './webgpu.ts';

/** ggml's name for it (`webgpu_param_arena::init`): nothing else is taken for one. */
export const ARENA_LABEL = 'ggml_webgpu_param_arena';

/** Bytes of a slot that are written and bound: `WEBGPU_PARAMS_BUF_SIZE_BYTES`. Slots begin at multiples of it. */
export const SLOT_BYTES = 128;
const SLOT_WORDS = SLOT_BYTES / 4;

/** Commands that were recorded and may not have been submitted. */
export interface Recording {
  open: boolean;
}

export class ParameterArena {
  readonly buffer: GpuBuffer;
  /**
   * Where the arena is used in a way that is not known here, its bytes are written to the GPU, and from then on it is a
   * buffer as any other.
   */
  ordinary = false;
  readonly #words: Uint32Array<ArrayBuffer>;
  /** By slot: words that its last write gave. */
  readonly #lengths: Uint8Array;
  /** By slot: the commands that were the last to be given its content. */
  readonly #users: (Recording | undefined)[] = [];

  constructor(buffer: GpuBuffer) {
    this.buffer = buffer;
    this.#words = new Uint32Array(Math.ceil(buffer.size / SLOT_BYTES) * SLOT_WORDS);
    this.#lengths = new Uint8Array(this.#words.length / SLOT_WORDS);
  }

  /** The whole content, for an arena that becomes ordinary. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#words.buffer, 0, this.buffer.size);
  }

  /** Whether a write, or a binding, is one slot's: it begins where a slot does, and does not reach into the next. */
  isSlot(offset: number, size: number): boolean {
    return offset % SLOT_BYTES === 0 && size <= SLOT_BYTES && size % 4 === 0 && offset + SLOT_BYTES <= this.buffer.size;
  }

  /**
   * @param from Words of wasm's memory.
   * @throws Error for commands that were given the slot's content and are not submitted. The GPU would have read what is
   *   written now; they were given what was there then.
   */
  write(offset: number, from: Uint32Array, start: number, length: number): void {
    const slot = offset / SLOT_BYTES;
    const to = slot * SLOT_WORDS;
    const words = this.#words;
    let same = this.#lengths[slot] === length;
    for (let i = 0; i < length; i++) {
      const word = from[start + i] as number;
      same &&= words[to + i] === word;
      words[to + i] = word;
    }
    if (same) return;
    // What an earlier, longer write left there is nobody's parameter.
    words.fill(0, to + length, to + SLOT_WORDS);
    this.#lengths[slot] = length;
    if (this.#users[slot]?.open) {
      throw new Error(
        `Parameters at ${offset} of ggml-webgpu's arena are written again before the commands that use them are submitted. ` +
          'Build with LLAMATAB_GPU_GLUE=off, and report the model.',
      );
    }
  }

  /** The words of a slot, as they are now, for commands that will read them. */
  read(offset: number, user: Recording | undefined): Uint32Array<ArrayBuffer> {
    const slot = offset / SLOT_BYTES;
    this.#users[slot] = user;
    return this.#words.subarray(slot * SLOT_WORDS, slot * SLOT_WORDS + (this.#lengths[slot] as number));
  }
}
