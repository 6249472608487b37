// Cross-entropy of logits and classes, fused with log-softmax, and its gradient. Of the (N, C, L) logits x a line is what
// position p = (n, l) has for the C classes; it has the class t_p and the share s_p (its weight, over the sum of weights
// for a mean, 0 if it is ignored):
//
//     cross_entropy           z_p = log(sum_c exp(x_pc)),   loss_p = s_p (z_p - x_p,t_p)
//     cross_entropy_backward  dx_pc = g_p s_p (exp(x_pc - z_p) - [c = t_p])
//
// Only z is kept from forward to backward: a number per line, no array of probabilities. A team of threads works on a
// line. A class that is not there gives NaN.

#include "common.cuh"

#define EACH(c) for (long long c = team.rank; c < count; c += team.size)

template <class T>
__global__ void cross_entropy(
    const T *x, const long long *classes, const T *shares, WIDE *losses, WIDE *z, long long lines, long long C,
    long long L
) {
  const Team team(L == 1);
  const long long p = team.line, count = p < lines ? C : 0;
  const T *line = x + p / L * C * L + p % L;
  WIDE m = -INFINITY, sum = 0;
  EACH(c) m = maximum::of(m, wide(line[c * L]));
  m = reduce<maximum>(team, m);
  EACH(c) sum += exp(wide(line[c * L]) - m);
  const WIDE log_sum = m + log(reduce<add>(team, sum));
  if (!count || team.rank) return;
  const long long t = classes[p];
  z[p] = log_sum;
  losses[p] = wide(shares[p]) * (0 <= t && t < C ? log_sum - wide(line[t * L]) : WIDE(NAN));
}

// g is one number per line, or one for all.
template <class T>
__global__ void cross_entropy_backward(
    const T *g, const T *x, const long long *classes, const T *shares, const WIDE *z, T *dx, long long lines,
    long long C, long long L, bool one
) {
  const long long at = thread();
  if (at >= lines * C) return;
  const long long c = at / L % C, p = at / (C * L) * L + at % L;
  const WIDE share = wide(shares[p]), factor = share == share ? wide(g[one ? 0 : p]) * share : WIDE(0);
  dx[at] = narrow<T>(factor * (exp(wide(x[at]) - z[p]) - (c == classes[p] ? WIDE(1) : WIDE(0))));
}
