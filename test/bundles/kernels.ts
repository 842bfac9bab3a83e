/** What the kernels compute of seeded rows, for engines to be compared bit by bit. */
import { instantiate } from '../../src/kernels/instantiate.ts';
import { FORMATS } from '../../src/kernels/reference.ts';
import { activations, lengths, makeRows } from '../../src/kernels/test-rows.ts';

/**
 * @param bytes A module of kernels for 32-bit addresses.
 * @returns by name and row: the bits of each dot product, and a checksum of each quantized row
 */
export function kernelResults(bytes: Uint8Array<ArrayBuffer>): Record<string, number> {
  const kernels = instantiate(bytes);
  const results: Record<string, number> = {};
  for (const format of FORMATS) {
    for (const n of lengths(format)) {
      for (let seed = 1; seed <= 3; seed++) {
        results[`${format.name} ${n} ${seed}`] = bitsOf(kernels.dot(format.name, makeRows(format, n, seed)));
      }
    }
  }
  for (const [name, row] of activations()) {
    // Which NaN it is, WebAssembly leaves to the engine.
    if (name.includes('NaN')) continue;
    for (const [kernel, ratio] of [
      ['quantize_row_q8_0', 34 / 32],
      ['quantize_row_q8_1', 36 / 32],
      ['quantize_row_q8_K', 292 / 256],
    ] as const) {
      results[`${kernel} ${name}`] = checksum(kernels.quantize(kernel, row, ratio));
    }
  }
  return results;
}

function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
}

/** FNV-1a. */
function checksum(bytes: Uint8Array): number {
  return bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
}
