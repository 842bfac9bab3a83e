/*
 * Q6_K with Q8_K.
 *
 *   block_q6_K: 128 bytes ql, 64 bytes qh, 16 signed bytes of scales, half d
 *   Each half of the block, 128 elements in four groups of 32, has 64 bytes ql and 32 bytes qh. Element j of group g is
 *   d * scale * (q - 32); the low four bits of q are a nibble of ql[j + 32 (g % 2)], the high one for g > 1, the high two
 *   are bits 2g and 2g + 1 of qh[j]. Every 16 elements have a scale.
 */
#include "superblocks.h"

INLINE v128_t upper_bits(v128_t qh, int group) {
    const v128_t shifted = group < 2 ? wasm_i16x8_shl(qh, 4 - 2 * group) : wasm_u16x8_shr(qh, 2 * group - 4);
    return wasm_v128_and(shifted, wasm_i8x16_const_splat(0x30));
}

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_fused) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 210, y += Q8_K_BYTES) {
        const v128_t scales = LOAD(x + 192);
        const v128_t scales0 = wasm_i16x8_extend_low_i8x16(scales), scales1 = wasm_i16x8_extend_high_i8x16(scales);
        const uint8_t *v = y_qs(y);
        v128_t a = ZERO;
#define GROUP(half, group, nibbles)                                                                                    \
    {                                                                                                                  \
        const uint8_t *ql = x + 64 * half + 32 * (group % 2), *qh = x + 128 + 32 * half;                               \
        const uint8_t *w = v + 128 * half + 32 * group;                                                                \
        const v128_t q0 = wasm_v128_or(nibbles(LOAD(ql)), upper_bits(LOAD(qh), group));                                \
        const v128_t q1 = wasm_v128_or(nibbles(LOAD(ql + 16)), upper_bits(LOAD(qh + 16), group));                      \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group), q0, w, is_fused);                                     \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group + 1), q1, w + 16, is_fused);                            \
    }
        GROUP(0, 0, low_nibbles) GROUP(0, 1, low_nibbles) GROUP(0, 2, high_nibbles) GROUP(0, 3, high_nibbles)
        GROUP(1, 0, low_nibbles) GROUP(1, 1, low_nibbles) GROUP(1, 2, high_nibbles) GROUP(1, 3, high_nibbles)
#undef GROUP
        a = wasm_i32x4_sub(a, wasm_i32x4_shl(dot_sums(y, scales0, scales1), 5));
        sum = add_superblock_d(sum, a, x + 208, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_q6_K_q8_K) { *s = dot_is_fused() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
