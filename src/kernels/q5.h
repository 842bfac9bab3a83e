/* What Q5_0 and Q5_1 share: 32 elements of five bits, four in 16 bytes of nibbles and one in 32 bits. */
#pragma once

#include "blocks.h"

/* Elements 0 to 15 and 16 to 31: nibbles of q, and the bits of qh in the place of a fifth bit (16) of their bytes. */
typedef struct {
    v128_t w0, w1;
} five_bits;

INLINE v128_t fifth_bits(v128_t bytes) {
    const v128_t bit_of_element = wasm_i64x2_const_splat((int64_t)0x8040201008040201);
    const v128_t is_set = wasm_i8x16_eq(wasm_v128_and(bytes, bit_of_element), bit_of_element);
    return wasm_v128_and(is_set, wasm_i8x16_const_splat(16));
}

INLINE five_bits load_five_bits(const uint8_t *qh, const uint8_t *qs) {
    const v128_t h = wasm_v128_load32_zero(qh), q = LOAD(qs);
    const v128_t h0 = wasm_i8x16_shuffle(h, h, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const v128_t h1 = wasm_i8x16_shuffle(h, h, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    return (five_bits){wasm_v128_or(low_nibbles(q), fifth_bits(h0)), wasm_v128_or(high_nibbles(q), fifth_bits(h1))};
}
