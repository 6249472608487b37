// scatter: rows of values are combined with the rows of x that an index names,
//
//     x[index[i] * length + j] = combine(x[index[i] * length + j], values[i * length + j])     for 0 <= j < length, all i,
//
// once for each time that a row is named. Combined by addition it is the gradient of x[index], of an embedding, of gather.
//
// One thread combines one value. Threads meet at rows that are named often, so every step is atomic, and the order of
// the steps, and with it the last bit of a floating result, differs from run to run. Half precision is rounded at each
// step; integers wrap around.

#include "common.cuh"

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
  const long long k = thread();
  if (k < count) combine(By(), x + index[k / length] * length + k % length, values[k]);
}
