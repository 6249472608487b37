// One step of recurrent cells behind their matrix products, and the gradients. x and h are the gates from the input and
// from the state, rows of 4 (LSTM) or 3 (GRU) parts of n elements; s is the logistic function.
//
//     lstm    i, f, g, o = s(x_i + h_i), s(x_f + h_f), tanh(x_g + h_g), s(x_o + h_o);   c' = f c + i g;   y = o tanh(c')
//     gru     r, z = s(x_r + h_r), s(x_z + h_z);   m = tanh(x_m + r h_m);   y = m + z (state - m)
//
// The forward pass keeps the gates as they are after s and tanh, for the backward pass. One thread has one element of one
// sample.

#include "common.cuh"

template <class W> __device__ W s(W x) { return 1 / (1 + exp(-x)); }

template <class T>
__global__ void lstm(const T *x, const T *h, const T *c, T *y, T *next, T *gates, long long n, long long total) {
  const long long at = thread(), row = at / n * 4 * n + at % n;
  if (at >= total) return;
  const auto sum = [&](int part) { return wide(x[row + part * n]) + wide(h[row + part * n]); };
  const WIDE i = s(sum(0)), f = s(sum(1)), g = tanh(sum(2)), o = s(sum(3));
  const WIDE cell = f * wide(c[at]) + i * g;
  next[at] = narrow<T>(cell);
  y[at] = narrow<T>(o * tanh(cell));
  const WIDE kept[] = {i, f, g, o};
  for (int part = 0; part < 4; part++) gates[row + part * n] = narrow<T>(kept[part]);
}

// dy, dnext: of y and c', either may be missing; dgates: of x + h; dc: of c.
template <class T>
__global__ void lstm_backward(
    const T *dy, const T *dnext, const T *gates, const T *c, const T *next, T *dgates, T *dc, long long n,
    long long total
) {
  const long long at = thread(), row = at / n * 4 * n + at % n;
  if (at >= total) return;
  const auto gate = [&](int part) { return wide(gates[row + part * n]); };
  const WIDE i = gate(0), f = gate(1), g = gate(2), o = gate(3), t = tanh(wide(next[at]));
  const WIDE out = dy ? wide(dy[at]) : WIDE(0);
  const WIDE cell = (dnext ? wide(dnext[at]) : WIDE(0)) + out * o * (1 - t * t);
  const WIDE d[] = {cell * g * i * (1 - i), cell * wide(c[at]) * f * (1 - f), cell * i * (1 - g * g),
                    out * t * o * (1 - o)};
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
