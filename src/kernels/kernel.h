/*
 * What the kernels share.
 *
 * A kernel is one leaf function of ggml's signature. The linker (link.ts) moves its body, alone, into another module, so
 * it must not need anything beside itself: no calls, no stack in memory, no static data. Helpers are therefore inlined by
 * force, and tables are vector constants.
 *
 * Two levels are compiled from one source: SIMD128, and with RELAXED the relaxed instructions as well. Of these only uses
 * with one defined result are allowed, and floats are multiplied and added in one order that depends on n alone. So a dot
 * product is the same to the bit at both levels, in every engine, and whatever else is computed beside it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

#define INLINE static inline __attribute__((always_inline))
#define UNUSED __attribute__((unused))

/* ggml_vec_dot_t: *s = the dot product of the n elements of two rows. nrc is 1 (ggml's nrows): the strides are unused. */
#define VEC_DOT(name)                                                                                                  \
    __attribute__((export_name(#name))) void name(int n, float *restrict s, size_t bs UNUSED, const void *restrict vx,  \
                                                  size_t bx UNUSED, const void *restrict vy, size_t by UNUSED,          \
                                                  int nrc UNUSED)

/* ggml_from_float_t: quantizes a row of k floats. */
#define FROM_FLOAT(name)                                                                                               \
    __attribute__((export_name(#name))) void name(const float *restrict x, void *restrict vy, int64_t k)

#define ZERO wasm_i32x4_const_splat(0)
#define LOAD wasm_v128_load

INLINE float f32x4_sum(v128_t v) {
    v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}

/* Lane i: the sum of the lanes of the i-th vector. */
INLINE v128_t i32x4_sums(v128_t a, v128_t b, v128_t c, v128_t d) {
    const v128_t ab = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
    const v128_t cd = wasm_i32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
    return wasm_i32x4_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}

/* sum + scale * (the integers a) */
INLINE v128_t add_scaled(v128_t sum, v128_t a, v128_t scale) {
    return wasm_f32x4_add(sum, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(a), scale));
}

/* The lower and the upper nibbles of 16 bytes. */
INLINE v128_t low_nibbles(v128_t q) { return wasm_v128_and(q, wasm_i8x16_const_splat(15)); }
INLINE v128_t high_nibbles(v128_t q) { return low_nibbles(wasm_u16x8_shr(q, 4)); }

/* ---- Half precision ---- */

/*
 * The halves in the upper 16 bits of each lane, whatever the lower bits hold; infinities and NaNs come out wrong.
 * A half's exponent and mantissa, moved to a float's place, are its value times 2^-112, subnormals included.
 */
INLINE v128_t f16_high_finite(v128_t h) {
    const v128_t bits = wasm_v128_and(wasm_i32x4_shr(h, 3), wasm_i32x4_const_splat((int32_t)0x8fffe000));
    return wasm_f32x4_mul(bits, wasm_f32x4_const_splat(0x1p112f));
}
INLINE v128_t f16_low_finite(v128_t h) { return f16_high_finite(wasm_i32x4_shl(h, 16)); }

/* The same with infinities and NaNs: what would be 2^16 and more. */
INLINE v128_t f16_high(v128_t h) {
    const v128_t f = f16_high_finite(h);
    const v128_t special = wasm_f32x4_ge(wasm_f32x4_abs(f), wasm_f32x4_const_splat(65536.0f));
    return wasm_v128_or(f, wasm_v128_and(special, wasm_i32x4_const_splat(0x7f800000)));
}
INLINE v128_t f16_low(v128_t h) { return f16_high(wasm_i32x4_shl(h, 16)); }

/*
 * Telling infinities and NaNs apart costs as much as converting, for scales that no sound model holds. Loops that convert
 * many halves only remember their largest magnitude, and run again, exactly, if one of them was special.
 */
INLINE v128_t f16_remember(v128_t largest, v128_t h) { return wasm_u16x8_max(largest, wasm_i16x8_add(h, h)); }
INLINE bool f16_any_special(v128_t largest) {
    return wasm_v128_any_true(wasm_u16x8_ge(largest, wasm_u16x8_const_splat(0x7c00 << 1)));
}

/* ---- Dot products of bytes ---- */

/* Sums of four (in some order) of the 16 products of signed bytes. */
INLINE v128_t dot16_extended(v128_t x, const uint8_t *y) {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(x), wasm_i16x8_load8x8(y)),
                          wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(x), wasm_i16x8_load8x8(y + 8)));
}

/* The 16 products of bytes and weights of 0 to 63, summed by two: at most 2 * 63 * 128. */
INLINE v128_t pairs16_extended(v128_t weights, const uint8_t *y) {
    return wasm_i16x8_add(wasm_i16x8_mul(wasm_u16x8_extend_low_u8x16(weights), wasm_i16x8_load8x8(y)),
                          wasm_i16x8_mul(wasm_u16x8_extend_high_u8x16(weights), wasm_i16x8_load8x8(y + 8)));
}

#ifdef RELAXED
/*
 * The relaxed dot products multiply a signed byte with one of 7 bits. With a weight of 0 to 127 every engine gives the same
 * result. They are lowered in three ways, and which form of a kernel is fastest depends on it, so kernels ask the engine:
 *   - four signed products, added at once (ARM's sdot): the second operand may be any signed byte;
 *   - four products of a signed and an unsigned byte, added at once (x86's vpdpbusd);
 *   - pairs of these, added with saturation to 16 bits, then added up (x86's pmaddubsw and pmaddwd): three instructions,
 *     of which the last two can be shared by several dot products.
 */
#ifndef DOT /* The tests put the other engines' instructions here. */
#define DOT wasm_i32x4_relaxed_dot_i8x16_i7x16_add
#endif
#define DOT_PAIRS wasm_i16x8_relaxed_dot_i8x16_i7x16

/* 4 * -128 * -128, or 4 * -128 * 128, or 2 * 32767 */
INLINE bool dot_is_signed(void) {
    const v128_t least = wasm_i8x16_const_splat(-128);
    return wasm_i32x4_extract_lane(DOT(least, least, ZERO), 0) == 4 * 128 * 128;
}
/* 4 * 127 * -1, or 4 * 127 * 255, or, saturated, 2 * 32767 */
INLINE bool dot_is_fused(void) {
    const v128_t sum = DOT(wasm_i8x16_const_splat(127), wasm_i8x16_const_splat(-1), ZERO);
    return wasm_i32x4_extract_lane(sum, 0) != 2 * 32767;
}
#else
INLINE bool dot_is_signed(void) { return false; }
INLINE bool dot_is_fused(void) { return false; }
#endif

/* Sums, in some order, of the 32 products of signed bytes x0, x1 and those at y. */
INLINE v128_t dot32(v128_t x0, v128_t x1, const uint8_t *y, bool is_signed UNUSED) {
#ifdef RELAXED
    if (is_signed) return DOT(LOAD(y + 16), x1, DOT(LOAD(y), x0, ZERO));
#endif
    return wasm_i32x4_add(dot16_extended(x0, y), dot16_extended(x1, y + 16));
}

/* The same for weights of 0 to 31. */
INLINE v128_t dot32_weights(v128_t w0, v128_t w1, const uint8_t *y, bool is_fused UNUSED) {
#ifdef RELAXED
    const v128_t y0 = LOAD(y), y1 = LOAD(y + 16);
    if (is_fused) return DOT(y1, w1, DOT(y0, w0, ZERO));
    return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(DOT_PAIRS(y0, w0), DOT_PAIRS(y1, w1)));
#else
    return wasm_i32x4_add(dot16_extended(w0, y), dot16_extended(w1, y + 16));
#endif
}

/* The same for weights of 0 to 31 from which `bias` is to be taken. */
INLINE v128_t dot32_biased(v128_t w0, v128_t w1, int8_t bias, const uint8_t *y, bool is_fused UNUSED) {
    const v128_t b = wasm_i8x16_splat(bias);
#ifdef RELAXED
    const v128_t y0 = LOAD(y), y1 = LOAD(y + 16);
    if (is_fused) return wasm_i32x4_sub(DOT(y1, w1, DOT(y0, w0, ZERO)), DOT(y1, b, DOT(y0, b, ZERO)));
    const v128_t pairs = wasm_i16x8_add(DOT_PAIRS(y0, w0), DOT_PAIRS(y1, w1));
    const v128_t bias_pairs = wasm_i16x8_add(DOT_PAIRS(y0, b), DOT_PAIRS(y1, b));
    return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_sub(pairs, bias_pairs));
#else
    return dot32(wasm_i8x16_sub(w0, b), wasm_i8x16_sub(w1, b), y, false);
#endif
}

/* sum + scale * (16 products of weights of 0 to 63 and bytes); `scale` is one number of 16 bits in all lanes. */
INLINE v128_t add_dot16_scaled(v128_t sum, v128_t scale, v128_t weights, const uint8_t *y, bool is_fused UNUSED) {
#ifdef RELAXED
    if (is_fused) {
        const v128_t scale32 = wasm_i32x4_shr(scale, 16);
        return wasm_i32x4_add(sum, wasm_i32x4_mul(DOT(LOAD(y), weights, ZERO), scale32));
    }
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(DOT_PAIRS(LOAD(y), weights), scale));
#else
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(pairs16_extended(weights, y), scale));
#endif
}

/* The same for 32 products with one scale and weights of 0 to 31. */
INLINE v128_t add_dot32_scaled(v128_t sum, v128_t scale, v128_t w0, v128_t w1, const uint8_t *y, bool is_fused UNUSED) {
#ifdef RELAXED
    if (is_fused) {
        const v128_t scale32 = wasm_i32x4_shr(scale, 16);
        return wasm_i32x4_add(sum, wasm_i32x4_mul(DOT(LOAD(y + 16), w1, DOT(LOAD(y), w0, ZERO)), scale32));
    }
    const v128_t pairs = wasm_i16x8_add(DOT_PAIRS(LOAD(y), w0), DOT_PAIRS(LOAD(y + 16), w1));
#else
    const v128_t pairs = wasm_i16x8_add(pairs16_extended(w0, y), pairs16_extended(w1, y + 16));
#endif
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(pairs, scale));
}

/* Lane i of eight 16-bit numbers, in all lanes. */
#define LANE16(v, i) wasm_i16x8_shuffle(v, v, i, i, i, i, i, i, i, i)
