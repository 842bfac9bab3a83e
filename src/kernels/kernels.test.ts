import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { instantiate, type Kernels } from './instantiate.ts';
import './node-relaxed-simd.ts';
import { dot, FORMATS, type Format, quantizeQ8, quantizeQ8K } from './reference.ts';
import { activations, anyByte, type Fill, lengths, makeRows, type Rows } from './test-rows.ts';

const LEVELS = ['simd128', 'relaxed'] as const;
const load = (level: string) => instantiate(readFileSync(new URL(`./wasm/${level}-wasm32.wasm`, import.meta.url)));

/** Float sums in another order may differ by a rounding for each block or element. */
function expectClose(result: number, rows: Rows, format: Format) {
  const { value, magnitude } = dot(format, rows.n, rows.x, rows.y);
  expect(Math.abs(result - value)).toBeLessThanOrEqual(
    magnitude * 2 ** -24 * (4 + Math.sqrt(rows.n / format.elements)),
  );
}

describe.each(LEVELS)('dot products, %s', (level) => {
  const kernels = load(level);

  describe.each(FORMATS)('$name', (format) => {
    it.each(lengths(format))('is the sum of the products of %i elements', (n) => {
      for (let seed = 1; seed <= (n > 2000 ? 2 : 10); seed++) {
        const rows = makeRows(format, n, seed);
        expectClose(kernels.dot(format.name, rows), rows, format);
      }
    });

    it('is exact in its integers for the extremes of every byte', () => {
      const extremes: Fill[] = [
        () => 0x80,
        () => 0x7f,
        () => 0,
        () => 0xff,
        (random) => (random() < 0.5 ? 0x80 : 0x7f),
      ];
      for (const fillX of extremes) {
        for (const fillY of extremes) {
          // Scales of 1 leave no rounding but that of sums above 2^24.
          const rows = makeRows(
            format,
            format.elements === 1 ? 64 : 2 * format.elements,
            1,
            fillX,
            fillY,
            () => 0x3c00,
          );
          expectClose(kernels.dot(format.name, rows), rows, format);
        }
      }
    });

    it('takes zero, subnormal and the largest scales', () => {
      for (const scale of [0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff]) {
        const rows = makeRows(format, 5 * format.elements, scale, anyByte, anyByte, () => scale);
        expectClose(kernels.dot(format.name, rows), rows, format);
      }
    });

    it.runIf(format.xHalves.length > 0)('takes infinite scales and NaNs', () => {
      for (const special of [0x7c00, 0xfc00, 0x7e00, 0x7c01]) {
        for (const [side, halves] of [['x', format.xHalves] as const, ['y', format.yHalves] as const]) {
          for (const at of halves) {
            for (const block of [0, 4, 6]) {
              const rows = makeRows(format, 7 * format.elements, special + block);
              const stride = side === 'x' ? format.xBytes : format.yBytes;
              new DataView(rows[side].buffer).setUint16(block * stride + at, special, true);
              const { value } = dot(format, rows.n, rows.x, rows.y);
              expect(kernels.dot(format.name, rows)).toBe(value);
              expect(value).not.toBeCloseTo(0);
            }
          }
        }
      }
    });

    it('does not depend on where the rows lie, and reads nothing beyond them', () => {
      const rows = makeRows(format, 7 * format.elements, 3);
      const expected = kernels.dot(format.name, rows);
      for (let offset = 1; offset < 16; offset++) {
        expect(kernels.dot(format.name, rows, { x: 1024 + offset, y: 32768 - offset })).toBe(expected);
      }
      const end = kernels.memory.buffer.byteLength;
      expect(kernels.dot(format.name, rows, { x: end - rows.x.length, y: 1024 })).toBe(expected);
      expect(kernels.dot(format.name, rows, { x: 1024, y: end - rows.y.length })).toBe(expected);
    });

    it('does not depend on what surrounds the rows', () => {
      const rows = makeRows(format, 3 * format.elements, 4);
      const results = [0x00, 0xff].map((noise) => {
        new Uint8Array(kernels.memory.buffer).fill(noise);
        return kernels.dot(format.name, rows);
      });
      expect(results[0]).toBe(results[1]);
    });
  });
});

describe.each(LEVELS)('floats in F16 with F32, %s', (level) => {
  const kernels = load(level);
  const format = FORMATS.find(({ name }) => name === 'ggml_vec_dot_f16_f32') as Format;

  it.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])('may be %f', (special) => {
    for (const at of [0, 7, 8, 20]) {
      const rows = makeRows(format, 21, at);
      new DataView(rows.y.buffer).setFloat32(4 * at, special, true);
      expect(kernels.dot(format.name, rows)).toBe(dot(format, rows.n, rows.x, rows.y).value);
    }
  });
});

describe('both levels', () => {
  it.each(FORMATS)('give the same bits: $name', (format) => {
    const [plain, relaxed] = LEVELS.map(load) as [Kernels, Kernels];
    for (const n of lengths(format)) {
      const rows = makeRows(format, n, n);
      expect(relaxed.dot(format.name, rows)).toBe(plain.dot(format.name, rows));
    }
  });
});

/** WebAssembly leaves the sign of a NaN to the engine, so it is no part of what is compared: of s in a block of Q8_1. */
function withoutNanSigns(y: Uint8Array): Uint8Array {
  const view = new DataView(y.buffer);
  for (let at = 2; at < y.length; at += 36) {
    if (view.getUint16(at, true) === 0xfe00) view.setUint16(at, 0x7e00, true);
  }
  return y;
}

describe.each(LEVELS)('quantizers, %s', (level) => {
  const kernels = load(level);

  it.each(activations())('give the bits of the reference: %s', (_, x) => {
    expect(kernels.quantize('quantize_row_q8_0', x, 34 / 32)).toEqual(quantizeQ8(x, false));
    expect(withoutNanSigns(kernels.quantize('quantize_row_q8_1', x, 36 / 32))).toEqual(quantizeQ8(x, true));
    expect(kernels.quantize('quantize_row_q8_K', x, 292 / 256)).toEqual(quantizeQ8K(x));
  });
});
