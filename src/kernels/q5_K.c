/*
 * Q5_K with Q8_K.
 *
 *   block_q5_K: half d, half dmin, 12 bytes of scales and minimums, 32 bytes qh, 128 bytes qs
 *   As Q4_K, and bit i of qh[j] is the fifth bit of element j of sub-block i.
 */
#include "superblocks.h"

INLINE v128_t fifth_bits(v128_t qh, int i) {
    const v128_t shifted = i < 4 ? wasm_i16x8_shl(qh, 4 - i) : wasm_u16x8_shr(qh, i - 4);
    return wasm_v128_and(shifted, wasm_i8x16_const_splat(16));
}

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_fused) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 176, y += Q8_K_BYTES) {
        const scales_and_minimums sm = unpack_scales(x + 4);
        const v128_t h0 = LOAD(x + 16), h1 = LOAD(x + 32);
        const uint8_t *q = x + 48, *v = y_qs(y);
        v128_t a = ZERO;
#define SUB_BLOCK(i, nibbles)                                                                                          \
    a = add_dot32_scaled(a, LANE16(sm.scales, i), wasm_v128_or(nibbles(LOAD(q + 32 * (i / 2))), fifth_bits(h0, i)),    \
                         wasm_v128_or(nibbles(LOAD(q + 32 * (i / 2) + 16)), fifth_bits(h1, i)), v + 32 * i, is_fused);
        SUB_BLOCK(0, low_nibbles) SUB_BLOCK(1, high_nibbles)
        SUB_BLOCK(2, low_nibbles) SUB_BLOCK(3, high_nibbles)
        SUB_BLOCK(4, low_nibbles) SUB_BLOCK(5, high_nibbles)
        SUB_BLOCK(6, low_nibbles) SUB_BLOCK(7, high_nibbles)
#undef SUB_BLOCK
        sum = add_superblock_dm(sum, a, dot_minimums(y, sm.minimums), x, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_q5_K_q8_K) { *s = dot_is_fused() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
