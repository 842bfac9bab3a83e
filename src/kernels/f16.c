/*
 * F16 with F16: rows of halves, of any length.
 *
 * Eight elements a turn, as four 32-bit lanes of two; which elements share a sum does not matter.
 */
#include "kernel.h"

typedef struct {
    v128_t even, odd, largest;
} sums;

INLINE sums add_eight(sums s, v128_t x, v128_t y, bool exact) {
    s.largest = f16_remember(f16_remember(s.largest, x), y);
    const v128_t even = exact ? wasm_f32x4_mul(f16_low(x), f16_low(y)) : wasm_f32x4_mul(f16_low_finite(x), f16_low_finite(y));
    const v128_t odd =
        exact ? wasm_f32x4_mul(f16_high(x), f16_high(y)) : wasm_f32x4_mul(f16_high_finite(x), f16_high_finite(y));
    s.even = wasm_f32x4_add(s.even, even);
    s.odd = wasm_f32x4_add(s.odd, odd);
    return s;
}

INLINE sums add_rows(int n, const uint8_t *x, const uint8_t *y, bool exact) {
    sums s = {ZERO, ZERO, ZERO};
    int i = 0;
    for (; i + 8 <= n; i += 8, x += 16, y += 16) s = add_eight(s, LOAD(x), LOAD(y), exact);
    for (; i < n; i += 1, x += 2, y += 2) {
        s = add_eight(s, wasm_v128_load16_lane(x, ZERO, 0), wasm_v128_load16_lane(y, ZERO, 0), exact);
    }
    return s;
}

VEC_DOT(ggml_vec_dot_f16) {
    sums r = add_rows(n, vx, vy, false);
    if (f16_any_special(r.largest)) r = add_rows(n, vx, vy, true);
    *s = f32x4_sum(wasm_f32x4_add(r.even, r.odd));
}
