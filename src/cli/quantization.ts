/** What a file's quantization means for speed in a browser, in words. */
import type { GgufHeader } from '../gguf/gguf.ts';

/** ggml's types by number, and how fast the engine computes with each: see docs/performance.md. */
const TYPES: Record<number, [name: string, speed: 'fast' | 'half' | 'slow' | 'plain']> = {
  0: ['F32', 'plain'],
  1: ['F16', 'slow'],
  2: ['Q4_0', 'fast'],
  3: ['Q4_1', 'fast'],
  6: ['Q5_0', 'fast'],
  7: ['Q5_1', 'fast'],
  8: ['Q8_0', 'fast'],
  10: ['Q2_K', 'fast'],
  11: ['Q3_K', 'fast'],
  12: ['Q4_K', 'fast'],
  13: ['Q5_K', 'fast'],
  14: ['Q6_K', 'half'],
  16: ['IQ2_XXS', 'plain'],
  17: ['IQ2_XS', 'plain'],
  18: ['IQ3_XXS', 'plain'],
  19: ['IQ1_S', 'plain'],
  20: ['IQ4_NL', 'fast'],
  21: ['IQ3_S', 'plain'],
  22: ['IQ2_S', 'plain'],
  23: ['IQ4_XS', 'fast'],
  29: ['IQ1_M', 'plain'],
  30: ['BF16', 'slow'],
  34: ['TQ1_0', 'plain'],
  35: ['TQ2_0', 'plain'],
  39: ['MXFP4', 'fast'],
};

const WORDS = {
  fast: 'has SIMD kernels: fast',
  half: 'has SIMD kernels, but takes twice the time of Q4_K',
  slow: 'is slow in WebAssembly, which has no 16-bit floats: quantize it',
  plain: 'has no SIMD kernels here, and is several times slower than Q4_K: take another quantization',
};

/** Share of a file's bytes below which a type does not matter: norms and biases are F32 in every model. */
const MATTERS = 0.02;

/** A line for each type that matters, the most bytes first. */
export function describeQuantization(headers: readonly GgufHeader[]): string[] {
  const bytes = new Map<number, number>();
  let total = 0;
  for (const { type, size } of headers.flatMap(({ tensors }) => tensors)) {
    bytes.set(type, (bytes.get(type) ?? 0) + (size ?? 0));
    total += size ?? 0;
  }
  return [...bytes]
    .toSorted(([, a], [, b]) => b - a)
    .filter(([, size]) => size >= total * MATTERS)
    .map(([type, size]) => {
      const [name, speed] = TYPES[type] ?? [`type ${type}`, 'plain'];
      return `${Math.round((size / total) * 100)} % ${name}, which ${WORDS[speed]}`;
    });
}
