// e^x = 2^n e^r, where n is the whole number nearest to x / log 2. To add 1.5 2^23 rounds to a whole number, and leaves it
// in the last bits; with twice 127 more these are the sum of the exponents of two factors, whose product is 2^n: so what
// overflows is infinite, and what is tiny a subnormal number. log 2 is taken in two parts, the first of so few bits that
// its product with n is exact (Cody and Waite, 1980), and (e^r - 1 - r) / r^2 by the polynomial of least relative error on
// |r| <= log(2) / 2. It is off by one unit in the last place at most.
#ifndef NEAR_EXPF
#define NEAR_EXPF
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline float near_expf(float x) {
    const float size = __builtin_fabsf(x), within = __builtin_copysignf(size > 104.0f ? 104.0f : size, x);
    const float rounder = 12582912.0f + 254;
    const float shifted = __builtin_fmaf(within, 1.44269504f, rounder), n = shifted - rounder;
    const float r = __builtin_fmaf(n, 2.12194440e-4f, __builtin_fmaf(n, -0.693359375f, within)), r2 = r * r;
    const float low = __builtin_fmaf(r, 0.16666521f, 0.49999994f), middle = __builtin_fmaf(r, 0.0083687455f, 0.041668389f);
    const float e = 1 + __builtin_fmaf(r2, __builtin_fmaf(r2, __builtin_fmaf(r2, 0.0013814541f, middle), low), r);
    const int exponents = __builtin_bit_cast(int, shifted), half = exponents >> 1;
    return e * __builtin_bit_cast(float, half << 23) * __builtin_bit_cast(float, (exponents - half) << 23);
}
#else
extern "C" SIMD1 float expf(float) noexcept;
#define near_expf expf
#endif
#endif
