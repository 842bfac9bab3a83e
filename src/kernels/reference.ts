/**
 * ggml's quantized formats, written for reading: what the kernels are tested against. Plain numbers, one element at a time,
 * sums in double precision.
 */

export function f16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

/** The nearest half, ties to even. */
export function f16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  // A half is a multiple of its unit; the unit of numbers below 2^-14 is that of 2^-14.
  const exponent = Math.max(Math.floor(Math.log2(magnitude || 2 ** -30)), -14);
  const units = roundHalfEven(magnitude / 2 ** (exponent - 10));
  if (exponent === -14) return sign | units;
  return sign | ((exponent + 14) * 1024 + units);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** A block at an offset in bytes. */
class Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  constructor(bytes: Uint8Array, at: number, length: number) {
    this.bytes = bytes.subarray(at, at + length);
    this.view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
  }
  u8 = (at: number) => this.view.getUint8(at);
  i8 = (at: number) => this.view.getInt8(at);
  i16 = (at: number) => this.view.getInt16(at, true);
  u32 = (at: number) => this.view.getUint32(at, true);
  half = (at: number) => f16(this.view.getUint16(at, true));
  float = (at: number) => this.view.getFloat32(at, true);
  /** The low (0) or high (1) nibble of a byte. */
  nibble = (at: number, half: number) => (this.u8(at) >> (4 * half)) & 15;
}

export interface Format {
  /** Name of the kernel. */
  name: string;
  /** Elements in a block of either row. */
  elements: number;
  xBytes: number;
  yBytes: number;
  /** Offsets of the halves in a block of x and of y that are scales. */
  xHalves: number[];
  yHalves: number[];
  /** Terms of two blocks' dot product. */
  terms(x: Block, y: Block): number[];
}

const range = (length: number) => Array.from({ length }, (_, index) => index);
const sum = (length: number, term: (index: number) => number) => {
  let total = 0;
  for (let index = 0; index < length; index++) total += term(index);
  return total;
};

/** Formats of 32 elements whose quants are small integers: nibbles j and j + 16 lie in one byte. */
function simple(
  name: string,
  xBytes: number,
  yBytes: number,
  quant: (x: Block, element: number) => number,
  scale = (x: Block) => x.half(0),
): Format {
  const hasMinimum = yBytes === 36;
  return {
    name,
    elements: 32,
    xBytes,
    yBytes,
    xHalves: name.includes('mxfp4') ? [] : hasMinimum ? [0, 2] : [0],
    yHalves: hasMinimum ? [0, 2] : [0],
    terms(x, y) {
      const dot = sum(32, (j) => quant(x, j) * y.i8(yBytes - 32 + j));
      const product = scale(x) * y.half(0) * dot;
      return hasMinimum ? [product, x.half(2) * y.half(2)] : [product];
    },
  };
}

const nibble = (x: Block, at: number, j: number) => x.nibble(at + (j % 16), j >> 4);
const five = (x: Block, qh: number, qs: number, j: number) => nibble(x, qs, j) | (((x.u32(qh) >>> j) & 1) << 4);
const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const E2M1_DOUBLED = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** Formats of 256 elements: each element's quant, scale and minimum, the last two shared by some. */
function superBlock(
  name: string,
  xBytes: number,
  halves: number[],
  element: (x: Block, j: number) => { quant: number; scale: number; minimum?: number },
): Format {
  return {
    name,
    elements: 256,
    xBytes,
    yBytes: 292,
    xHalves: halves,
    yHalves: [],
    terms(x, y) {
      const elements = range(256).map((j) => element(x, j));
      const dot = sum(256, (j) => (elements[j]?.scale ?? 0) * (elements[j]?.quant ?? 0) * y.i8(4 + j));
      const terms = [x.half(halves[0] ?? 0) * y.float(0) * dot];
      const [, dmin] = halves;
      if (dmin !== undefined) {
        const minimums = sum(16, (i) => (elements[16 * i]?.minimum ?? 0) * y.i16(260 + 2 * i));
        terms.push(-x.half(dmin) * y.float(0) * minimums);
      }
      return terms;
    },
  };
}

/** Q4_K's and Q5_K's packed scales and minimums, as pairs of six bits. */
function scaleAndMinimum(x: Block, i: number) {
  const p = (at: number) => x.u8(4 + at);
  if (i < 4) return { scale: p(i) & 63, minimum: p(i + 4) & 63 };
  return {
    scale: (p(i + 4) & 15) | ((p(i - 4) >> 6) << 4),
    minimum: (p(i + 4) >> 4) | ((p(i) >> 6) << 4),
  };
}

function bf16(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}

export const FORMATS: readonly Format[] = [
  simple('ggml_vec_dot_q4_0_q8_0', 18, 34, (x, j) => nibble(x, 2, j) - 8),
  simple('ggml_vec_dot_q4_1_q8_1', 20, 36, (x, j) => nibble(x, 4, j)),
  simple('ggml_vec_dot_q5_0_q8_0', 22, 34, (x, j) => five(x, 2, 6, j) - 16),
  simple('ggml_vec_dot_q5_1_q8_1', 24, 36, (x, j) => five(x, 4, 8, j)),
  simple('ggml_vec_dot_q8_0_q8_0', 34, 34, (x, j) => x.i8(2 + j)),
  simple('ggml_vec_dot_iq4_nl_q8_0', 18, 34, (x, j) => IQ4[nibble(x, 2, j)] ?? 0),
  simple(
    'ggml_vec_dot_mxfp4_q8_0',
    17,
    34,
    (x, j) => E2M1_DOUBLED[nibble(x, 1, j)] ?? 0,
    (x) => 2 ** (x.u8(0) - 128),
  ),
  superBlock('ggml_vec_dot_q2_K_q8_K', 84, [80, 82], (x, j) => {
    const scales = x.u8(j >> 4);
    const quant = (x.u8(16 + 32 * (j >> 7) + (j & 31)) >> (2 * ((j >> 5) & 3))) & 3;
    return { quant, scale: scales & 15, minimum: scales >> 4 };
  }),
  superBlock('ggml_vec_dot_q3_K_q8_K', 110, [108], (x, j) => {
    const i = j >> 4;
    const low = x.nibble(96 + (i & 7), i >> 3);
    const high = (x.u8(104 + (i & 3)) >> (2 * (i >> 2))) & 3;
    const quant = (x.u8(32 + 32 * (j >> 7) + (j & 31)) >> (2 * ((j >> 5) & 3))) & 3;
    const third = (x.u8(j & 31) >> (j >> 5)) & 1;
    return { quant: quant + 4 * third - 4, scale: low + 16 * high - 32 };
  }),
  superBlock('ggml_vec_dot_q4_K_q8_K', 144, [0, 2], (x, j) => ({
    quant: x.nibble(16 + 32 * (j >> 6) + (j & 31), (j >> 5) & 1),
    ...scaleAndMinimum(x, j >> 5),
  })),
  superBlock('ggml_vec_dot_q5_K_q8_K', 176, [0, 2], (x, j) => ({
    quant: x.nibble(48 + 32 * (j >> 6) + (j & 31), (j >> 5) & 1) + 16 * ((x.u8(16 + (j & 31)) >> (j >> 5)) & 1),
    ...scaleAndMinimum(x, j >> 5),
  })),
  superBlock('ggml_vec_dot_q6_K_q8_K', 210, [208], (x, j) => {
    const half = j >> 7;
    const group = (j >> 5) & 3;
    const low = x.nibble(64 * half + 32 * (group & 1) + (j & 31), group >> 1);
    const high = (x.u8(128 + 32 * half + (j & 31)) >> (2 * group)) & 3;
    return { quant: low + 16 * high - 32, scale: x.i8(192 + (j >> 4)) };
  }),
  superBlock('ggml_vec_dot_iq4_xs_q8_K', 136, [0], (x, j) => {
    const i = j >> 5;
    const low = x.nibble(4 + (i >> 1), i & 1);
    const high = ((x.u8(2) | (x.u8(3) << 8)) >> (2 * i)) & 3;
    return { quant: IQ4[x.nibble(8 + 16 * i + (j & 15), (j >> 4) & 1)] ?? 0, scale: low + 16 * high - 32 };
  }),
  {
    name: 'ggml_vec_dot_f16_f32',
    elements: 1,
    xBytes: 2,
    yBytes: 4,
    xHalves: [0],
    yHalves: [],
    terms: (x, y) => [x.half(0) * y.float(0)],
  },
  {
    name: 'ggml_vec_dot_bf16',
    elements: 1,
    xBytes: 2,
    yBytes: 2,
    xHalves: [],
    yHalves: [],
    terms: (x, y) => [bf16(x.view.getUint16(0, true)) * bf16(y.view.getUint16(0, true))],
  },
];

/** The dot product of n elements, and the sum of its terms' magnitudes: what a rounding error is relative to. */
export function dot(format: Format, n: number, x: Uint8Array, y: Uint8Array): { value: number; magnitude: number } {
  let value = 0;
  let magnitude = 0;
  for (let i = 0; i < n / format.elements; i++) {
    const terms = format.terms(
      new Block(x, i * format.xBytes, format.xBytes),
      new Block(y, i * format.yBytes, format.yBytes),
    );
    for (const term of terms) {
      value += term;
      magnitude += Math.abs(term);
    }
  }
  return { value, magnitude };
}

/** C's `(int8_t)` of a float as compiled for WebAssembly: to 32 bits with saturation, NaN to 0, then the low byte. */
function toInt8(value: number): number {
  if (Number.isNaN(value)) return 0;
  return (Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(value))) << 24) >> 24;
}

const roundAway = (value: number) => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

/** Q8_0 (with one half) and Q8_1 (with two): blocks of 34 and 36 bytes. */
export function quantizeQ8(x: Float32Array, withSum: boolean): Uint8Array {
  const bytes = withSum ? 36 : 34;
  const y = new Uint8Array((x.length / 32) * bytes);
  const view = new DataView(y.buffer);
  for (let i = 0; i < x.length / 32; i++) {
    const block = x.subarray(32 * i, 32 * i + 32);
    let largest = 0;
    // Not Math.max: a NaN replaces what came before it, and is replaced by what comes after.
    for (const value of block) if (!(largest > Math.abs(value))) largest = Math.abs(value);
    const d = Math.fround(largest / 127);
    const inverse = d !== 0 ? Math.fround(1 / d) : 0;
    const quants = Array.from(block, (value) => toInt8(roundAway(Math.fround(value * inverse))));
    view.setUint16(i * bytes, f16Bits(d), true);
    if (withSum) {
      const total = sum(32, (j) => quants[j] ?? 0);
      view.setUint16(i * bytes + 2, f16Bits(Math.fround(total * d)), true);
    }
    for (const [j, quant] of quants.entries()) view.setInt8(i * bytes + bytes - 32 + j, quant);
  }
  return y;
}

export function quantizeQ8K(x: Float32Array): Uint8Array {
  const y = new Uint8Array((x.length / 256) * 292);
  const view = new DataView(y.buffer);
  for (let i = 0; i < x.length / 256; i++) {
    const at = i * 292;
    const block = x.subarray(256 * i, 256 * i + 256);
    let max = 0;
    for (const value of block) if (Math.abs(value) > Math.abs(max)) max = value;
    if (max === 0) continue;
    const scale = Math.fround(-127 / max);
    view.setFloat32(at, Math.fround(1 / scale), true);
    for (const [j, value] of block.entries()) {
      // ggml's nearest_int, by adding 1.5 * 2^23, makes 0 of a NaN and the low byte 0 of what is not finite.
      const product = Math.fround(value * scale);
      const quant = Number.isFinite(product) ? Math.min(127, roundHalfEven(product)) : 0;
      view.setInt8(at + 4 + j, quant);
      view.setInt16(at + 260 + 2 * (j >> 4), view.getInt16(at + 260 + 2 * (j >> 4), true) + quant, true);
    }
  }
  return y;
}
