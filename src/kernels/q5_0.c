/*
 * Q5_0 with Q8_0.
 *
 *   block_q5_0: half d, 32 bits qh, 16 bytes qs; element j is d * ((nibble of qs | bit j of qh << 4) - 16), nibbles as in Q4_0
 *   block_q8_0: half d, 32 signed bytes qs; element j is d * qs[j]
 */
#include "q5.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_fused) {
    const five_bits w = load_five_bits(x + 2, x + 6);
    return dot32_biased(w.w0, w.w1, 16, y + 2, is_fused);
}

VEC_DOT(ggml_vec_dot_q5_0_q8_0) {
    if (dot_is_fused()) *s = dot_blocks_d(n, (rows){vx, vy, 22, 34, dot, true});
    else *s = dot_blocks_d(n, (rows){vx, vy, 22, 34, dot, false});
}
