/**
 * The engine's binaries for a build: wllama's, with kernels.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type LinkOptions, link } from './link.ts';

export type Level = 'simd128' | 'relaxed';

/** The version of wllama that the linker was written and tested for, and the SHA-256 of its two binaries. */
export const KNOWN_WLLAMA = {
  version: '3.13.0',
  binaries: {
    '79ac5be917b71d50571a4f584436a9f6baf6b6e57719d094ed8bd950e9a65780': 'wasm64',
    '35df8c1e2f7dbd74b8e8b01054fb9f1fbe86cf566945fbf4cef3965855a8b92e': 'wasm32',
  },
} as const;

/** Raised when the linker writes something else for the same input, so that no cache returns what an older one wrote. */
const LINKER_VERSION = 3;

/** What a caller keeps the result under: it changes with everything that the result depends on. */
export function cacheKey(wllama: Uint8Array, level: Level, options: LinkOptions = {}): string {
  const address = addressOf(wllama);
  const parts = [
    LINKER_VERSION,
    sha256(wllama),
    sha256(readKernels(level, address)),
    options.promptCacheMib ?? 'default',
  ];
  return sha256(new TextEncoder().encode(parts.join(' ')));
}

/**
 * wllama's binary with kernels of one level, with a bounded prompt cache, and with JSON that takes any text.
 *
 * @param wllama `wllama.wasm` of @wllama/wllama (64-bit) or @wllama/wllama-compat (32-bit)
 * @throws Error for another version of wllama; the message names the known one and what to do
 */
export function buildEngine(wllama: Uint8Array, level: Level, options: LinkOptions = {}): Uint8Array<ArrayBuffer> {
  return link(wllama, readKernels(level, addressOf(wllama)), options);
}

function addressOf(wllama: Uint8Array): 'wasm64' | 'wasm32' {
  const hash = sha256(wllama);
  const known: Record<string, 'wasm64' | 'wasm32'> = KNOWN_WLLAMA.binaries;
  const address = known[hash];
  if (!address) {
    throw new Error(
      `The kernels are known to fit the binaries of wllama ${KNOWN_WLLAMA.version}; this one (SHA-256 ${hash}) is another. ` +
        'Install that version, or find out whether the new one fits (npm run engine:check -- <version>), ' +
        'or build with the published binary, without kernels (LLAMATAB_KERNELS=off).',
    );
  }
  return address;
}

function readKernels(level: Level, address: 'wasm64' | 'wasm32'): Uint8Array {
  return readFileSync(new URL(`./wasm/${level}-${address}.wasm`, import.meta.url));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
