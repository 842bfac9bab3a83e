/*
 * Rows of super-blocks of 256 elements (the K-quants) with Q8_K.
 *
 *   block_q8_K: float d, 256 signed bytes qs, 16 sums of 16 qs each as signed 16-bit numbers
 *
 * A super-block's dot product is d_y (d_x a - m_x b), where a sums the products of quants, each times its sub-block's scale,
 * and b sums y's quants, each times its sub-block's minimum. Both are integers below 2^31, and are summed up as such.
 */
#pragma once

#include "kernel.h"

#define Q8_K_BYTES 292

INLINE const uint8_t *y_qs(const uint8_t *y) { return y + 4; }
INLINE const uint8_t *y_sums(const uint8_t *y) { return y + 260; }

/* Sums, in some order, of the sums of 16 elements times 16 factors: signed 16-bit numbers in two vectors. */
INLINE v128_t dot_sums(const uint8_t *y, v128_t f0, v128_t f1) {
    const uint8_t *sums = y_sums(y);
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(LOAD(sums), f0), wasm_i32x4_dot_i16x8(LOAD(sums + 16), f1));
}

/*
 * The eight scales and eight minimums of six bits that Q4_K and Q5_K pack in twelve bytes p: for j < 4 the low six bits of
 * p[j] and of p[j + 4]; for the others the nibbles of p[j + 4], and above them the high two bits of p[j - 4] and of p[j].
 */
typedef struct {
    v128_t scales, minimums; /* unsigned 16-bit numbers */
} scales_and_minimums;

INLINE scales_and_minimums unpack_scales(const uint8_t *p) {
    uint32_t a, b, c;
    __builtin_memcpy(&a, p, 4);
    __builtin_memcpy(&b, p + 4, 4);
    __builtin_memcpy(&c, p + 8, 4);
    const uint32_t scales0 = a & 0x3f3f3f3f;
    const uint32_t scales1 = (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030);
    const uint32_t minimums0 = b & 0x3f3f3f3f;
    const uint32_t minimums1 = ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030);
    const v128_t scales = wasm_u32x4_make(scales0, scales1, 0, 0), minimums = wasm_u32x4_make(minimums0, minimums1, 0, 0);
    return (scales_and_minimums){wasm_u16x8_extend_low_u8x16(scales), wasm_u16x8_extend_low_u8x16(minimums)};
}

/* Minimums of 32 elements each, times the sums of these. */
INLINE v128_t dot_minimums(const uint8_t *y, v128_t minimums) {
    return dot_sums(y, wasm_i16x8_shuffle(minimums, minimums, 0, 0, 1, 1, 2, 2, 3, 3),
                    wasm_i16x8_shuffle(minimums, minimums, 4, 4, 5, 5, 6, 6, 7, 7));
}

/* sum + d_y (d a), over the lanes of `a`; the half d is at p. */
INLINE v128_t add_superblock_d(v128_t sum, v128_t a, const uint8_t *p, const uint8_t *y) {
    const v128_t d = f16_high(wasm_v128_load16_lane(p, ZERO, 1));
    return add_scaled(sum, i32x4_sums(a, ZERO, ZERO, ZERO), wasm_f32x4_mul(d, wasm_v128_load32_zero(y)));
}

/* sum + d_y (d a - dmin b), over the lanes of `a` and `b`; the halves d and dmin are at p. */
INLINE v128_t add_superblock_dm(v128_t sum, v128_t a, v128_t b, const uint8_t *p, const uint8_t *y) {
    const v128_t d = f16_high(wasm_v128_load16_lane(p + 2, wasm_v128_load16_lane(p, ZERO, 1), 3));
    const v128_t y_d = wasm_i32x4_shuffle(wasm_v128_load32_zero(y), ZERO, 0, 0, 4, 4);
    return add_scaled(sum, i32x4_sums(a, wasm_i32x4_neg(b), ZERO, ZERO), wasm_f32x4_mul(d, y_d));
}
