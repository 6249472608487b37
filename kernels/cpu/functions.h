// Functions of elements that compilers can put into vectors: those of the C library in the vector forms that it has (see
// gradcu/expr/cpp.py), and an exponential of float, which is called for in the innermost loops.

#if VECTORS > 0
#define SIMD1 __attribute__((simd("notinbranch")))
#else
#define SIMD1
#endif
#if VECTORS > 1
#define SIMD2 __attribute__((simd("notinbranch")))
#else
#define SIMD2
#endif

extern "C" SIMD1 double exp(double) noexcept;
extern "C" SIMD1 float logf(float) noexcept;
extern "C" SIMD1 double log(double) noexcept;

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline float multiply_add(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
#else
static inline float multiply_add(float x, float y, float z) { return x * y + z; }
#endif

// e^x = 2^n e^r, where n is the whole number nearest to x / log 2. To add 1.5 2^23 rounds to a whole number, and leaves it
// in the last bits. log 2 is taken in two parts, the first of so few bits that its product with n is exact (Cody and
// Waite, 1980), and (e^r - 1 - r) / r^2 by the polynomial of least relative error on |r| <= log(2) / 2. The result is
// within 1 unit in the last place; those below 2.5e-38 are 0.
static inline float exp_of(float x) {
    const float rounder = 12582912.0f + 126;  // so that the last bits are the exponent of 2^(n - 1)
    const float shifted = multiply_add(x, 1.44269504f, rounder), n = shifted - rounder;
    const float r = multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x));
    float p = multiply_add(r, 0.0013814541f, 0.0083687455f);
    p = multiply_add(r, multiply_add(r, multiply_add(r, p, 0.041668389f), 0.16666521f), 0.49999994f);
    const float e = 1 + multiply_add(r * r, p, r);
    const float half = __builtin_bit_cast(float, __builtin_bit_cast(int, shifted) << 23);
    return x < -86.6f ? 0 : x > 88.73f ? __builtin_inff() : (e + e) * half;
}

static inline double exp_of(double x) { return exp(x); }
static inline float log_of(float x) { return logf(x); }
static inline double log_of(double x) { return log(x); }
