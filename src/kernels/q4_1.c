/*
 * Q4_1 with Q8_1.
 *
 *   block_q4_1: half d, half m, 16 bytes qs; element j is d * (low nibble of qs[j]) + m, element j + 16 d * (high) + m
 *   block_q8_1: half d, half s, 32 signed bytes qs; element j is d * qs[j], and s is d * (sum of qs)
 */
#include "blocks.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_fused) {
    const v128_t q = LOAD(x + 4);
    return dot32_weights(low_nibbles(q), high_nibbles(q), y + 4, is_fused);
}

VEC_DOT(ggml_vec_dot_q4_1_q8_1) {
    if (dot_is_fused()) *s = dot_blocks_dm(n, (rows){vx, vy, 20, 36, dot, true});
    else *s = dot_blocks_dm(n, (rows){vx, vy, 20, 36, dot, false});
}
