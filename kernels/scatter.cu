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

// The same in a fixed order, where `index` is sorted and values[order[k]] belongs to index[k]: the thread of the first
// value for a place combines all of them, and half precision is rounded once, at the end.
template <class By, class T>
__global__ void scatter_in_order(
    T *x, const long long *index, const long long *order, const T *values, long long length, long long count
) {
  long long k = thread() / length;
  const long long row = k < count ? index[k] : -1, j = thread() % length;
  if (k >= count || (k > 0 && index[k - 1] == row)) return;
  T *place = x + row * length + j;
  auto total = wide(*place);
  for (; k < count && index[k] == row; k++) total = By::of(total, wide(values[order[k] * length + j]));
  *place = Narrow<T>::of(total);
}
