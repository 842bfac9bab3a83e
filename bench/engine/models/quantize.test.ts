import { describe, expect, it } from 'vitest';
import { dot, FORMATS } from '../../../src/kernels/reference.ts';
import { BLOCK_FORMATS, type Quantization, quantize } from './quantize.ts';

/** The other operand of each format: all 0, with a 1 at one place, so that the product is the value at that place. */
const OTHERS: Record<Quantization, { kernel: string; one(place: number): Uint8Array }> = {
  F16: { kernel: 'ggml_vec_dot_f16_f32', one: () => Uint8Array.of(0x00, 0x00, 0x80, 0x3f) },
  Q8_0: { kernel: 'ggml_vec_dot_q8_0_q8_0', one: q8 },
  Q4_0: { kernel: 'ggml_vec_dot_q4_0_q8_0', one: q8 },
  Q4_K: { kernel: 'ggml_vec_dot_q4_K_q8_K', one: q8K },
  Q6_K: { kernel: 'ggml_vec_dot_q6_K_q8_K', one: q8K },
};

function q8(place: number): Uint8Array {
  const block = new Uint8Array(34);
  block.set([0x00, 0x3c]);
  block[2 + place] = 1;
  return block;
}

function q8K(place: number): Uint8Array {
  const block = new Uint8Array(292);
  const view = new DataView(block.buffer);
  view.setFloat32(0, 1, true);
  view.setInt8(4 + place, 1);
  view.setInt16(260 + 2 * (place >> 4), 1, true);
  return block;
}

describe('quantize', () => {
  const tolerances = { F16: 0.001, Q8_0: 0.005, Q4_0: 0.08, Q4_K: 0.08, Q6_K: 0.03 };
  it.each(Object.entries(tolerances) as [Quantization, number][])('%s holds the values', (name, tolerance) => {
    const format = BLOCK_FORMATS[name];
    const values = Float32Array.from({ length: format.elements }, (_, i) => Math.sin(i * i + 1));
    const block = quantize(format, values);
    const { kernel, one } = OTHERS[name];
    const reference = FORMATS.find((candidate) => candidate.name === kernel);
    if (!reference) throw new Error(kernel);
    for (const [place, value] of values.entries()) {
      const held = dot(reference, format.elements, block, one(place)).value;
      expect(Math.abs(held - value), `element ${place}`).toBeLessThan(tolerance);
    }
  });
});
