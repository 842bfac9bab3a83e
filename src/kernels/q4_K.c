/*
 * Q4_K with Q8_K.
 *
 *   block_q4_K: half d, half dmin, 12 bytes of scales and minimums, 128 bytes qs
 *   Sub-block i has 32 elements; element j is d * scale[i] * q - dmin * minimum[i], where q is a nibble of qs[32 (i / 2) + j]:
 *   the low one for an even i.
 */
#include "superblocks.h"

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_fused) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 144, y += Q8_K_BYTES) {
        const scales_and_minimums sm = unpack_scales(x + 4);
        const uint8_t *q = x + 16, *v = y_qs(y);
        v128_t a = ZERO;
#define PAIR(i)                                                                                                        \
    {                                                                                                                  \
        const v128_t q0 = LOAD(q + 16 * i), q1 = LOAD(q + 16 * i + 16);                                                \
        a = add_dot32_scaled(a, LANE16(sm.scales, i), low_nibbles(q0), low_nibbles(q1), v + 32 * i, is_fused);         \
        a = add_dot32_scaled(a, LANE16(sm.scales, i + 1), high_nibbles(q0), high_nibbles(q1), v + 32 * i + 32, is_fused); \
    }
        PAIR(0) PAIR(2) PAIR(4) PAIR(6)
#undef PAIR
        sum = add_superblock_dm(sum, a, dot_minimums(y, sm.minimums), x, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_q4_K_q8_K) { *s = dot_is_fused() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
