// Normalisation (layer, batch, group, instance, root mean square) and its gradients:
//
//     standardize          y = xhat w + b,    xhat = (x - mean) scale,    scale = 1 / sqrt(mean (x - mean)^2 + eps)
//     standardize_x        dx = scale (h - mean h - xhat mean(h xhat)),   h = g w
//     standardize_weights  dw = sum g xhat,   db = sum g,                 over the elements that share a weight
//
// Means are over a line of n elements; without `center` (root mean square) mean is 0, and "mean h" is left out.
//
// Where the elements of line k lie: n = runs * length, and element i is x[k * length + (i / length) * step + i % length].
// One run of n neighbours gives layer, group and instance norm; in batch norm of (N, C, L) line k is a channel of N runs,
// step = C * L apart. Which weight element i has: each line has `per` weights, `each` elements in a row share one, and
// after `groups` lines they repeat: layer norm has groups, per, each = 1, n, 1; group norm of G groups of c channels
// G, c, n / c; batch and instance norm C, 1, n.
//
// Elements are of type T, weights of type P: T, or float beside half precision. A thread takes N elements at a time, which
// then lie side by side (runs, and what shares a weight, have a multiple of N), or, with `each` 1, whose weights do.

#include "common.cuh"

struct Layout {
  long long lines, n, length, step, groups, per, each;
  __device__ long long at(long long line, long long i) const {
    return length == n ? line * n + i : line * length + i / length * step + i % length;
  }
  // The weights of N elements of a line from i on, or `missing`.
  template <int N, class W, class P>
  __device__ Pack<W, N> weights(const P *w, W missing, long long line, long long i) const {
    const long long first = line % groups * per;
    if (w && each == 1) return read<N>(w + first + i);
    const W one = w ? wide(w[each == n ? first : first + i / each]) : missing;
    Pack<W, N> all;
    for (int k = 0; k < N; k++) all[k] = one;
    return all;
  }
};

#define LAYOUT \
  long long lines, long long n, long long length, long long step, long long groups, long long per, long long each
#define EACH(i) for (long long i = team.rank * N; i < count; i += team.size * N)
#define ALL(k) for (int k = 0; k < N; k++)

template <class T, class P, int N>
__global__ void standardize(
    const T *x, const P *w, const P *b, T *y, WIDE *means, WIDE *scales, LAYOUT, double eps, bool center
) {
  typedef Pack<WIDE, N> V;
  const Layout layout = {lines, n, length, step, groups, per, each};
  const Team team(length > 1);
  const long long line = team.line, count = line < lines ? n : 0;
  WIDE mean = 0, square = 0;
  if (center) {
    EACH(i) {
      const V v = read<N>(x + layout.at(line, i));
      ALL(k) mean += v[k];
    }
    mean = reduce<add>(team, mean) / n;
  }
  EACH(i) {
    const V v = read<N>(x + layout.at(line, i));
    ALL(k) square += (v[k] - mean) * (v[k] - mean);
  }
  const WIDE scale = 1 / sqrt(reduce<add>(team, square) / n + WIDE(eps));
  EACH(i) {
    const long long at = layout.at(line, i);
    const V own = layout.weights<N>(w, WIDE(1), line, i), shift = layout.weights<N>(b, WIDE(0), line, i);
    V v = read<N>(x + at);
    ALL(k) v[k] = (v[k] - mean) * scale * own[k] + shift[k];
    write(y + at, v);
  }
  if (count && team.rank == 0) means[line] = mean, scales[line] = scale;
}

template <class T, class P, int N>
__global__ void standardize_x(
    const T *g, const T *x, const P *w, const WIDE *means, const WIDE *scales, T *dx, LAYOUT, bool center
) {
  typedef Pack<WIDE, N> V;
  const Layout layout = {lines, n, length, step, groups, per, each};
  const Team team(length > 1);
  const long long line = team.line, count = line < lines ? n : 0;
  const WIDE mean = count ? means[line] : WIDE(0), scale = count ? scales[line] : WIDE(0);
  WIDE sum = 0, dot = 0;
  EACH(i) {
    const long long at = layout.at(line, i);
    const V own = layout.weights<N>(w, WIDE(1), line, i), h = read<N>(g + at), v = read<N>(x + at);
    ALL(k) {
      sum += h[k] * own[k];
      dot += h[k] * own[k] * (v[k] - mean) * scale;
    }
  }
  sum = center ? reduce<add>(team, sum) / n : WIDE(0);
  dot = reduce<add>(team, dot) / n;
  EACH(i) {
    const long long at = layout.at(line, i);
    const V own = layout.weights<N>(w, WIDE(1), line, i), h = read<N>(g + at);
    V v = read<N>(x + at);
    ALL(k) v[k] = scale * (h[k] * own[k] - sum - (v[k] - mean) * scale * dot);
    write(dx + at, v);
  }
}

// Here a team works on one weight, and its `line` is the number of that; a weight's elements are `each` in a row of
// every groups-th line. They are cut into gridDim.y parts, whose sums are added up afterwards: layer norm has few weights
// of many elements. Neighbouring teams have neighbouring weights where each is 1, so that N is 1 there.
template <class T, class P, int N>
__global__ void standardize_weights(
    const T *g, const T *x, const WIDE *means, const WIDE *scales, P *dw, P *db, LAYOUT, long long part
) {
  typedef Pack<WIDE, N> V;
  const Layout layout = {lines, n, length, step, groups, per, each};
  const Team team(each > 1 && length > 1);
  const long long k = team.line, own = k / per, start = k % per * each, total = lines / groups * each,
                  first = blockIdx.y * part, left = total - first,
                  count = k >= groups * per ? 0 : left < part ? left : part;
  WIDE weight = 0, bias = 0;
  EACH(i) {
    const long long j = first + i, row = each == 1 ? j : j / each;
    const long long line = row * groups + own, at = layout.at(line, start + (j - row * each));
    const V h = read<N>(g + at), v = read<N>(x + at);
    const WIDE mean = means[line], scale = scales[line];
    ALL(e) {
      weight += h[e] * (v[e] - mean) * scale;
      bias += h[e];
    }
  }
  weight = reduce<add>(team, weight);
  bias = reduce<add>(team, bias);
  if (count > 0 && team.rank == 0) {
    const long long at = blockIdx.y * groups * per + k;
    if (dw) dw[at] = narrow<P>(weight);
    if (db) db[at] = narrow<P>(bias);
  }
}

// y = x w + b, where `length` elements in a row are of one channel: normalisation by statistics that are known.
template <class T, int N>
__global__ void scale_channels(
    const T *x, const WIDE *w, const WIDE *b, T *y, long long size, long long channels, long long length
) {
  const long long i = thread() * N;
  if (i >= size) return;
  const long long channel = i / length % channels;
  Pack<WIDE, N> v = read<N>(x + i);
  ALL(k) v[k] = v[k] * w[channel] + b[channel];
  write(y + i, v);
}
