// Functions of elements that compilers can put into vectors: those of the C library in the vector forms that it has (see
// gradcu/expr/cpp.py), and an exponential of float of our own.

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

#include "exp.h"

static inline float exp_of(float x) { return near_expf(x); }
static inline double exp_of(double x) { return exp(x); }
static inline float log_of(float x) { return logf(x); }
static inline double log_of(double x) { return log(x); }
