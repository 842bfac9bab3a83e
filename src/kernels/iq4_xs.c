/*
 * IQ4_XS with Q8_K.
 *
 *   block_iq4_xs: half d, 16 bits scales_h, 4 bytes scales_l, 128 bytes qs
 *   Sub-block i has 32 elements and 16 bytes qs: element j is d * (scale - 32) * value[low nibble of qs[j]], element j + 16 with
 *   the high one. The scale's low four bits are nibble i of scales_l, its high two are bits 2i and 2i + 1 of scales_h.
 */
#include "iq4.h"
#include "superblocks.h"

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_signed) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 136, y += Q8_K_BYTES) {
        uint16_t scales_h;
        __builtin_memcpy(&scales_h, x + 2, 2);
        const uint8_t *v = y_qs(y);
        v128_t a = ZERO;
        for (int i = 0; i < 8; i += 1) {
            const int low = (x[4 + i / 2] >> (4 * (i % 2))) & 15, high = (scales_h >> (2 * i)) & 3;
            const v128_t q = LOAD(x + 8 + 16 * i);
            const v128_t dot =
                dot32(iq4_values(low_nibbles(q)), iq4_values(high_nibbles(q)), v + 32 * i, is_signed);
            a = wasm_i32x4_add(a, wasm_i32x4_mul(dot, wasm_i32x4_splat((low | high << 4) - 32)));
        }
        sum = add_superblock_d(sum, a, x, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_iq4_xs_q8_K) { *s = dot_is_signed() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
