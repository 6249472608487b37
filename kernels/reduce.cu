// Reductions of a line of n elements, and where its extreme is:
//
//     reduction  y = (x_0 + ... + x_n-1) / divisor, or the largest or smallest x_i; NaN if there is one
//     place      y = the least i for which x_i is the largest (or smallest), or NaN
//
// The array is (outer, n, inner): outer * inner lines of n elements, `inner` apart. Lines that are too few to occupy a
// device are cut into parts of `length` elements, and y is (outer, parts, inner): the same kernel reduces that again, so
// sums are always taken in the same order. A team of threads works on a part, each on every size-th element.

#include "common.cuh"

// What a thread begins with: nothing for sums, an element of its part for extremes.
template <class By> struct Start {
  template <class W> static __device__ W of(W first) { return first; }
};
template <> struct Start<add> {
  template <class W> static __device__ W of(W) { return 0; }
};

// Parts of half precision are kept in float, so x is of T, and y of R.
template <class By, class T, class R>
__global__ void reduction(
    const T *x, R *y, long long lines, long long n, long long inner, long long length, long long parts, double divisor
) {
  const Team team(inner == 1);
  const Part part(team, lines, n, inner, length, parts, false);
  WIDE value = Start<By>::of(part.begin < part.end ? wide(x[part.at(part.begin)]) : WIDE(0));
  for (long long i = part.begin + team.rank; i < part.end; i += team.size) value = By::of(value, wide(x[part.at(i)]));
  value = reduce<By>(team, value);
  if (team.rank == 0 && part.begin < part.end) y[team.line] = narrow<R>(value / WIDE(divisor));
}

// Of equal elements, and of NaNs, the first counts.
template <class By> struct First {
  template <class W> static __device__ Place<W> of(Place<W> a, Place<W> b) {
    const bool same = a.value == b.value || (a.value != a.value && b.value != b.value);
    if (same) return a.i < b.i ? a : b;
    return a.value != a.value || By::of(a.value, b.value) == a.value ? a : b;
  }
};

// `among`, if it is given, are the places (outer, n, inner) of the elements that are compared, in (outer, whole, inner).
template <class By, class T>
__global__ void place(
    const T *x, const long long *among, long long *y, long long lines, long long n, long long inner, long long length,
    long long parts, long long whole
) {
  const Team team(inner == 1);
  const Part part(team, lines, n, inner, length, parts, false);
  const long long outside = team.line / inner / parts * whole * inner + team.line % inner;
  const auto element = [&](long long k) -> Place<WIDE> {
    const long long i = among ? among[part.at(k)] : k;
    return {wide(x[outside + i * inner]), i};
  };
  Place<WIDE> best = part.begin < part.end ? element(part.begin) : Place<WIDE>{0, 0};
  for (long long k = part.begin + team.rank; k < part.end; k += team.size) best = First<By>::of(best, element(k));
  best = reduce<First<By>>(team, best);
  if (team.rank == 0 && part.begin < part.end) y[team.line] = best.i;
}
