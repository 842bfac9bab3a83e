/* What Q5_0 and Q5_1 share: 32 elements of five bits, four in 16 bytes of nibbles and one in 32 bits. */
#pragma once

#include "blocks.h"

/* Bits 8 * from to 8 * from + 15 of the 32 at qh, each in the place of a fifth bit (16) of its byte. */
INLINE v128_t fifth_bits(const uint8_t *qh, int from) {
    const v128_t byte_of_element = wasm_i8x16_const(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const v128_t bit_of_element = wasm_i64x2_const_splat((int64_t)0x8040201008040201);
    const v128_t bytes = wasm_i8x16_swizzle(wasm_v128_load16_splat(qh + from), byte_of_element);
    const v128_t is_set = wasm_i8x16_eq(wasm_v128_and(bytes, bit_of_element), bit_of_element);
    return wasm_v128_and(is_set, wasm_i8x16_const_splat(16));
}
