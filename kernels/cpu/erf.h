// The C library's vector form looks values up in tables, which takes half as long again. Least squares, reweighted
// towards the least maximum (Lawson 1961): erf(x) / x in x^2 up to 1, and erf itself from there to 3.93, where it is 1.
// Sums of pairs (Estrin 1960) wait less for each other than a sum term by term. It is off by two and a half
// units in the last place at most.
#ifndef NEAR_ERFF
#define NEAR_ERFF
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline float near_erff(float x) {
    const float a = __builtin_fabsf(x), u = x * x, u2 = u * u;
    const float s1 = __builtin_fmaf(u, 0.00518832775f, -0.026853811f), s2 = __builtin_fmaf(u, 7.85385782e-05f, -0.000801019254f);
    const float s0 = __builtin_fmaf(__builtin_fmaf(s2, u2, s1), u, 0.112835854f);
    const float small = __builtin_fmaf(__builtin_fmaf(s0, u, -0.37612626f), u, 1.12837911f);
    const float t = __builtin_fmaf(a > 3.93f ? 3.93f : a, 0.682593882f, -1.68259382f), t2 = t * t, t4 = t2 * t2;
    const float p1 = __builtin_fmaf(t, 0.0302995574f, -0.013713832f), p2 = __builtin_fmaf(t, 0.0452736579f, -0.0448467359f);
    const float p3 = __builtin_fmaf(t, 0.00691629946f, -0.0291350074f), p4 = __builtin_fmaf(t, -0.00929592829f, 0.00801216066f);
    const float p5 = __builtin_fmaf(t, 0.00165936269f, 0.00241579697f), p6 = __builtin_fmaf(t4, -0.000891810341f, __builtin_fmaf(p5, t2, p4));
    const float p0 = __builtin_fmaf(__builtin_fmaf(p6, t4, __builtin_fmaf(p3, t2, p2)), t2, p1);
    const float sum = __builtin_fmaf(__builtin_fmaf(p0, t, 0.00379664754f), t, 0.999509811f);
    const float large = sum > 1.0f ? 1.0f : sum;
    return a < 1.0f ? small * x : __builtin_copysignf(large, x);
}
#else
extern "C" SIMD2 float erff(float) noexcept;
#define near_erff erff
#endif
#endif
