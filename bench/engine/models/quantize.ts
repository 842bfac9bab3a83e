/**
 * Quantizes rows of floats into ggml's blocks, with plain scales, and not llama.cpp's search for better ones: good enough for
 * random weights, and the same work for a kernel.
 */
import { f16, f16Bits } from '../../../src/kernels/reference.ts';

export type Quantization = 'F16' | 'Q8_0' | 'Q4_0' | 'Q4_K' | 'Q6_K';

export interface BlockFormat {
  /** ggml's number of the type. */
  type: number;
  elements: number;
  bytes: number;
  /** Writes one block, over zeros. */
  write(values: Float32Array, block: DataView): void;
}

export const BLOCK_FORMATS: Record<Quantization, BlockFormat> = {
  /** One half. */
  F16: {
    type: 1,
    elements: 1,
    bytes: 2,
    write: ([value = 0], block) => block.setUint16(0, f16Bits(value), true),
  },

  /** A half d, 32 signed bytes q: d * q. */
  Q8_0: {
    type: 8,
    elements: 32,
    bytes: 34,
    write(values, block) {
      const d = writeHalf(block, 0, largest(values) / 127);
      for (const [j, value] of values.entries()) block.setInt8(2 + j, quantum(value, d, -127, 127));
    },
  },

  /** A half d, 32 nibbles q (j and j + 16 in one byte): d * (q - 8). */
  Q4_0: {
    type: 2,
    elements: 32,
    bytes: 18,
    write(values, block) {
      const d = writeHalf(block, 0, largest(values) / 7);
      for (const [j, value] of values.entries())
        addBits(block, 2 + (j % 16), quantum(value, d, -8, 7) + 8, 4 * (j >> 4));
    },
  },

  /** Halves d and dmin, 8 six-bit pairs of scale and minimum in 12 bytes, 256 nibbles q: d * scale * q - dmin * minimum. */
  Q4_K: {
    type: 12,
    elements: 256,
    bytes: 144,
    write(values, block) {
      const groups = Array.from({ length: 8 }, (_, i) => values.subarray(32 * i, 32 * i + 32));
      const minimums = groups.map((group) => Math.max(0, -Math.min(...group)));
      const ranges = groups.map((group, i) => (Math.max(...group) + (minimums[i] ?? 0)) / 15);
      const d = writeHalf(block, 0, Math.max(...ranges) / 63);
      const dmin = writeHalf(block, 2, Math.max(...minimums) / 63);
      for (const [i, group] of groups.entries()) {
        const scale = quantum(ranges[i] ?? 0, d, 0, 63);
        const minimum = quantum(minimums[i] ?? 0, dmin, 0, 63);
        if (i < 4) {
          addBits(block, 4 + i, scale, 0);
          addBits(block, 8 + i, minimum, 0);
        } else {
          addBits(block, 8 + i, scale & 15, 0);
          addBits(block, 8 + i, minimum & 15, 4);
          addBits(block, i, scale >> 4, 6);
          addBits(block, 4 + i, minimum >> 4, 6);
        }
        for (const [j, value] of group.entries()) {
          addBits(block, 16 + 32 * (i >> 1) + j, quantum(value + dmin * minimum, d * scale, 0, 15), 4 * (i & 1));
        }
      }
    },
  },

  /** 256 low nibbles, 256 upper pairs of bits, 16 signed bytes of scale, a half d: d * scale * (q - 32). */
  Q6_K: {
    type: 14,
    elements: 256,
    bytes: 210,
    write(values, block) {
      const groups = Array.from({ length: 16 }, (_, i) => values.subarray(16 * i, 16 * i + 16));
      const ranges = groups.map((group) => largest(group) / 31);
      const d = writeHalf(block, 208, Math.max(...ranges) / 127);
      for (const [i, group] of groups.entries()) {
        const scale = quantum(ranges[i] ?? 0, d, 0, 127);
        block.setInt8(192 + i, scale);
        for (const [k, value] of group.entries()) {
          const q = quantum(value, d * scale, -32, 31) + 32;
          const j = 16 * i + k;
          const [half, quarter] = [j >> 7, (j >> 5) & 3];
          addBits(block, 64 * half + 32 * (quarter & 1) + (j & 31), q & 15, 4 * (quarter >> 1));
          addBits(block, 128 + 32 * half + (j & 31), q >> 4, 2 * quarter);
        }
      }
    },
  },
};

export function quantize(format: BlockFormat, values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / format.elements;
  const bytes = new Uint8Array(blocks * format.bytes);
  for (let i = 0; i < blocks; i++) {
    const block = new DataView(bytes.buffer, i * format.bytes, format.bytes);
    format.write(values.subarray(i * format.elements, (i + 1) * format.elements), block);
  }
  return bytes;
}

function largest(values: Float32Array): number {
  let found = 0;
  for (const value of values) found = Math.max(found, Math.abs(value));
  return found;
}

/** @returns the value as the half holds it */
function writeHalf(block: DataView, at: number, value: number): number {
  const bits = f16Bits(value);
  block.setUint16(at, bits, true);
  return f16(bits);
}

function addBits(block: DataView, at: number, bits: number, shift: number): void {
  block.setUint8(at, block.getUint8(at) | (bits << shift));
}

function quantum(value: number, unit: number, low: number, high: number): number {
  if (unit === 0) return 0;
  return Math.min(high, Math.max(low, Math.round(value / unit)));
}
