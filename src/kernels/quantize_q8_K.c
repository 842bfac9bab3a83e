/*
 * Rows of floats to Q8_K, to the bit as ggml's portable C does.
 *
 *   block_q8_K: float d, 256 signed bytes qs, 16 sums of 16 qs each as signed 16-bit numbers; element j is d * qs[j]
 *
 * The element of the largest magnitude, the first of several, becomes -127; the others are rounded half to even, after the
 * product with the inverse. NaNs are ignored in the search and become 0. In a block of zeros the sums, which ggml leaves as
 * they are, become 0.
 */
#include "kernel.h"

/* 1.5 * 2^23: the bits of its sum with a float end in the nearest integer, 22 bits and a sign that is set when positive. */
#define MAGIC 0x1.8p23f

INLINE v128_t nearest(v128_t v) {
    const v128_t bits = wasm_v128_and(wasm_f32x4_add(v, wasm_f32x4_const_splat(MAGIC)), wasm_i32x4_const_splat(0x007fffff));
    return wasm_i32x4_sub(bits, wasm_i32x4_const_splat(0x00400000));
}

/* At most 127, and of what is below -128 (no finite quotient) the low byte. */
INLINE v128_t quantize4(const float *x, v128_t scale) {
    const v128_t q = wasm_i32x4_min(nearest(wasm_f32x4_mul(LOAD(x), scale)), wasm_i32x4_const_splat(127));
    return wasm_v128_and(q, wasm_i32x4_const_splat(0xff));
}

INLINE v128_t quantize16(const float *x, v128_t scale) {
    return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(quantize4(x, scale), quantize4(x + 4, scale)),
                                   wasm_i16x8_narrow_i32x4(quantize4(x + 8, scale), quantize4(x + 12, scale)));
}

/* The element of the largest magnitude, the first of several; 0 when all are zeros or NaNs. */
INLINE float extreme(const float *x) {
    v128_t max = ZERO, min = ZERO;
    for (int j = 0; j < 256; j += 4) {
        max = wasm_f32x4_pmax(max, LOAD(x + j));
        min = wasm_f32x4_pmin(min, LOAD(x + j));
    }
    max = wasm_f32x4_pmax(max, wasm_i32x4_shuffle(max, max, 2, 3, 0, 1));
    min = wasm_f32x4_pmin(min, wasm_i32x4_shuffle(min, min, 2, 3, 0, 1));
    max = wasm_f32x4_pmax(max, wasm_i32x4_shuffle(max, max, 1, 0, 3, 2));
    min = wasm_f32x4_pmin(min, wasm_i32x4_shuffle(min, min, 1, 0, 3, 2));
    const float most = wasm_f32x4_extract_lane(max, 0), least = wasm_f32x4_extract_lane(min, 0);
    if (most > -least) return most;
    if (most < -least) return least;
    for (int j = 0; j < 256; j += 1) {
        if (x[j] == most || x[j] == least) return x[j];
    }
    return 0;
}

FROM_FLOAT(quantize_row_q8_K) {
    uint8_t *y = vy;
    for (int64_t left = k / 256; left > 0; left -= 1, x += 256, y += 292) {
        const float max = extreme(x);
        const float scale = max != 0 ? -127.0f / max : 0.0f;
        const float d = max != 0 ? 1.0f / scale : 0.0f;
        __builtin_memcpy(y, &d, 4);
        for (int j = 0; j < 16; j += 1) {
            const v128_t q = quantize16(x + 16 * j, wasm_f32x4_splat(scale));
            const v128_t pairs = wasm_i16x8_extadd_pairwise_i8x16(q);
            const v128_t sums = i32x4_sums(wasm_i32x4_extadd_pairwise_i16x8(pairs), ZERO, ZERO, ZERO);
            wasm_v128_store(y + 4 + 16 * j, q);
            wasm_v128_store16_lane(y + 260 + 2 * j, sums, 0);
        }
    }
}
