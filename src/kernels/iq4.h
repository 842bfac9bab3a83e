/* What IQ4_NL and IQ4_XS share: nibbles that index a table of 16 unevenly spaced values. */
#pragma once

#include "blocks.h"

INLINE v128_t iq4_values(v128_t nibbles) {
    const v128_t table = wasm_i8x16_const(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return wasm_i8x16_swizzle(table, nibbles);
}
