// softmax and its logarithm along an axis of length n, and their vector-Jacobian products:
//
//     softmax        y_i = exp(x_i - m) / sum_j exp(x_j - m),          m = max_j x_j
//     log_softmax    y_i = x_i - m - log(sum_j exp(x_j - m))
//     softmax_x      dx_i = y_i (g_i - sum_j g_j y_j)
//     log_softmax_x  dx_i = g_i - exp(y_i) sum_j g_j
//
// The array is (outer, n, inner): outer * inner lines of n elements, `inner` apart. A team of threads works on a line,
// each on every size-th pack of N of its elements; N is more than 1 only where inner is 1 and N divides n.

#include "common.cuh"

struct Line {
  long long first, apart, n;
  __device__ Line(const Team &team, long long lines, long long n_, long long inner)
      : first(team.line / inner * n_ * inner + team.line % inner), apart(inner), n(team.line < lines ? n_ : 0) {}
  __device__ long long operator[](long long i) const { return first + i * apart; }
};

#define EACH(i) for (long long i = team.rank * N; i < line.n; i += team.size * N)
#define ALL(k) for (int k = 0; k < N; k++)

template <int N, class T> __device__ WIDE largest(const T *x, const Team &team, const Line &line) {
  WIDE m = -INFINITY;
  EACH(i) {
    const Pack<WIDE, N> v = read<N>(x + line[i]);
    ALL(k) m = maximum::of(m, v[k]);
  }
  return reduce<maximum>(team, m);
}

template <int N, class T> __device__ WIDE sum_of_exp(const T *x, WIDE m, const Team &team, const Line &line) {
  WIDE sum = 0;
  EACH(i) {
    const Pack<WIDE, N> v = read<N>(x + line[i]);
    ALL(k) sum += exp(v[k] - m);
  }
  return reduce<add>(team, sum);
}

template <class T, int N> __global__ void softmax(const T *x, T *y, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  const WIDE m = largest<N>(x, team, line), sum = sum_of_exp<N>(x, m, team, line);
  EACH(i) {
    Pack<WIDE, N> v = read<N>(x + line[i]);
    ALL(k) v[k] = exp(v[k] - m) / sum;
    write(y + line[i], v);
  }
}

template <class T, int N> __global__ void log_softmax(const T *x, T *y, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  const WIDE m = largest<N>(x, team, line), log_sum = log(sum_of_exp<N>(x, m, team, line));
  EACH(i) {
    Pack<WIDE, N> v = read<N>(x + line[i]);
    ALL(k) v[k] = v[k] - m - log_sum;
    write(y + line[i], v);
  }
}

template <class T, int N>
__global__ void softmax_x(const T *g, const T *y, T *dx, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  WIDE dot = 0;
  EACH(i) {
    const Pack<WIDE, N> h = read<N>(g + line[i]), v = read<N>(y + line[i]);
    ALL(k) dot += h[k] * v[k];
  }
  dot = reduce<add>(team, dot);
  EACH(i) {
    const Pack<WIDE, N> h = read<N>(g + line[i]);
    Pack<WIDE, N> v = read<N>(y + line[i]);
    ALL(k) v[k] *= h[k] - dot;
    write(dx + line[i], v);
  }
}

template <class T, int N>
__global__ void log_softmax_x(const T *g, const T *y, T *dx, long long lines, long long n, long long inner) {
  const Team team(inner == 1);
  const Line line(team, lines, n, inner);
  WIDE sum = 0;
  EACH(i) {
    const Pack<WIDE, N> h = read<N>(g + line[i]);
    ALL(k) sum += h[k];
  }
  sum = reduce<add>(team, sum);
  EACH(i) {
    const Pack<WIDE, N> h = read<N>(g + line[i]);
    Pack<WIDE, N> v = read<N>(y + line[i]);
    ALL(k) v[k] = h[k] - exp(v[k]) * sum;
    write(dx + line[i], v);
  }
}
