// What kernels share: half precision computed in float, and teams of threads that reduce lines of arrays.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#ifndef INFINITY  // NVRTC has no <math.h>
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

// wide(x) is x in the type in which it is computed: float for half precision, else its own. Narrow<T>::of rounds back.
template <class T> __device__ T wide(T x) { return x; }
__device__ inline float wide(__half x) { return __half2float(x); }
__device__ inline float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T> struct Narrow {
  template <class W> static __device__ T of(W x) { return T(x); }
};
template <> struct Narrow<__half> {
  static __device__ __half of(float x) { return __float2half(x); }
};
template <> struct Narrow<__nv_bfloat16> {
  static __device__ __nv_bfloat16 of(float x) { return __float2bfloat16(x); }
};
template <class T> struct Of { typedef T wide; };
template <> struct Of<__half> { typedef float wide; };
template <> struct Of<__nv_bfloat16> { typedef float wide; };
#define WIDE typename Of<T>::wide  // in templates over T
template <class T> __device__ T narrow(WIDE x) { return Narrow<T>::of(x); }

// Ways to combine two numbers; a NaN among the operands of an extreme is its result.
struct add {
  template <class W> static __device__ W of(W a, W b) { return a + b; }
};
struct multiply {
  template <class W> static __device__ W of(W a, W b) { return a * b; }
};
struct maximum {
  template <class W> static __device__ W of(W a, W b) { return a > b || a != a ? a : b; }
};
struct minimum {
  template <class W> static __device__ W of(W a, W b) { return a < b || a != a ? a : b; }
};

// N neighbouring elements of an array, which a thread reads or writes in one go: at most 16 bytes by one instruction,
// where their address is a multiple of 16 bytes (or of their size, if that is less). Which N suits is `pack` of
// gradcu/backends/gpu/__init__.py.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T at[N];
  __device__ T &operator[](int k) { return at[k]; }
  __device__ const T &operator[](int k) const { return at[k]; }
};

// The N elements at x, in the type in which they are computed.
template <int N, class T> __device__ Pack<WIDE, N> read(const T *x) {
  const Pack<T, N> narrow = *(const Pack<T, N> *)x;
  Pack<WIDE, N> found;
  for (int k = 0; k < N; k++) found[k] = wide(narrow[k]);
  return found;
}
template <class T, class W, int N> __device__ void write(T *x, const Pack<W, N> &values) {
  Pack<T, N> rounded;
  for (int k = 0; k < N; k++) rounded[k] = narrow<T>(values[k]);
  *(Pack<T, N> *)x = rounded;
}

// The same for the last elements of an array, of which `left` are there; zeros stand for the others.
template <int N, class T> __device__ Pack<WIDE, N> read(const T *x, long long left) {
  if (N == 1 || left >= N) return read<N>(x);
  Pack<WIDE, N> found;
  for (int k = 0; k < N; k++) found[k] = k < left ? wide(x[k]) : WIDE(0);
  return found;
}
template <class T, class W, int N> __device__ void write(T *x, const Pack<W, N> &values, long long left) {
  if (N == 1 || left >= N) return write(x, values);
  for (int k = 0; k < N; k++)
    if (k < left) x[k] = narrow<T>(values[k]);
}

// The number of the running thread among all threads of a launch, for kernels of one element per thread.
__device__ inline long long thread() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }

constexpr int THREADS = 256;  // in a block, at most

// The threads of a block as teams, each of which works on one line of an array: `size` threads, of which this one is
// number `rank`. Where the elements of a line are neighbours in memory, so are the threads of a team (`along`), and a
// block is (size, teams); else neighbouring threads work on neighbouring lines, and a block is (teams, size). Either way
// a warp reads neighbouring elements. Sizes are powers of two.
struct Team {
  int size, rank;
  long long line;
  int apart;  // neighbours of a team, in threads of the block
  __device__ Team(bool along)
      : size(along ? blockDim.x : blockDim.y), rank(along ? threadIdx.x : threadIdx.y),
        line(along ? (long long)blockIdx.x * blockDim.y + threadIdx.y : (long long)blockIdx.x * blockDim.x + threadIdx.x),
        apart(along ? 1 : blockDim.x) {}
};

// Part of a line of an array (outer, n, inner), which a team works on: elements begin <= i < end of the line, from its last
// one on if `reverse` says so. A line has `parts` of `length` elements; the number of a team, `line`, counts parts by
// (outer, parts, inner).
struct Part {
  long long number, begin, end, first, apart;
  __device__ Part(
      const Team &team, long long lines, long long n, long long inner, long long length, long long parts, bool reverse
  )
      : number(team.line / inner % parts), begin(number * length),
        end(team.line < lines * parts ? min(begin + length, n) : begin),
        first((team.line / inner / parts * n + (reverse ? n - 1 : 0)) * inner + team.line % inner),
        apart(reverse ? -inner : inner) {}
  __device__ long long at(long long i) const { return first + i * apart; }
};

// An element and its place in a line.
template <class W> struct Place {
  W value;
  long long i;
};

// The value of the lane whose number differs in these bits.
template <class W> __device__ W exchanged(W mine, int bits) { return __shfl_xor_sync(0xffffffffu, mine, bits); }
template <class W> __device__ Place<W> exchanged(Place<W> mine, int bits) {
  return {exchanged(mine.value, bits), exchanged(mine.i, bits)};
}

// The values that the threads of a team have, combined; every thread gets the result. All threads of a block must come
// here. Within a warp they are exchanged by shuffles, across warps by shared memory, always in the same order.
template <class By, class W> __device__ W reduce(const Team &team, W value) {
  __shared__ W shared[THREADS];
  const int within = team.apart > 1 ? 1 : team.size < 32 ? team.size : 32;
  for (int d = within / 2; d > 0; d /= 2) value = By::of(value, exchanged(value, d));
  if (team.size == within) return value;
  const int self = threadIdx.y * blockDim.x + threadIdx.x;
  shared[self] = value;
  for (int half = team.size / 2; half >= within; half /= 2) {
    __syncthreads();
    if (team.rank < half) shared[self] = By::of(shared[self], shared[self + half * team.apart]);
  }
  __syncthreads();
  value = shared[self - team.rank * team.apart];
  __syncthreads();  // before the next reduction writes there
  return value;
}
