/** Seeded rows for the kernels' tests, in Node and in browsers. */
import type { Format } from './reference.ts';

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

export interface Rows {
  n: number;
  x: Uint8Array;
  y: Uint8Array;
}

export type Fill = (random: () => number) => number;
export const anyByte: Fill = (random) => Math.floor(random() * 256);

/** Rows of `fill`'s bytes, with scales that make finite sums. */
export function makeRows(
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
    if (format.name.endsWith('_f32')) y.setFloat32(4 * i, random() * 4 - 2, true);
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

export const lengths = (format: Format) =>
  ({ 1: [1, 2, 7, 8, 9, 15, 64, 576, 16384], 32: [32, 64, 96, 128, 160, 192, 224, 576, 1536, 16384] })[
    format.elements
  ] ?? [256, 512, 768, 2048, 16384];

/** Rows that reach every branch of the quantizers, as multiples of 256 floats. */
export function activations(): [string, Float32Array][] {
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
