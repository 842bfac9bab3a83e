/**
 * The engine's binaries for a build: wllama's, patched, with kernels and without.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link } from './link.ts';
import { type PatchOptions, patch } from './patch.ts';

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
const LINKER_VERSION = 2;

/** What a caller keeps the result under: it changes with everything that the result depends on. */
export function cacheKey(wllama: Uint8Array, level: Level, options: PatchOptions = {}): string {
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
 * wllama's binary with kernels of one level, and patched.
 *
 * @param wllama `wllama.wasm` of @wllama/wllama (64-bit) or @wllama/wllama-compat (32-bit)
 * @throws Error for another version of wllama; the message names the known one and what to do
 */
export function buildEngine(wllama: Uint8Array, level: Level, options: PatchOptions = {}): Uint8Array<ArrayBuffer> {
  return link(wllama, readKernels(level, addressOf(wllama)), options);
}

/** wllama's binary without kernels: patched, but for another version of wllama, which stays as it is. */
export function withoutKernels(wllama: Uint8Array): Uint8Array {
  return knownAddress(wllama) === undefined ? wllama : patch(wllama);
}

function knownAddress(wllama: Uint8Array): 'wasm64' | 'wasm32' | undefined {
  const known: Record<string, 'wasm64' | 'wasm32'> = KNOWN_WLLAMA.binaries;
  return known[sha256(wllama)];
}

function addressOf(wllama: Uint8Array): 'wasm64' | 'wasm32' {
  const address = knownAddress(wllama);
  if (!address) {
    throw new Error(
      `The kernels are known to fit the binaries of wllama ${KNOWN_WLLAMA.version}; this one (SHA-256 ${sha256(wllama)}) is another. ` +
        'Install that version, or find out whether the new one fits (npm run engine:check -- <version>), ' +
        'or build with the published binary as it is (LLAMATAB_KERNELS=off).',
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
