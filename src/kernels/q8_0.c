/*
 * Q8_0 with Q8_0: also the keys of a q8_0 KV cache with a query.
 *
 *   block_q8_0: half d, 32 signed bytes qs; element j is d * qs[j]
 */
#include "blocks.h"

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_signed) {
#ifdef RELAXED
    if (is_signed) return dot32(LOAD(x + 2), LOAD(x + 18), y + 2, true);
#endif
    (void)is_signed;
    v128_t sum = wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(x + 2), wasm_i16x8_load8x8(y + 2));
    sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(x + 10), wasm_i16x8_load8x8(y + 10)));
    sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(x + 18), wasm_i16x8_load8x8(y + 18)));
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(x + 26), wasm_i16x8_load8x8(y + 26)));
}

VEC_DOT(ggml_vec_dot_q8_0_q8_0) {
    if (dot_is_signed()) *s = dot_blocks_d(n, (rows){vx, vy, 34, 34, dot, true});
    else *s = dot_blocks_d(n, (rows){vx, vy, 34, 34, dot, false});
}
