/*
 * Q2_K with Q8_K.
 *
 *   block_q2_K: 16 bytes of scales (low nibble) and minimums (high), 64 bytes qs, half d, half dmin
 *   Each half of the block, 128 elements in four groups of 32, has 32 bytes qs. Element j of group g is
 *   d * scale * q - dmin * minimum, where q is bits 2g and 2g + 1 of qs[j]. Every 16 elements have a scale and a minimum.
 */
#include "superblocks.h"

INLINE v128_t two_bits(v128_t q, int group) {
    return wasm_v128_and(wasm_u16x8_shr(q, 2 * group), wasm_i8x16_const_splat(3));
}

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_fused) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 84, y += Q8_K_BYTES) {
        const v128_t scales = low_nibbles(LOAD(x)), minimums = high_nibbles(LOAD(x));
        const v128_t scales0 = wasm_u16x8_extend_low_u8x16(scales), scales1 = wasm_u16x8_extend_high_u8x16(scales);
        const uint8_t *v = y_qs(y);
        v128_t a = ZERO;
#define GROUP(half, group)                                                                                             \
    {                                                                                                                  \
        const uint8_t *q = x + 16 + 32 * half, *w = v + 128 * half + 32 * group;                                       \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group), two_bits(LOAD(q), group), w, is_fused);               \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group + 1), two_bits(LOAD(q + 16), group), w + 16, is_fused); \
    }
        GROUP(0, 0) GROUP(0, 1) GROUP(0, 2) GROUP(0, 3)
        GROUP(1, 0) GROUP(1, 1) GROUP(1, 2) GROUP(1, 3)
#undef GROUP
        const v128_t b = dot_sums(y, wasm_u16x8_extend_low_u8x16(minimums), wasm_u16x8_extend_high_u8x16(minimums));
        sum = add_superblock_dm(sum, a, b, x + 80, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_q2_K_q8_K) { *s = dot_is_fused() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
