// scatter_add: rows of values are added to the rows of x that an index names,
//
//     x[index[i] * length + j] += values[i * length + j]     for 0 <= j < length and every i,
//
// a row that is named twice being added to twice: the gradient of x[index], of an embedding, of gather.
//
// One thread adds one value. Threads meet at rows that are named often, so every addition is atomic, and its order, and
// with it the last bit of a floating sum, differs from run to run.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Integers wrap around; half precision is rounded once per addition.
template <class T> __device__ T sum_of(T a, T b) { return T(a + b); }
template <> __device__ __half sum_of(__half a, __half b) { return __float2half(__half2float(a) + __half2float(b)); }
template <> __device__ __nv_bfloat16 sum_of(__nv_bfloat16 a, __nv_bfloat16 b) {
  return __float2bfloat16(__bfloat162float(a) + __bfloat162float(b));
}

// Types of one or two bytes: the aligned 32-bit word that holds the value is exchanged until nobody came in between.
template <class T> __device__ void atomic_add(T *address, T value) {
  size_t inside = (size_t)address % 4;
  unsigned *word = (unsigned *)((char *)address - inside);
  unsigned seen = *word, expected;
  do {
    expected = seen;
    unsigned next = expected;
    T *part = (T *)((char *)&next + inside);
    *part = sum_of(*part, value);
    seen = atomicCAS(word, expected, next);
  } while (seen != expected);
}
__device__ void atomic_add(float *address, float value) { atomicAdd(address, value); }
__device__ void atomic_add(double *address, double value) { atomicAdd(address, value); }
__device__ void atomic_add(int *address, int value) { atomicAdd(address, value); }
__device__ void atomic_add(long long *address, long long value) {
  atomicAdd((unsigned long long *)address, (unsigned long long)value);
}

template <class T>
__global__ void scatter_add(T *x, const long long *index, const T *values, long long length, long long count) {
  long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (k < count) atomic_add(x + index[k / length] * length + k % length, values[k]);
}
