// Windows of up to three dimensions: pooling, and the columns of convolutions, each with its adjoint. Kernel element k of
// the window at position o sees the input element
//
//     i = o * stride - padding + k * dilation        in each dimension,
//
// and its number in the window, row by row, is its code.
//
//     max_pool       y_o = max_k x_i,  and the code of the first maximum (of the last NaN)
//     pool_scatter   dx_i = sum of g_o over the windows whose code leads to i         (the adjoint of the next)
//     pool_gather    y_o = x_i, where the code of window o leads to
//     window_sum     y_o = sum_k x_i
//     window_spread  dx_i = sum of g_o over the windows that see i                     (the adjoint of window_sum)
//     im2col         column_(k, o) = x_i, zero outside
//     col2im         dx_i = sum of column_(k, o) over what sees i                      (the adjoint of im2col)
//
// One thread makes one element of the result and gathers what belongs there: nothing is atomic, and sums are always taken
// in the same order.

#include "common.cuh"

struct Windows {
  int size[3], out[3], kernel[3], stride[3], padding[3], dilation[3];

  __device__ long long inputs() const { return (long long)size[0] * size[1] * size[2]; }
  __device__ long long positions() const { return (long long)out[0] * out[1] * out[2]; }
  __device__ int count() const { return kernel[0] * kernel[1] * kernel[2]; }

  // visit(code, i) for all that the window at a position sees inside of the input.
  template <class Visit> __device__ void each_seen(long long position, Visit visit) const {
    const int o0 = position / (out[1] * out[2]), o1 = position / out[2] % out[1], o2 = position % out[2];
    for (int k0 = 0, code = 0; k0 < kernel[0]; k0++)
      for (int k1 = 0; k1 < kernel[1]; k1++)
        for (int k2 = 0; k2 < kernel[2]; k2++, code++) {
          const long long i = seen(o0, o1, o2, k0, k1, k2);
          if (i >= 0) visit(code, i);
        }
  }

  // The input element that kernel element k sees from position o, -1 if it is outside.
  __device__ long long seen(int o0, int o1, int o2, int k0, int k1, int k2) const {
    const int i0 = o0 * stride[0] - padding[0] + k0 * dilation[0], i1 = o1 * stride[1] - padding[1] + k1 * dilation[1],
              i2 = o2 * stride[2] - padding[2] + k2 * dilation[2];
    const bool inside = 0 <= i0 && i0 < size[0] && 0 <= i1 && i1 < size[1] && 0 <= i2 && i2 < size[2];
    return inside ? ((long long)i0 * size[1] + i1) * size[2] + i2 : -1;
  }

  // The same by the number of the kernel element and the position.
  __device__ long long seen(int code, long long position) const {
    return seen(position / (out[1] * out[2]), position / out[2] % out[1], position % out[2],
                code / (kernel[1] * kernel[2]), code / kernel[2] % kernel[1], code % kernel[2]);
  }

  // The position, along one dimension, whose kernel element k sees input element i; -1 if there is none.
  __device__ int seer(int d, int i, int k) const {
    const int from = i + padding[d] - k * dilation[d], o = from / stride[d];
    return from >= 0 && o * stride[d] == from && o < out[d] ? o : -1;
  }

  // visit(code, position) for all windows that see an input element.
  template <class Visit> __device__ void each_seer(long long element, Visit visit) const {
    const int i0 = element / (size[1] * size[2]), i1 = element / size[2] % size[1], i2 = element % size[2];
    for (int k0 = 0; k0 < kernel[0]; k0++) {
      const int o0 = seer(0, i0, k0);
      for (int k1 = 0; o0 >= 0 && k1 < kernel[1]; k1++) {
        const int o1 = seer(1, i1, k1);
        for (int k2 = 0; o1 >= 0 && k2 < kernel[2]; k2++) {
          const int o2 = seer(2, i2, k2);
          if (o2 >= 0) visit((k0 * kernel[1] + k1) * kernel[2] + k2, ((long long)o0 * out[1] + o1) * out[2] + o2);
        }
      }
    }
  }
};

// In each kernel the arrays are planes (of a sample's channel) of input elements or positions; total = elements of the result.

template <class T, class Code>
__global__ void max_pool(const T *x, T *y, Code *codes, Windows windows, long long total) {
  if (thread() >= total) return;
  const T *plane = x + thread() / windows.positions() * windows.inputs();
  WIDE best = 0;
  int code = -1;
  windows.each_seen(thread() % windows.positions(), [&](int k, long long i) {
    const WIDE value = wide(plane[i]);
    if (code < 0 || value > best || value != value) best = value, code = k;
  });
  y[thread()] = code < 0 ? narrow<T>(-INFINITY) : narrow<T>(best);
  codes[thread()] = code < 0 ? 0 : code;
}

template <class T, class Code>
__global__ void pool_scatter(const T *g, const Code *codes, T *dx, Windows windows, long long total) {
  if (thread() >= total) return;
  const long long plane = thread() / windows.inputs() * windows.positions();
  WIDE sum = 0;
  windows.each_seer(thread() % windows.inputs(), [&](int k, long long o) {
    if (codes[plane + o] == k) sum += wide(g[plane + o]);
  });
  dx[thread()] = narrow<T>(sum);
}

template <class T, class Code>
__global__ void pool_gather(const T *x, const Code *codes, T *y, Windows windows, long long total) {
  if (thread() >= total) return;
  const long long i = windows.seen(codes[thread()], thread() % windows.positions());
  y[thread()] = i < 0 ? T(0) : x[thread() / windows.positions() * windows.inputs() + i];
}

template <class T> __global__ void window_sum(const T *x, T *y, Windows windows, long long total) {
  if (thread() >= total) return;
  const T *plane = x + thread() / windows.positions() * windows.inputs();
  WIDE sum = 0;
  windows.each_seen(thread() % windows.positions(), [&](int, long long i) { sum += wide(plane[i]); });
  y[thread()] = narrow<T>(sum);
}

template <class T> __global__ void window_spread(const T *g, T *dx, Windows windows, long long total) {
  if (thread() >= total) return;
  const T *plane = g + thread() / windows.inputs() * windows.positions();
  WIDE sum = 0;
  windows.each_seer(thread() % windows.inputs(), [&](int, long long o) { sum += wide(plane[o]); });
  dx[thread()] = narrow<T>(sum);
}

// Columns are (samples, channels * kernel elements, positions) or, `rows_first`, (channels * kernel elements, samples,
// positions).
struct Columns {
  long long samples, channels;
  bool rows_first;
  __device__ long long at(const Windows &windows, long long sample, long long channel, int code, long long o) const {
    const long long row = channel * windows.count() + code, rows = channels * windows.count();
    return (rows_first ? row * samples + sample : sample * rows + row) * windows.positions() + o;
  }
};

template <class T>
__global__ void im2col(
    const T *x, T *columns, Windows windows, long long samples, long long channels, bool rows_first, long long total
) {
  if (thread() >= total) return;
  const Columns layout = {samples, channels, rows_first};
  const long long o = thread() % windows.positions(), row = thread() / windows.positions(), count = windows.count();
  const long long sample = row / count / channels, channel = row / count % channels, i = windows.seen(row % count, o);
  columns[layout.at(windows, sample, channel, row % count, o)] =
      i < 0 ? T(0) : x[(sample * channels + channel) * windows.inputs() + i];
}

template <class T>
__global__ void col2im(
    const T *columns, T *dx, Windows windows, long long samples, long long channels, bool rows_first, long long total
) {
  if (thread() >= total) return;
  const Columns layout = {samples, channels, rows_first};
  const long long plane = thread() / windows.inputs(), sample = plane / channels, channel = plane % channels;
  WIDE sum = 0;
  windows.each_seer(thread() % windows.inputs(), [&](int k, long long o) {
    sum += wide(columns[layout.at(windows, sample, channel, k, o)]);
  });
  dx[thread()] = narrow<T>(sum);
}
