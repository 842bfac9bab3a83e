import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileKernels, MODULES } from './compile.mjs';
import { instantiate } from './instantiate.ts';
import './node-relaxed-simd.ts';
import { FORMATS } from './reference.ts';

const committed = (name: string) => readFileSync(new URL(`./wasm/${name}`, import.meta.url));
/** The compiler itself is compiled to WebAssembly, and takes most of its time to load. */
const TIMEOUT = 300_000;

describe('the committed kernels', () => {
  it.each(MODULES)(
    'are what the sources give: %s (or else: npm run build:kernels)',
    { timeout: TIMEOUT },
    async (name) => {
      expect(Buffer.from(await compileKernels(name)).equals(committed(name))).toBe(true);
    },
  );
});

/** What relaxed dot products are on processors that this machine may not be, in instructions that have one meaning. */
const engine = (extendLow: string, extendHigh: string) => `
  #include <wasm_simd128.h>
  static inline __attribute__((always_inline)) v128_t dot_of_another_engine(v128_t a, v128_t b, v128_t sum) {
    const v128_t low = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(a), ${extendLow}(b));
    const v128_t high = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(a), ${extendHigh}(b));
    const v128_t even = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
    return wasm_i32x4_add(sum, wasm_i32x4_add(even, odd));
  }
  #define DOT dot_of_another_engine
`;
const ENGINES = {
  'ARM: signed, fused': engine('wasm_i16x8_extend_low_i8x16', 'wasm_i16x8_extend_high_i8x16'),
  'x86 with VNNI: unsigned, fused': engine('wasm_u16x8_extend_low_u8x16', 'wasm_u16x8_extend_high_u8x16'),
};

describe('the relaxed kernels give the same bits on every engine', () => {
  const here = instantiate(committed('relaxed-wasm32.wasm'));

  it.each(Object.entries(ENGINES))('%s', { timeout: TIMEOUT }, async (_, prelude) => {
    const there = instantiate(await compileKernels('relaxed-wasm32.wasm', prelude));
    let state = 1;
    const byte = () => {
      state = Math.imul(state, 1103515245) + 12345;
      return (state >>> 16) & 255;
    };
    for (const format of FORMATS) {
      for (const fill of [byte, () => 0x80, () => 0x7f, () => 0xff]) {
        const n = 3 * format.elements;
        const x = Uint8Array.from({ length: 3 * format.xBytes }, fill);
        const y = Uint8Array.from({ length: 3 * format.yBytes }, fill);
        expect(there.dot(format.name, { n, x, y })).toBe(here.dot(format.name, { n, x, y }));
      }
    }
  });
});
