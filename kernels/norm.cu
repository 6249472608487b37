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

#include "common.cuh"

struct Layout {
  long long lines, n, length, step, groups, per;
  __device__ long long each() const { return n / per; }
  __device__ long long at(long long line, long long i) const {
    return length == n ? line * n + i : line * length + i / length * step + i % length;
  }
  __device__ long long weight(long long line, long long i) const { return line % groups * per + i / each(); }
};

#define LAYOUT long long lines, long long n, long long length, long long step, long long groups, long long per
#define EACH(i) for (long long i = team.rank; i < count; i += team.size)

template <class T>
__global__ void standardize(
    const T *x, const T *w, const T *b, T *y, WIDE *means, WIDE *scales, LAYOUT, double eps, bool center
) {
  const Layout layout = {lines, n, length, step, groups, per};
  const Team team(length > 1);
  const long long line = team.line, count = line < lines ? n : 0;
  WIDE mean = 0, square = 0;
  if (center) {
    EACH(i) mean += wide(x[layout.at(line, i)]);
    mean = reduce<add>(team, mean) / n;
  }
  EACH(i) {
    const WIDE d = wide(x[layout.at(line, i)]) - mean;
    square += d * d;
  }
  const WIDE scale = 1 / sqrt(reduce<add>(team, square) / n + WIDE(eps));
  EACH(i) {
    const long long at = layout.at(line, i), k = layout.weight(line, i);
    const WIDE xhat = (wide(x[at]) - mean) * scale;
    y[at] = narrow<T>((w ? xhat * wide(w[k]) : xhat) + (b ? wide(b[k]) : WIDE(0)));
  }
  if (count && team.rank == 0) means[line] = mean, scales[line] = scale;
}

template <class T>
__global__ void standardize_x(
    const T *g, const T *x, const T *w, const WIDE *means, const WIDE *scales, T *dx, LAYOUT, bool center
) {
  const Layout layout = {lines, n, length, step, groups, per};
  const Team team(length > 1);
  const long long line = team.line, count = line < lines ? n : 0;
  const WIDE mean = count ? means[line] : WIDE(0), scale = count ? scales[line] : WIDE(0);
  WIDE sum = 0, dot = 0;
  EACH(i) {
    const long long at = layout.at(line, i);
    const WIDE h = wide(g[at]) * (w ? wide(w[layout.weight(line, i)]) : WIDE(1));
    sum += h;
    dot += h * (wide(x[at]) - mean) * scale;
  }
  sum = center ? reduce<add>(team, sum) / n : WIDE(0);
  dot = reduce<add>(team, dot) / n;
  EACH(i) {
    const long long at = layout.at(line, i);
    const WIDE h = wide(g[at]) * (w ? wide(w[layout.weight(line, i)]) : WIDE(1));
    dx[at] = narrow<T>(scale * (h - sum - (wide(x[at]) - mean) * scale * dot));
  }
}

// Here a team works on one weight, and its `line` is the number of that; a weight's elements are `each` in a row of
// every groups-th line.
template <class T>
__global__ void standardize_weights(
    const T *g, const T *x, const WIDE *means, const WIDE *scales, T *dw, T *db, LAYOUT
) {
  const Layout layout = {lines, n, length, step, groups, per};
  const long long each = layout.each();
  const Team team(each > 1 && length > 1);
  const long long k = team.line, count = k < groups * per ? lines / groups * each : 0;
  WIDE weight = 0, bias = 0;
  EACH(j) {
    const long long line = j / each * groups + k / per, at = layout.at(line, k % per * each + j % each);
    weight += wide(g[at]) * (wide(x[at]) - means[line]) * scales[line];
    bias += wide(g[at]);
  }
  weight = reduce<add>(team, weight);
  bias = reduce<add>(team, bias);
  if (count && team.rank == 0) {
    if (dw) dw[k] = narrow<T>(weight);
    if (db) db[k] = narrow<T>(bias);
  }
}
