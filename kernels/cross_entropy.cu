// Cross-entropy of logits and classes, fused with log-softmax, and its gradient. Of the (N, C, L) logits x a line is what
// position p = (n, l) has for the C classes; it has the class t_p and the share s_p (its weight, over the sum of weights
// for a mean, 0 if it is ignored):
//
//     cross_entropy    z_p = log(sum_c exp(x_pc)),   loss_p = s_p (z_p - x_p,t_p)
//     cross_entropy_x  dx_pc = g_p s_p (exp(x_pc - z_p) - [c = t_p])
//
// Nothing is kept from forward to backward, which makes z anew: reading the logits again takes less time than writing
// probabilities and reading those. A team of threads works on a line, a thread on N logits at a time; N is more than 1 only
// where L is 1 and N divides C. A class that is not there gives NaN.

#include "common.cuh"

#define EACH(c) for (long long c = team.rank * N; c < count; c += team.size * N)
#define ALL(k) for (int k = 0; k < N; k++)

// z of a line whose logits are L apart.
template <int N, class T> __device__ WIDE log_sum_exp(const T *line, const Team &team, long long count, long long L) {
  WIDE m = -INFINITY, sum = 0;
  EACH(c) {
    const Pack<WIDE, N> v = read<N>(line + c * L);
    ALL(k) m = maximum::of(m, v[k]);
  }
  m = reduce<maximum>(team, m);
  EACH(c) {
    const Pack<WIDE, N> v = read<N>(line + c * L);
    ALL(k) sum += exp(v[k] - m);
  }
  return m + log(reduce<add>(team, sum));
}

template <class T, int N>
__global__ void cross_entropy(
    const T *x, const long long *classes, const T *shares, WIDE *losses, long long lines, long long C, long long L
) {
  const Team team(L == 1);
  const long long p = team.line, count = p < lines ? C : 0;
  const T *line = x + p / L * C * L + p % L;
  const WIDE z = log_sum_exp<N>(line, team, count, L);
  if (!count || team.rank) return;
  const long long t = classes[p];
  losses[p] = wide(shares[p]) * (0 <= t && t < C ? z - wide(line[t * L]) : WIDE(NAN));
}

// g is one number per line, or one for all. A share that is 0 / 0, where every target is ignored, gives no gradient.
template <class T, int N>
__global__ void cross_entropy_x(
    const T *g, const T *x, const long long *classes, const T *shares, T *dx, long long lines, long long C, long long L,
    bool one
) {
  const Team team(L == 1);
  const long long p = team.line, count = p < lines ? C : 0, first = p / L * C * L + p % L;
  const WIDE z = log_sum_exp<N>(x + first, team, count, L);
  if (!count) return;
  const WIDE share = wide(shares[p]), factor = share == share ? wide(g[one ? 0 : p]) * share : WIDE(0);
  EACH(c) {
    Pack<WIDE, N> v = read<N>(x + first + c * L);
    ALL(k) v[k] = factor * (exp(v[k] - z) - (c + k == classes[p] ? WIDE(1) : WIDE(0)));
    write(dx + first + c * L, v);
  }
}
