/** Says in words what a file's quantization means for its speed in a browser. */
import { ggmlType } from '../gguf/ggml-types.ts';
import type { GgufHeader } from '../gguf/header.ts';

type Speed = 'fast' | 'half' | 'slow' | 'plain';

/** How fast the engine computes with each of ggml's types; a type that is missing here is `plain`. See docs/performance.md. */
const SPEEDS: Readonly<Record<string, Speed>> = {
  F16: 'slow',
  BF16: 'slow',
  Q4_0: 'fast',
  Q4_1: 'fast',
  Q5_0: 'fast',
  Q5_1: 'fast',
  Q8_0: 'fast',
  Q2_K: 'fast',
  Q3_K: 'fast',
  Q4_K: 'fast',
  Q5_K: 'fast',
  Q6_K: 'half',
  IQ4_NL: 'fast',
  IQ4_XS: 'fast',
  MXFP4: 'fast',
};

const WORDS: Readonly<Record<Speed, string>> = {
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
      const name = ggmlType(type)?.name ?? `type ${type}`;
      return `${Math.round((size / total) * 100)} % ${name}, which ${WORDS[SPEEDS[name] ?? 'plain']}`;
    });
}
