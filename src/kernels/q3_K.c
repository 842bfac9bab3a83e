/*
 * Q3_K with Q8_K.
 *
 *   block_q3_K: 32 bytes hmask, 64 bytes qs, 12 bytes of scales, half d
 *   Each half h of the block, 128 elements in four groups of 32, has 32 bytes qs. Element j of group g is
 *   d * (scale - 32) * (q - 4); the low two bits of q are bits 2g and 2g + 1 of qs[j], the third is bit 4h + g of hmask[j].
 *   Every 16 elements have a scale of six bits: scale i has its low four in byte i % 8 (the high nibble for i > 7), its high
 *   two in bits 2 (i / 4) and 2 (i / 4) + 1 of byte 8 + i % 4.
 */
#include "superblocks.h"

INLINE v128_t unpack_scales_less_32(const uint8_t *p) {
    uint32_t a, b, c;
    __builtin_memcpy(&a, p, 4);
    __builtin_memcpy(&b, p + 4, 4);
    __builtin_memcpy(&c, p + 8, 4);
    const v128_t low = wasm_u32x4_make(a, b, a >> 4, b >> 4), high = wasm_u32x4_make(c << 4, c << 2, c, c >> 2);
    const v128_t scales = wasm_v128_or(low_nibbles(low), wasm_v128_and(high, wasm_i8x16_const_splat(0x30)));
    return wasm_i8x16_sub(scales, wasm_i8x16_const_splat(32));
}

INLINE v128_t two_bits(v128_t q, int group) {
    return wasm_v128_and(wasm_u16x8_shr(q, 2 * group), wasm_i8x16_const_splat(3));
}

INLINE v128_t third_bits(v128_t hmask, int bit) {
    const v128_t shifted = bit < 2 ? wasm_i16x8_shl(hmask, 2 - bit) : wasm_u16x8_shr(hmask, bit - 2);
    return wasm_v128_and(shifted, wasm_i8x16_const_splat(4));
}

INLINE float dot_rows(int n, const uint8_t *x, const uint8_t *y, bool is_fused) {
    v128_t sum = ZERO;
    for (int left = n / 256; left > 0; left -= 1, x += 110, y += Q8_K_BYTES) {
        const v128_t scales = unpack_scales_less_32(x + 96);
        const v128_t scales0 = wasm_i16x8_extend_low_i8x16(scales), scales1 = wasm_i16x8_extend_high_i8x16(scales);
        const v128_t h0 = LOAD(x), h1 = LOAD(x + 16);
        const uint8_t *v = y_qs(y);
        v128_t a = ZERO;
#define GROUP(half, group)                                                                                             \
    {                                                                                                                  \
        const uint8_t *q = x + 32 + 32 * half, *w = v + 128 * half + 32 * group;                                       \
        const v128_t q0 = wasm_v128_or(two_bits(LOAD(q), group), third_bits(h0, 4 * half + group));                    \
        const v128_t q1 = wasm_v128_or(two_bits(LOAD(q + 16), group), third_bits(h1, 4 * half + group));               \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group), q0, w, is_fused);                                     \
        a = add_dot16_scaled(a, LANE16(scales##half, 2 * group + 1), q1, w + 16, is_fused);                            \
    }
        GROUP(0, 0) GROUP(0, 1) GROUP(0, 2) GROUP(0, 3)
        GROUP(1, 0) GROUP(1, 1) GROUP(1, 2) GROUP(1, 3)
#undef GROUP
        a = wasm_i32x4_sub(a, wasm_i32x4_shl(dot_sums(y, scales0, scales1), 2));
        sum = add_superblock_d(sum, a, x + 108, y);
    }
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_q3_K_q8_K) { *s = dot_is_fused() ? dot_rows(n, vx, vy, true) : dot_rows(n, vx, vy, false); }
