/*
 * IQ4_NL with Q8_0.
 *
 *   block_iq4_nl: half d, 16 bytes qs; element j is d * value[low nibble of qs[j]], element j + 16 d * value[high]
 *   block_q8_0:   half d, 32 signed bytes qs; element j is d * qs[j]
 */
#include "iq4.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_signed) {
    const v128_t q = LOAD(x + 2);
    return dot32(iq4_values(low_nibbles(q)), iq4_values(high_nibbles(q)), y + 2, is_signed);
}

VEC_DOT(ggml_vec_dot_iq4_nl_q8_0) {
    if (dot_is_signed()) *s = dot_blocks_d(n, (rows){vx, vy, 18, 34, dot, true});
    else *s = dot_blocks_d(n, (rows){vx, vy, 18, 34, dot, false});
}
