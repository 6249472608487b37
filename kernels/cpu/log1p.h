// log(1 + x) = e log 2 + log(1 + f), where 1 + x = 2^e (1 + f) and -1/4 <= f < 1/2. f = 2^-e x + (2^-e - 1) has all digits of a
// small x, as 1 + x has not. (log(1 + f) - f) / f^2 is the polynomial of least relative error (Lawson's least squares,
// 1961). It is off by two units in the last place at most.
#ifndef NEAR_LOG1PF
#define NEAR_LOG1PF
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline float near_log1pf(float x) {
    const int power = (__builtin_bit_cast(int, 1.0f + x) - 0x3f400000) & (int)0xff800000;
    const float scale = __builtin_bit_cast(float, 0x5f800000 - power), inverse = 0x1p-64f;  // 2^(64 - e), for the largest e
    const float f = __builtin_fmaf(scale * x, inverse, __builtin_fmaf(scale, inverse, -1.0f));
    const float f2 = f * f, f4 = f2 * f2;
    const float a = __builtin_fmaf(f, 0.3333354890346527f, -0.5000005960464478f);
    const float b = __builtin_fmaf(f, 0.19977077841758728f, -0.24993441998958588f);
    const float c = __builtin_fmaf(f, 0.14983917772769928f, -0.1682281196117401f);
    const float d = __builtin_fmaf(f, 0.05413249507546425f, -0.12067370861768723f);
    const float p = __builtin_fmaf(f4, __builtin_fmaf(f2, d, c), __builtin_fmaf(f2, b, a));
    const float e = (float)power * 1.1920929e-07f;
    const float y = __builtin_copysignf(__builtin_fmaf(e, 0.69314718f, __builtin_fmaf(f2, p, f)), x);
    const float outside = x < -1.0f ? __builtin_nanf("") : -__builtin_inff();  // two choices: GCC makes branches of three
    return x <= -1.0f ? outside : x > 0x1.fffffep127f ? x : y;
}
#else
extern "C" SIMD2 float log1pf(float) noexcept;
#define near_log1pf log1pf
#endif
#endif
