/*
 * MXFP4 with Q8_0.
 *
 *   block_mxfp4: byte e, 16 bytes qs; element j is 2^(e - 128) * value[low nibble of qs[j]], element j + 16 with the high one
 *   block_q8_0:  half d, 32 signed bytes qs; element j is d * qs[j]
 *
 * The values are twice those of the format (E2M1), so that they are integers; hence 2^(e - 128), not 2^(e - 127).
 */
#include "blocks.h"

INLINE v128_t values(v128_t nibbles) {
    const v128_t table = wasm_i8x16_const(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    return wasm_i8x16_swizzle(table, nibbles);
}

INLINE v128_t dot(const uint8_t *x, const uint8_t *y, bool is_signed) {
    const v128_t q = LOAD(x + 1);
    return dot32(values(low_nibbles(q)), values(high_nibbles(q)), y + 2, is_signed);
}

/* 2^(e - 128): a subnormal float for 0 and 1, an exponent for the others. */
INLINE v128_t powers(v128_t e) {
    const v128_t small = wasm_i32x4_shl(wasm_i32x4_add(e, wasm_i32x4_const_splat(1)), 21);
    const v128_t normal = wasm_i32x4_shl(wasm_i32x4_sub(e, wasm_i32x4_const_splat(1)), 23);
    return wasm_v128_bitselect(small, normal, wasm_i32x4_lt(e, wasm_i32x4_const_splat(2)));
}

INLINE v128_t add_blocks(v128_t sum, rows r, int count) {
    v128_t e = wasm_v128_load8_lane(r.x, ZERO, 0);
    v128_t d = wasm_v128_load16_lane(r.y, ZERO, 1);
    if (count > 1) {
        e = wasm_v128_load8_lane(r.x + r.x_bytes, e, 4);
        d = wasm_v128_load16_lane(r.y + r.y_bytes, d, 3);
    }
    if (count > 2) {
        e = wasm_v128_load8_lane(r.x + 2 * r.x_bytes, e, 8);
        d = wasm_v128_load16_lane(r.y + 2 * r.y_bytes, d, 5);
    }
    if (count > 3) {
        e = wasm_v128_load8_lane(r.x + 3 * r.x_bytes, e, 12);
        d = wasm_v128_load16_lane(r.y + 3 * r.y_bytes, d, 7);
    }
    /* Empty lanes hold d = 0. */
    return add_scaled(sum, dots(r, count), wasm_f32x4_mul(f16_high(d), powers(e)));
}

INLINE float dot_rows(int n, rows r) {
    v128_t sum = ZERO;
    int left = n / 32;
    for (; left >= 4; left -= 4, r = skip(r, 4)) sum = add_blocks(sum, r, 4);
    if (left > 0) sum = add_blocks(sum, r, left);
    return f32x4_sum(sum);
}

VEC_DOT(ggml_vec_dot_mxfp4_q8_0) {
    if (dot_is_signed()) *s = dot_rows(n, (rows){vx, vy, 17, 34, dot, true});
    else *s = dot_rows(n, (rows){vx, vy, 17, 34, dot, false});
}
