/**
 * The bound of the engine's prompt cache.
 *
 * llama-server keeps the KV state of prompts that left their slot in memory, up to `cache_ram_mib`: 8192 by default, in a
 * heap of 4096. wllama has no option for it, so a tab that lives long runs into the end of its heap. The default is part of
 * one constant in the constructor of llama.cpp's `common_params`: four neighbouring fields, written at once.
 */
import { sameBytes, WasmFormatError } from './wasm-binary.ts';

/**
 * 256 MiB: some 80 prompts of 135 tokens or 20 of 500 with the model that ships with us (3.2 MB for 135 tokens, half with
 * a q8_0 cache), enough for the turns of several chats; and a sixteenth of the heap, beside a model that may fill half.
 */
export const PROMPT_CACHE_MIB = 256;

/** Code section bytes: `v128.const i32x4 32 0 8192 8192`: checkpoints, 0, tokens between checkpoints, cache limit in MiB. */
const DEFAULTS = Uint8Array.of(0xfd, 0x0c, 32, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x20, 0, 0, 0x00, 0x20, 0, 0);

/** The code section with another cache limit. Throws `WasmFormatError` unless the default is found exactly once. */
export function boundPromptCache(codeSection: Uint8Array, limitMib: number): Uint8Array {
  const places: number[] = [];
  for (let at = codeSection.indexOf(0xfd); at >= 0; at = codeSection.indexOf(0xfd, at + 1)) {
    if (sameBytes(codeSection.subarray(at, at + DEFAULTS.length), DEFAULTS)) places.push(at);
  }
  const [place] = places;
  if (place === undefined || places.length > 1) {
    throw new WasmFormatError(`the prompt cache's default limit is found ${places.length} times`);
  }
  const bounded = new Uint8Array(codeSection);
  new DataView(bounded.buffer).setUint32(place + DEFAULTS.length - 4, limitMib, true);
  return bounded;
}
