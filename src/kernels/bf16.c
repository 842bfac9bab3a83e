/*
 * BF16 with BF16: rows of the upper halves of floats, of any length.
 */
#include "kernel.h"

INLINE v128_t high(v128_t h) { return wasm_v128_and(h, wasm_i32x4_const_splat((int32_t)0xffff0000)); }
INLINE v128_t low(v128_t h) { return wasm_i32x4_shl(h, 16); }

VEC_DOT(ggml_vec_dot_bf16) {
    const uint8_t *x = vx, *y = vy;
    v128_t even = ZERO, odd = ZERO;
    int i = 0;
    for (; i + 8 <= n; i += 8, x += 16, y += 16) {
        const v128_t a = LOAD(x), b = LOAD(y);
        even = wasm_f32x4_add(even, wasm_f32x4_mul(low(a), low(b)));
        odd = wasm_f32x4_add(odd, wasm_f32x4_mul(high(a), high(b)));
    }
    for (; i < n; i += 1, x += 2, y += 2) {
        const v128_t a = wasm_v128_load16_lane(x, ZERO, 0), b = wasm_v128_load16_lane(y, ZERO, 0);
        even = wasm_f32x4_add(even, wasm_f32x4_mul(low(a), low(b)));
    }
    *s = f32x4_sum(wasm_f32x4_add(even, odd));
}
