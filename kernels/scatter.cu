// scatter: rows of values are combined with the rows of x that an index names,
//
//     x[index[i] * length + j] = combine(x[index[i] * length + j], values[i * length + j])     for 0 <= j < length, all i,
//
// once for each time that a row is named. Combined by addition it is the gradient of x[index], of an embedding, of gather.
//
// One thread combines one value. Threads meet at rows that are named often, so every step is atomic, and the order of
// the steps, and with it the last bit of a floating result, differs from run to run.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Half precision is computed in float and rounded at each step; integers wrap around.
template <class T> __device__ T wide(T x) { return x; }
__device__ float wide(__half x) { return __half2float(x); }
__device__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T> struct Narrow {
  template <class W> static __device__ T of(W x) { return T(x); }
};
template <> struct Narrow<__half> {
  static __device__ __half of(float x) { return __float2half(x); }
};
template <> struct Narrow<__nv_bfloat16> {
  static __device__ __nv_bfloat16 of(float x) { return __float2bfloat16(x); }
};

// What is combined; a NaN among the operands of an extreme is its result.
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

template <bool eight_bytes> struct Word { typedef unsigned type; };
template <> struct Word<true> { typedef unsigned long long type; };

// The word that holds the value, of 4 or 8 bytes, is exchanged until no other thread came in between.
template <class By, class T> __device__ void combine(By, T *address, T value) {
  typedef typename Word<(sizeof(T) > 4)>::type word;
  const size_t inside = (size_t)address % sizeof(word);
  word *whole = (word *)((char *)address - inside);
  word seen = *whole, expected;
  do {
    expected = seen;
    word next = expected;
    T *part = (T *)((char *)&next + inside);
    *part = Narrow<T>::of(By::of(wide(*part), wide(value)));
    seen = atomicCAS(whole, expected, next);
  } while (seen != expected);
}

// Sums that the hardware makes.
__device__ void combine(add, float *address, float value) { atomicAdd(address, value); }
__device__ void combine(add, double *address, double value) { atomicAdd(address, value); }
__device__ void combine(add, int *address, int value) { atomicAdd(address, value); }
__device__ void combine(add, long long *address, long long value) {
  atomicAdd((unsigned long long *)address, (unsigned long long)value);
}

template <class By, class T>
__global__ void scatter(T *x, const long long *index, const T *values, long long length, long long count) {
  const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (k < count) combine(By(), x + index[k / length] * length + k % length, values[k]);
}
