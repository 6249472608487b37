// Up to three dimensions of planes, each combined by a matrix that has its numbers side by side in each row (a `Band`):
//
//     y[o0, o1, o2] = sum_k0,k1,k2 w0[o0, k0] w1[o1, k1] w2[o2, k2] x[s0[o0] + k0, s1[o1] + k1, s2[o2] + k2]
//
// where weights are not zero: nearest neighbours, linear and cubic interpolation, with antialiasing or without, adaptive
// averages. The gradient of x is the same with transposed matrices. One thread makes one element and gathers what belongs
// there: nothing is atomic, and sums are always taken in the same order.

#include "common.cuh"

// The matrix (results, elements) of a dimension; the identity if there are no starts.
template <class W> struct Axis {
  const int *starts;
  const W *weights;
  int width, elements, results;

  // visit(weight, i) for the elements i that result o is made of.
  template <class Visit> __device__ void each(int o, Visit visit) const {
    if (!starts) return visit(W(1), o);
    for (int k = 0; k < width; k++) {
      const W weight = weights[(long long)o * width + k];
      if (weight != W(0)) visit(weight, starts[o] + k);
    }
  }
};

template <class T>
__global__ void resample(const T *x, T *y, Axis<WIDE> first, Axis<WIDE> second, Axis<WIDE> third, long long total) {
  if (thread() >= total) return;
  const int o2 = thread() % third.results, o1 = thread() / third.results % second.results;
  const long long row = thread() / third.results / second.results;
  const T *plane = x + row / first.results * first.elements * second.elements * third.elements;
  WIDE sum = 0;
  first.each(row % first.results, [&](WIDE w0, int i0) {
    second.each(o1, [&](WIDE w1, int i1) {
      const T *line = plane + ((long long)i0 * second.elements + i1) * third.elements;
      WIDE part = 0;
      third.each(o2, [&](WIDE w2, int i2) { part += w2 * wide(line[i2]); });
      sum += w0 * w1 * part;
    });
  });
  y[thread()] = narrow<T>(sum);
}
