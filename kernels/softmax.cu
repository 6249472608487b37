// softmax and its logarithm along an axis of length n, and their vector-Jacobian products:
//
//     softmax        y_i = exp(x_i - m) / sum_j exp(x_j - m),          m = max_j x_j
//     log_softmax    y_i = x_i - m - log(sum_j exp(x_j - m))
//     softmax_x      dx_i = y_i (g_i - sum_j g_j y_j)
//     log_softmax_x  dx_i = g_i - exp(y_i) sum_j g_j
//
// The array is (outer, n, inner): outer * inner lines of n elements, `inner` apart. A team of threads works on a line,
// each on every size-th element of it.

#include "common.cuh"

struct Line {
  long long first, apart, n;
  __device__ Line(const Team &team, long long lines, long long n_, long long inner)
      : first(team.line / inner * n_ * inner + team.line % inner), apart(inner), n(team.line < lines ? n_ : 0) {}
  __device__ long long operator[](long long i) const { return first + i * apart; }
};

#define EACH(i) for (long long i = team.rank; i < line.n; i += team.size)

template <class T> __device__ WIDE largest(const T *x, const Team &team, const Line &line) {
  WIDE m = -INFINITY;
  EACH(i) m = maximum::of(m, wide(x[line[i]]));
  return reduce<maximum>(team, m);
}

template <class T> __device__ WIDE sum_of_exp(const T *x, WIDE m, const Team &team, const Line &line) {
  WIDE sum = 0;
  EACH(i) sum += exp(wide(x[line[i]]) - m);
  return reduce<add>(team, sum);
}

template <class T> __global__ void softmax(const T *x, T *y, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  const WIDE m = largest(x, team, line), sum = sum_of_exp(x, m, team, line);
  EACH(i) y[line[i]] = narrow<T>(exp(wide(x[line[i]]) - m) / sum);
}

template <class T> __global__ void log_softmax(const T *x, T *y, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  const WIDE m = largest(x, team, line), log_sum = log(sum_of_exp(x, m, team, line));
  EACH(i) y[line[i]] = narrow<T>(wide(x[line[i]]) - m - log_sum);
}

template <class T>
__global__ void softmax_x(const T *g, const T *y, T *dx, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  WIDE dot = 0;
  EACH(i) dot += wide(g[line[i]]) * wide(y[line[i]]);
  dot = reduce<add>(team, dot);
  EACH(i) dx[line[i]] = narrow<T>(wide(y[line[i]]) * (wide(g[line[i]]) - dot));
}

template <class T>
__global__ void log_softmax_x(const T *g, const T *y, T *dx, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  WIDE sum = 0;
  EACH(i) sum += wide(g[line[i]]);
  sum = reduce<add>(team, sum);
  EACH(i) dx[line[i]] = narrow<T>(wide(g[line[i]]) - exp(wide(y[line[i]])) * sum);
}
