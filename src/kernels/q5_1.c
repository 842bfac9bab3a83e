/*
 * Q5_1 with Q8_1.
 *
 *   block_q5_1: half d, half m, 32 bits qh, 16 bytes qs; element j is d * (nibble of qs | bit j of qh << 4) + m
 *   block_q8_1: half d, half s, 32 signed bytes qs; element j is d * qs[j], and s is d * (sum of qs)
 */
#include "q5.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_fused) {
    const five_bits w = load_five_bits(x + 4, x + 8);
    return dot32_weights(w.w0, w.w1, y + 4, is_fused);
}

VEC_DOT(ggml_vec_dot_q5_1_q8_1) {
    if (dot_is_fused()) *s = dot_blocks_dm(n, (rows){vx, vy, 24, 36, dot, true});
    else *s = dot_blocks_dm(n, (rows){vx, vy, 24, 36, dot, false});
}
