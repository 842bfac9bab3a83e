import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { instantiate, type Kernels } from './instantiate.ts';
import { dot, FORMATS, type Format, quantizeQ8, quantizeQ8K } from './reference.ts';

const LEVELS = ['simd128', 'relaxed'] as const;
const load = (level: string) => instantiate(readFileSync(new URL(`./wasm/${level}-wasm32.wasm`, import.meta.url)));

/** A seeded generator of numbers from 0 to 1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A half of moderate size and either sign. */
const moderateHalf = (random: () => number) => 0x1000 + Math.floor(random() * 0x2800) + (random() < 0.5 ? 0x8000 : 0);

interface Rows {
  n: number;
  x: Uint8Array;
  y: Uint8Array;
}

type Fill = (random: () => number) => number;
const anyByte: Fill = (random) => Math.floor(random() * 256);

/** Rows of `fill`'s bytes, with scales that make finite sums. */
function makeRows(
  format: Format,
  n: number,
  seed: number,
  fillX = anyByte,
  fillY = anyByte,
  half: Fill = moderateHalf,
) {
  const random = generator(seed);
  const blocks = n / format.elements;
  const rows: Rows = {
    n,
    x: Uint8Array.from({ length: blocks * format.xBytes }, () => fillX(random)),
    y: Uint8Array.from({ length: blocks * format.yBytes }, () => fillY(random)),
  };
  const [x, y] = [new DataView(rows.x.buffer), new DataView(rows.y.buffer)];
  for (let i = 0; i < blocks; i++) {
    for (const at of format.xHalves) x.setUint16(i * format.xBytes + at, half(random), true);
    for (const at of format.yHalves) y.setUint16(i * format.yBytes + at, half(random), true);
    if (format.name.includes('mxfp4')) rows.x[i * format.xBytes] = 100 + Math.floor(random() * 40);
    if (format.name.includes('bf16')) {
      x.setUint16(2 * i, 0x3c00 + Math.floor(random() * 0x400) + (random() < 0.5 ? 0x8000 : 0), true);
      y.setUint16(2 * i, 0x3c00 + Math.floor(random() * 0x400) + (random() < 0.5 ? 0x8000 : 0), true);
    }
    if (format.elements === 256) fixQ8K(y, i * 292, Math.fround(random() * 4 - 2));
  }
  return rows;
}

/** Writes a scale and the sums of sixteen quants each. */
function fixQ8K(view: DataView, at: number, d: number) {
  view.setFloat32(at, d, true);
  for (let i = 0; i < 16; i++) {
    let total = 0;
    for (let j = 0; j < 16; j++) total += view.getInt8(at + 4 + 16 * i + j);
    view.setInt16(at + 260 + 2 * i, total, true);
  }
}

const lengths = (format: Format) =>
  ({ 1: [1, 2, 7, 8, 9, 15, 64, 576, 16384], 32: [32, 64, 96, 128, 160, 192, 224, 576, 1536, 16384] })[
    format.elements
  ] ?? [256, 512, 768, 2048, 16384];

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

describe('both levels', () => {
  it.each(FORMATS)('give the same bits: $name', (format) => {
    const [plain, relaxed] = LEVELS.map(load) as [Kernels, Kernels];
    for (const n of lengths(format)) {
      const rows = makeRows(format, n, n);
      expect(relaxed.dot(format.name, rows)).toBe(plain.dot(format.name, rows));
    }
  });
});

/** Rows that reach every branch of the quantizers, as multiples of 256 floats. */
function activations(): [string, Float32Array][] {
  const random = generator(5);
  const rows = (length: number, value: (j: number) => number) => Float32Array.from({ length }, (_, j) => value(j));
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const among = (values: number[], every: number) => (j: number) =>
    j % every === 7 ? (values[Math.floor(random() * values.length)] ?? 0) : normal();
  return [
    ['normal numbers', rows(16384, normal)],
    ['numbers of all sizes', rows(4096, () => normal() * 2 ** (random() * 240 - 130))],
    ['one size a block', rows(8192, (j) => normal() * 2 ** (((j >> 8) % 32) * 8 - 130))],
    ['ties', rows(1024, (j) => (j % 32 === 0 ? 127 : Math.floor(random() * 254 - 127) + 0.5))],
    [
      'ties just missed',
      rows(1024, (j) => (j % 32 === 0 ? 127 : (Math.floor(random() * 254 - 127) + 0.5) * (1 + 2 ** -23))),
    ],
    ['zeros', rows(512, (j) => (j % 3 === 0 ? -0 : 0))],
    ['the smallest', rows(512, () => (random() - 0.5) * 2 ** -140)],
    ['smaller than the smallest scale', rows(256, (j) => (j % 5 === 0 ? 2 ** -149 : 0))],
    ['the largest', rows(256, () => (random() < 0.5 ? -1 : 1) * 3.4028234663852886e38)],
    ['both signs of the largest magnitude', rows(1024, (j) => (j % 64 < 2 ? (random() < 0.5 ? 3 : -3) : normal()))],
    ['infinities', rows(2048, among([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 97))],
    ['NaNs', rows(2048, among([Number.NaN], 41))],
    ['NaNs and infinities', rows(2048, among([Number.NaN, Number.POSITIVE_INFINITY], 13))],
    ['nothing but NaNs', rows(256, () => Number.NaN)],
  ];
}

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
