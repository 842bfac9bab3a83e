/*
 * Rows of blocks of 32 elements: the loops around a block's integer dot product.
 *
 * Four blocks are taken at a time. Their scales are converted and multiplied at once, and their integer sums are gathered in
 * one vector, so that what is done for each block is little more than its dot product. What is left at the end, one to three
 * blocks, goes the same way with empty lanes: rows of two blocks, a head of 64 in flash attention, are common.
 */
#pragma once

#include "kernel.h"

/* The sums, by lane in some order, of the 32 integer products of two blocks. `engine` is what the caller asked of it. */
typedef v128_t block_dot(const uint8_t *x, const uint8_t *y, bool engine);

typedef struct {
    const uint8_t *x, *y;
    int x_bytes, y_bytes;
    block_dot *dot;
    bool engine;
} rows;

/* Integer dot products of the next `count` (1 to 4) blocks, one a lane. */
INLINE v128_t dots(rows r, int count) {
    const v128_t a = r.dot(r.x, r.y, r.engine);
    const v128_t b = count > 1 ? r.dot(r.x + r.x_bytes, r.y + r.y_bytes, r.engine) : ZERO;
    const v128_t c = count > 2 ? r.dot(r.x + 2 * r.x_bytes, r.y + 2 * r.y_bytes, r.engine) : ZERO;
    const v128_t d = count > 3 ? r.dot(r.x + 3 * r.x_bytes, r.y + 3 * r.y_bytes, r.engine) : ZERO;
    return i32x4_sums(a, b, c, d);
}

INLINE rows skip(rows r, int count) {
    r.x += count * r.x_bytes;
    r.y += count * r.y_bytes;
    return r;
}

/* The first four bytes of the next blocks of a row, one block a lane. */
INLINE v128_t heads(const uint8_t *p, int stride, int count) {
    v128_t v = wasm_v128_load32_zero(p);
    if (count > 1) v = wasm_v128_load32_lane(p + stride, v, 1);
    if (count > 2) v = wasm_v128_load32_lane(p + 2 * stride, v, 2);
    if (count > 3) v = wasm_v128_load32_lane(p + 3 * stride, v, 3);
    return v;
}

/*
 * Blocks that begin with a half d: sum of d_x d_y dot.
 */
INLINE v128_t add_blocks_d(v128_t sum, v128_t *largest, rows r, int count, bool exact) {
    /* d_y in the upper half of each lane, d_x in the lower. */
    v128_t h = wasm_v128_load16_lane(r.y, wasm_v128_load16_lane(r.x, ZERO, 0), 1);
    if (count > 1) h = wasm_v128_load16_lane(r.y + r.y_bytes, wasm_v128_load16_lane(r.x + r.x_bytes, h, 2), 3);
    if (count > 2) h = wasm_v128_load16_lane(r.y + 2 * r.y_bytes, wasm_v128_load16_lane(r.x + 2 * r.x_bytes, h, 4), 5);
    if (count > 3) h = wasm_v128_load16_lane(r.y + 3 * r.y_bytes, wasm_v128_load16_lane(r.x + 3 * r.x_bytes, h, 6), 7);
    *largest = f16_remember(*largest, h);
    const v128_t d = exact ? wasm_f32x4_mul(f16_low(h), f16_high(h)) : wasm_f32x4_mul(f16_low_finite(h), f16_high_finite(h));
    return add_scaled(sum, dots(r, count), d);
}

INLINE float dot_blocks_d(int n, rows r) {
    const rows start = r;
    v128_t sum = ZERO, largest = ZERO;
    int left = n / 32;
    for (; left >= 4; left -= 4, r = skip(r, 4)) sum = add_blocks_d(sum, &largest, r, 4, false);
    if (left > 0) sum = add_blocks_d(sum, &largest, r, left, false);
    if (f16_any_special(largest)) {
        sum = ZERO;
        r = start;
        for (left = n / 32; left > 0; left -= 1, r = skip(r, 1)) sum = add_blocks_d(sum, &largest, r, 1, true);
    }
    return f32x4_sum(sum);
}

/*
 * Blocks that begin with two halves: d and m in x, d and s = d * (sum of y's elements) in y: sum of d_x d_y dot + m s.
 */
INLINE v128_t add_blocks_dm(v128_t sum, v128_t *largest, rows r, int count, bool exact) {
    const v128_t x = heads(r.x, r.x_bytes, count), y = heads(r.y, r.y_bytes, count);
    *largest = f16_remember(f16_remember(*largest, x), y);
    const v128_t d = exact ? wasm_f32x4_mul(f16_low(x), f16_low(y)) : wasm_f32x4_mul(f16_low_finite(x), f16_low_finite(y));
    const v128_t m =
        exact ? wasm_f32x4_mul(f16_high(x), f16_high(y)) : wasm_f32x4_mul(f16_high_finite(x), f16_high_finite(y));
    /* The two terms of a block are large and nearly cancel: together they go into the sum. */
    return wasm_f32x4_add(sum, add_scaled(m, dots(r, count), d));
}

INLINE float dot_blocks_dm(int n, rows r) {
    const rows start = r;
    v128_t sum = ZERO, largest = ZERO;
    int left = n / 32;
    for (; left >= 4; left -= 4, r = skip(r, 4)) sum = add_blocks_dm(sum, &largest, r, 4, false);
    if (left > 0) sum = add_blocks_dm(sum, &largest, r, left, false);
    if (f16_any_special(largest)) {
        sum = ZERO;
        r = start;
        for (left = n / 32; left > 0; left -= 1, r = skip(r, 1)) sum = add_blocks_dm(sum, &largest, r, 1, true);
    }
    return f32x4_sum(sum);
}
