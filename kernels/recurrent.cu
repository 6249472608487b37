// Steps of recurrent cells behind their matrix products, and the gradients. Rows of gates have 4 (LSTM) or 3 (GRU) parts of
// n elements; s is the logistic function. The LSTM's gates are the sums of those from the input and from the state; the
// GRU has them apart, x and h.
//
//     step    i, f, g, o = s(gates_i), s(gates_f), tanh(gates_g), s(gates_o);    c' = f c + i g;    y = o tanh(c')
//     gru     r, z = s(x_r + h_r), s(x_z + h_z);    m = tanh(x_m + r h_m);    y = m + z (state - m)
//
// The backward pass of the LSTM takes s and tanh of the gates anew; the GRU keeps them. One thread has one element of one
// sample.

#include "common.cuh"

template <class W> __device__ W s(W x) { return 1 / (1 + exp(-x)); }

template <class T>
__global__ void step(const T *gates, const T *c, T *y, T *next, long long n, long long total) {
  const long long at = thread(), row = at / n * 4 * n + at % n;
  if (at >= total) return;
  const auto gate = [&](int part) { return wide(gates[row + part * n]); };
  const WIDE cell = s(gate(1)) * wide(c[at]) + s(gate(0)) * tanh(gate(2));
  next[at] = narrow<T>(cell);
  y[at] = narrow<T>(s(gate(3)) * tanh(cell));
}

// From the gradients of y and c' those of the gates and of c.
template <class T>
__global__ void step_back(
    const T *gates, const T *c, const T *next, const T *dy, const T *dnext, T *dgates, T *dc, long long n,
    long long total
) {
  const long long at = thread(), row = at / n * 4 * n + at % n;
  if (at >= total) return;
  const auto gate = [&](int part) { return wide(gates[row + part * n]); };
  const WIDE i = s(gate(0)), f = s(gate(1)), g = tanh(gate(2)), o = s(gate(3)), t = tanh(wide(next[at]));
  const WIDE cell = wide(dnext[at]) + wide(dy[at]) * o * (1 - t * t);
  const WIDE d[] = {cell * g * i * (1 - i), cell * wide(c[at]) * f * (1 - f), cell * i * (1 - g * g),
                    wide(dy[at]) * t * o * (1 - o)};
  for (int part = 0; part < 4; part++) dgates[row + part * n] = narrow<T>(d[part]);
  dc[at] = narrow<T>(cell * f);
}

template <class T>
__global__ void gru(const T *x, const T *h, const T *state, T *y, T *gates, long long n, long long total) {
  const long long at = thread(), row = at / n * 3 * n + at % n;
  if (at >= total) return;
  const auto sum = [&](int part) { return wide(x[row + part * n]) + wide(h[row + part * n]); };
  const WIDE r = s(sum(0)), z = s(sum(1)), m = tanh(wide(x[row + 2 * n]) + r * wide(h[row + 2 * n]));
  y[at] = narrow<T>(m + z * (wide(state[at]) - m));
  const WIDE kept[] = {r, z, m};
  for (int part = 0; part < 3; part++) gates[row + part * n] = narrow<T>(kept[part]);
}

template <class T>
__global__ void gru_backward(
    const T *dy, const T *gates, const T *h, const T *state, T *dx, T *dh, T *dstate, long long n, long long total
) {
  const long long at = thread(), row = at / n * 3 * n + at % n;
  if (at >= total) return;
  const auto gate = [&](int part) { return wide(gates[row + part * n]); };
  const WIDE r = gate(0), z = gate(1), m = gate(2), out = wide(dy[at]);
  const WIDE dm = out * (1 - z) * (1 - m * m), dz = out * (wide(state[at]) - m) * z * (1 - z);
  const WIDE dr = dm * wide(h[row + 2 * n]) * r * (1 - r);
  const WIDE to_x[] = {dr, dz, dm}, to_h[] = {dr, dz, dm * r};
  for (int part = 0; part < 3; part++) {
    dx[row + part * n] = narrow<T>(to_x[part]);
    dh[row + part * n] = narrow<T>(to_h[part]);
  }
  dstate[at] = narrow<T>(out * z);
}
