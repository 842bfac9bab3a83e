/*
 * Q4_0 with Q8_0.
 *
 *   block_q4_0: half d, 16 bytes qs; element j is d * ((low nibble of qs[j]) - 8), element j + 16 d * ((high) - 8)
 *   block_q8_0: half d, 32 signed bytes qs; element j is d * qs[j]
 */
#include "blocks.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_fused) {
    const v128_t q = LOAD(x + 2);
    return dot32_biased(low_nibbles(q), high_nibbles(q), 8, y + 2, is_fused);
}

VEC_DOT(ggml_vec_dot_q4_0_q8_0) {
    if (dot_is_fused()) *s = dot_blocks_d(n, (rows){vx, vy, 18, 34, dot, true});
    else *s = dot_blocks_d(n, (rows){vx, vy, 18, 34, dot, false});
}
