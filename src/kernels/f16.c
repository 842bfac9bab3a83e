/*
 * F16 with F32: a row of halves and one of floats, of any length.
 *
 * Sixteen elements a turn, in four sums, so that no addition waits for the one before it. Which elements share a sum does not
 * matter, as long as it depends on the row's length alone.
 */
#include "kernel.h"

typedef struct {
    v128_t low, high, largest;
} sums;

INLINE v128_t converted(v128_t h, bool exact) { return exact ? f16_low(h) : f16_low_finite(h); }

INLINE sums add_eight(sums s, v128_t x, v128_t y_low, v128_t y_high, bool exact) {
    s.largest = f16_remember(s.largest, x);
    s.low = wasm_f32x4_add(s.low, wasm_f32x4_mul(converted(wasm_i32x4_extend_low_i16x8(x), exact), y_low));
    s.high = wasm_f32x4_add(s.high, wasm_f32x4_mul(converted(wasm_i32x4_extend_high_i16x8(x), exact), y_high));
    return s;
}

INLINE sums add_rows(int n, const uint8_t *x, const uint8_t *y, bool exact) {
    sums s = {ZERO, ZERO, ZERO}, t = {ZERO, ZERO, ZERO};
    int i = 0;
    for (; i + 16 <= n; i += 16, x += 32, y += 64) {
        s = add_eight(s, LOAD(x), LOAD(y), LOAD(y + 16), exact);
        t = add_eight(t, LOAD(x + 16), LOAD(y + 32), LOAD(y + 48), exact);
    }
    for (; i < n; i += 1, x += 2, y += 4) {
        s = add_eight(s, wasm_v128_load16_lane(x, ZERO, 0), wasm_v128_load32_zero(y), ZERO, exact);
    }
    s.low = wasm_f32x4_add(s.low, t.low);
    s.high = wasm_f32x4_add(s.high, t.high);
    s.largest = wasm_u16x8_max(s.largest, t.largest);
    return s;
}

VEC_DOT(ggml_vec_dot_f16_f32) {
    sums r = add_rows(n, vx, vy, false);
    if (f16_any_special(r.largest)) r = add_rows(n, vx, vy, true);
    *s = f32x4_sum(wasm_f32x4_add(r.low, r.high));
}
