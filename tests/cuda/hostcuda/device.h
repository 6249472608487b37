// CUDA C++ as g++ sees it: the words, built-in variables and intrinsics that kernels use, for a kernel run on the host.
// `runtime.cpp` gives each CUDA thread a fiber, runs one block at a time and implements the barriers declared here.
#pragma once
#define __CUDACC_VER_MAJOR__ 13  // CuPy's headers then take half precision from NVIDIA's cuda_fp16.h
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector_functions.h>
#include <vector_types.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#undef __shared__
#define __shared__ static  // one block runs at a time, so a static is the block's own
#undef __constant__
#define __constant__
#undef __managed__
#define __managed__

// ---- what runtime.cpp provides -------------------------------------------------------------------------------------
extern "C" {
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
extern void *host_dynamic_shared;
void host_sync_block(int line);
void host_sync_warp(unsigned mask);
uint64_t *host_warp_slots();  // one slot for each lane of the running thread's warp
unsigned host_lane();
}
constexpr int warpSize = 32;

// ---- barriers, votes and shuffles ----------------------------------------------------------------------------------
#define __syncthreads() host_sync_block(__LINE__)
inline void __syncwarp(unsigned mask = 0xffffffffu) { host_sync_warp(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

namespace host {
// Every lane of the mask publishes a value, then reads what `read` picks from the warp's slots.
template <class T, class Read> auto exchange(unsigned mask, T value, Read read) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  host_warp_slots()[host_lane()] = bits;
  host_sync_warp(mask);
  auto result = read(host_warp_slots());
  host_sync_warp(mask);
  return result;
}
template <class T> T shuffle(unsigned mask, T value, unsigned source) {
  return exchange(mask, value, [source](const uint64_t *slots) {
    T result;
    std::memcpy(&result, &slots[source], sizeof(T));
    return result;
  });
}
}  // namespace host

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  unsigned first = host_lane() & ~(width - 1);
  return host::shuffle(mask, value, first + (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  unsigned lane = host_lane(), source = lane ^ bits;
  bool inside = (source & ~(width - 1)) <= (lane & ~(width - 1));
  return host::shuffle(mask, value, inside ? source : lane);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = host_lane();
  return host::shuffle(mask, value, (lane & (width - 1)) + delta < unsigned(width) ? lane + delta : lane);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = host_lane();
  return host::shuffle(mask, value, (lane & (width - 1)) >= delta ? lane - delta : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return host::exchange(mask, predicate != 0, [mask](const uint64_t *slots) {
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++)
      if ((mask >> lane & 1) && slots[lane]) votes |= 1u << lane;
    return votes;
  });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
inline unsigned __activemask() { return 0xffffffffu; }

// ---- atomics: blocks and threads take turns, so plain reads and writes are atomic ----------------------------------
#define HOST_ATOMIC(name, type, update)             \
  inline type name(type *address, type value) {     \
    type old = *address;                            \
    *address = (update);                            \
    return old;                                     \
  }
#define HOST_ATOMIC_INTEGER(type)                                \
  HOST_ATOMIC(atomicAdd, type, old + value)                \
  HOST_ATOMIC(atomicSub, type, old - value)                \
  HOST_ATOMIC(atomicExch, type, value)                           \
  HOST_ATOMIC(atomicMax, type, old < value ? value : old)        \
  HOST_ATOMIC(atomicMin, type, value < old ? value : old)        \
  HOST_ATOMIC(atomicAnd, type, old & value)                \
  HOST_ATOMIC(atomicOr, type, old | value)                 \
  HOST_ATOMIC(atomicXor, type, old ^ value)                \
  inline type atomicCAS(type *address, type compare, type value) { \
    type old = *address;                                         \
    if (old == compare) *address = value;                        \
    return old;                                                  \
  }
HOST_ATOMIC_INTEGER(int)
HOST_ATOMIC_INTEGER(unsigned int)
HOST_ATOMIC_INTEGER(unsigned long long)
HOST_ATOMIC(atomicAdd, float, old + value)
HOST_ATOMIC(atomicAdd, double, old + value)
HOST_ATOMIC(atomicExch, float, value)
HOST_ATOMIC(atomicMax, long long, old < value ? value : old)
HOST_ATOMIC(atomicMin, long long, value < old ? value : old)

// ---- mathematics that CUDA has at the root -------------------------------------------------------------------------
using std::abs, std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt,
    std::ceil, std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::fabs,
    std::floor, std::fma, std::fmax, std::fmin, std::fmod, std::frexp, std::hypot, std::isfinite, std::isinf,
    std::isnan, std::ldexp, std::lgamma, std::log, std::log10, std::log1p, std::log2, std::modf, std::nearbyint,
    std::nextafter, std::pow, std::remainder, std::rint, std::round, std::signbit, std::sin, std::sinh, std::sqrt,
    std::tan, std::tanh, std::tgamma, std::trunc;

template <class A, class B, class C = std::common_type_t<A, B>,
          class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
constexpr C min(A a, B b) {
  return C(b) < C(a) ? C(b) : C(a);
}
template <class A, class B, class C = std::common_type_t<A, B>,
          class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
constexpr C max(A a, B b) {
  return C(a) < C(b) ? C(b) : C(a);
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline double rcbrt(double x) { return 1.0 / std::cbrt(x); }
inline double sinpi(double x) { return std::sin(M_PI * std::remainder(x, 2.0)); }
inline double cospi(double x) { return std::cos(M_PI * std::remainder(x, 2.0)); }
inline float sinpif(float x) { return float(sinpi(x)); }
inline float cospif(float x) { return float(cospi(x)); }
inline double cyl_bessel_i0(double x) { return std::cyl_bessel_i(0.0, std::fabs(x)); }
inline double cyl_bessel_i1(double x) { return std::copysign(std::cyl_bessel_i(1.0, std::fabs(x)), x); }
inline float cyl_bessel_i0f(float x) { return float(cyl_bessel_i0(x)); }
inline float cyl_bessel_i1f(float x) { return float(cyl_bessel_i1(x)); }
inline double normcdf(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }
inline float normcdff(float x) { return float(normcdf(x)); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }

namespace host {
// The x with erf(x) = y, given 1 - y and 1 + y as well: Winitzki's closed form (A handy approximation for the error
// function and its inverse, 2008), then Newton's steps on whichever of erf and erfc is accurate there.
inline double inverse_erf(double y, double below_one, double above_minus_one) {
  if (!(below_one > 0 && above_minus_one > 0)) return below_one == 0 || above_minus_one == 0 ? y * INFINITY : NAN;
  double logarithm = std::log(below_one * above_minus_one), middle = 2 / (M_PI * 0.147) + logarithm / 2;
  double x = std::copysign(std::sqrt(std::sqrt(middle * middle - logarithm / 0.147) - middle), y);
  for (int step = 0; step < 8; step++) {
    double error = std::fabs(y) < 0.5 ? std::erf(x) - y
                   : y > 0            ? below_one - std::erfc(x)
                                      : std::erfc(-x) - above_minus_one;
    x -= error * std::exp(x * x) / M_2_SQRTPI;
  }
  return x;
}
}  // namespace host
inline double erfinv(double y) { return host::inverse_erf(y, 1 - y, 1 + y); }
inline double erfcinv(double y) { return host::inverse_erf(1 - y, y, 2 - y); }
inline double normcdfinv(double p) { return -M_SQRT2 * erfcinv(2 * p); }
inline double erfcx(double x) {  // exp(x*x) erfc(x); Laplace's continued fraction where exp would overflow
  if (x < 10) return std::exp(x * x) * std::erfc(x);
  double fraction = x;
  for (int term = 40; term > 0; term--) fraction = x + term / 2.0 / fraction;
  return M_2_SQRTPI / 2 / fraction;
}
inline float erfinv(float y) { return float(erfinv(double(y))); }
inline float erfinvf(float y) { return float(erfinv(double(y))); }
inline float erfcinv(float y) { return float(erfcinv(double(y))); }
inline float erfcinvf(float y) { return float(erfcinv(double(y))); }
inline float normcdfinvf(float p) { return float(normcdfinv(double(p))); }
inline float erfcx(float x) { return float(erfcx(double(x))); }
inline float erfcxf(float x) { return float(erfcx(double(x))); }

// The fast float intrinsics, computed exactly. glibc declares some of these names itself, hence the macros.
#define __expf(x) std::exp(float(x))
#define __exp10f(x) std::pow(10.0f, float(x))
#define __logf(x) std::log(float(x))
#define __log2f(x) std::log2(float(x))
#define __log10f(x) std::log10(float(x))
#define __sinf(x) std::sin(float(x))
#define __cosf(x) std::cos(float(x))
#define __tanf(x) std::tan(float(x))
#define __tanhf(x) std::tanh(float(x))
#define __powf(x, y) std::pow(float(x), float(y))
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

// ---- bits ----------------------------------------------------------------------------------------------------------
namespace host {
template <class To, class From> To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}
}  // namespace host
inline int __float_as_int(float x) { return host::bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return host::bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return host::bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return host::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return host::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return host::bits_as<double>(x); }
inline int __double2hiint(double x) { return int(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return int(__double_as_longlong(x)); }
inline double __hiloint2double(int high, int low) {
  return __longlong_as_double((long long)(high) << 32 | (unsigned)(low));
}
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rd(float x) { return int(std::floor(x)); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned result = 0;
  for (int bit = 0; bit < 32; bit++) result |= (x >> bit & 1) << (31 - bit);
  return result;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
template <class T> T __ldg(const T *address) { return *address; }
template <class T> T __ldcs(const T *address) { return *address; }
template <class T> void __stcs(T *address, T value) { *address = value; }

// ---- how the runtime calls a kernel --------------------------------------------------------------------------------
namespace host {
template <class... P, size_t... I> void call(void (*kernel)(P...), void **args, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<P> *>(args[I])...);
}
template <class... P> void call(void (*kernel)(P...), void **args) {
  call(kernel, args, std::index_sequence_for<P...>{});
}
}  // namespace host
#define HOST_KERNEL(symbol, ...) \
  extern "C" void host_kernel_##symbol(void **args) { host::call(__VA_ARGS__, args); }

#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
#include <cupy/float16.cuh>
#include <cupy/bfloat16.cuh>
