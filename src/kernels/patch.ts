/** What we change of wllama's binary beside its kernels: constants, in its code. */
import { replaceInvalidUtf8 } from './json-utf8.ts';
import { boundPromptCache, PROMPT_CACHE_MIB } from './prompt-cache.ts';
import { readSections, SECTION, writeSections } from './wasm-binary.ts';

export interface PatchOptions {
  /** Limit of the engine's prompt cache in MiB, 0 to 4096. */
  promptCacheMib?: number;
}

/** The code section with a bounded prompt cache, and with JSON that takes any text. */
export function patchCode(codeSection: Uint8Array, { promptCacheMib = PROMPT_CACHE_MIB }: PatchOptions): Uint8Array {
  return replaceInvalidUtf8(boundPromptCache(codeSection, promptCacheMib));
}

/** The same, of a whole module; every other section stays as it is. @throws WasmFormatError where a constant is not found. */
export function patch(wllama: Uint8Array, options: PatchOptions = {}): Uint8Array<ArrayBuffer> {
  return writeSections(
    readSections(wllama).map(({ id, body }) => ({
      id,
      body: id === SECTION.code ? patchCode(body, options) : body,
    })),
  );
}
