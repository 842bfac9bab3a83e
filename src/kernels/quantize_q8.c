/*
 * Rows of floats to Q8_0 and Q8_1, to the bit as ggml's portable C does.
 *
 *   block_q8_0: half d, 32 signed bytes qs; element j is d * qs[j]
 *   block_q8_1: half d, half s, 32 signed bytes qs; element j is d * qs[j], and s is d * (sum of qs)
 *
 * d is the largest magnitude / 127; qs are x / d (times the inverse), rounded half away from zero. Where C leaves a conversion
 * to an integer undefined, ggml's build for WebAssembly saturates, takes 0 for NaN, and keeps the low byte.
 */
#include "kernel.h"

#define INFINITY_BITS 0x7f800000

/* The largest float below one half. Adding it and truncating rounds half away from zero, for any float. */
#define ALMOST_HALF 0x1.fffffep-2f

INLINE v128_t round_away(v128_t v) {
    const v128_t sign = wasm_v128_and(v, wasm_i32x4_const_splat(INT32_MIN));
    return wasm_f32x4_trunc(wasm_f32x4_add(v, wasm_v128_or(sign, wasm_f32x4_const_splat(ALMOST_HALF))));
}

/* Nearest half, ties to even. */
INLINE uint16_t f16_from_f32(float f) {
    uint32_t bits;
    __builtin_memcpy(&bits, &f, 4);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > INFINITY_BITS) return sign | 0x7e00;
    if (magnitude >= 0x477ff000) return sign | 0x7c00; /* 65520, half way from the largest half to the next */
    if (magnitude < 0x38800000) {
        /* Below 2^-14 halves are multiples of 2^-24, as floats from 0.5 to 1 are. */
        const float shifted = __builtin_fabsf(f) + 0.5f;
        __builtin_memcpy(&bits, &shifted, 4);
        return sign | (bits - 0x3f000000);
    }
    return sign | ((magnitude + 0xfff + ((magnitude >> 13) & 1) - (112u << 23)) >> 13);
}

/* ggml's maximum, one element after another: a NaN replaces what came before it, and is replaced by what comes after. */
INLINE float largest_with_nan(const float *x) {
    float largest = 0;
    for (int j = 0; j < 32; j += 1) {
        const float magnitude = __builtin_fabsf(x[j]);
        largest = largest > magnitude ? largest : magnitude;
    }
    return largest;
}

INLINE v128_t load_magnitude(const float *x) { return wasm_v128_and(LOAD(x), wasm_i32x4_const_splat(INT32_MAX)); }

/* Magnitudes are compared as integers, among which NaNs come after infinity. */
INLINE v128_t largest_magnitude(const float *x) {
    v128_t a = load_magnitude(x), b = load_magnitude(x + 4);
    for (int j = 8; j < 32; j += 8) {
        a = wasm_i32x4_max(a, load_magnitude(x + j));
        b = wasm_i32x4_max(b, load_magnitude(x + j + 4));
    }
    a = wasm_i32x4_max(a, b);
    a = wasm_i32x4_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_i32x4_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2));
}

/* The low bytes of four floats each, rounded: the bits of 1.5 * 2^23 + i end in those of i. */
INLINE v128_t quantize4(const float *x, v128_t inverse) {
    const v128_t rounded = round_away(wasm_f32x4_mul(LOAD(x), inverse));
    return wasm_v128_and(wasm_f32x4_add(rounded, wasm_f32x4_const_splat(0x1.8p23f)), wasm_i32x4_const_splat(0xff));
}

/* The low byte of each, where the product may not be finite or larger than 2^22. */
INLINE v128_t quantize4_saturating(const float *x, v128_t inverse) {
    const v128_t rounded = wasm_i32x4_trunc_sat_f32x4(round_away(wasm_f32x4_mul(LOAD(x), inverse)));
    return wasm_v128_and(rounded, wasm_i32x4_const_splat(0xff));
}

typedef v128_t quantizer(const float *x, v128_t inverse);

INLINE v128_t quantize16(const float *x, v128_t inverse, quantizer *quantize) {
    return wasm_u8x16_narrow_i16x8(
        wasm_i16x8_narrow_i32x4(quantize(x, inverse), quantize(x + 4, inverse)),
        wasm_i16x8_narrow_i32x4(quantize(x + 8, inverse), quantize(x + 12, inverse)));
}

typedef struct {
    float d;
    v128_t q0, q1;
} block;

INLINE block quantize_block(const float *x) {
    block b;
    const v128_t largest = largest_magnitude(x);
    const bool has_nan = wasm_i32x4_extract_lane(largest, 0) > INFINITY_BITS;
    b.d = (has_nan ? largest_with_nan(x) : wasm_f32x4_extract_lane(largest, 0)) / 127;
    const float inverse = b.d != 0 ? 1.0f / b.d : 0.0f;
    const v128_t inverses = wasm_f32x4_splat(inverse);
    if (has_nan || inverse == __builtin_inff()) {
        b.q0 = quantize16(x, inverses, quantize4_saturating);
        b.q1 = quantize16(x + 16, inverses, quantize4_saturating);
    } else {
        b.q0 = quantize16(x, inverses, quantize4);
        b.q1 = quantize16(x + 16, inverses, quantize4);
    }
    return b;
}

INLINE void store_f16(uint8_t *p, float f) {
    const uint16_t half = f16_from_f32(f);
    __builtin_memcpy(p, &half, 2);
}

FROM_FLOAT(quantize_row_q8_0) {
    uint8_t *y = vy;
    for (int64_t left = k / 32; left > 0; left -= 1, x += 32, y += 34) {
        const block b = quantize_block(x);
        store_f16(y, b.d);
        wasm_v128_store(y + 2, b.q0);
        wasm_v128_store(y + 18, b.q1);
    }
}

FROM_FLOAT(quantize_row_q8_1) {
    uint8_t *y = vy;
    for (int64_t left = k / 32; left > 0; left -= 1, x += 32, y += 36) {
        const block b = quantize_block(x);
        const v128_t pairs =
            wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(b.q0), wasm_i16x8_extadd_pairwise_i8x16(b.q1));
        const v128_t sums = i32x4_sums(wasm_i32x4_extadd_pairwise_i16x8(pairs), ZERO, ZERO, ZERO);
        store_f16(y, b.d);
        store_f16(y + 2, (float)wasm_i32x4_extract_lane(sums, 0) * b.d);
        wasm_v128_store(y + 4, b.q0);
        wasm_v128_store(y + 20, b.q1);
    }
}
