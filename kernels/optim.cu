// Steps of optimizers, norms and scaling over many tensors in one launch each.
//
//     sgd     g = sign gradient + decay p;  b = momentum b + fresh g;  p -= lr (nesterov ? g + momentum b : b)
//     adam    g = sign gradient + decay p;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;
//             p = shrink p - scale m / (sqrt(v) + eps);  of v the greatest so far, with amsgrad
//     norms   of each tensor the sum of |x|, the sum of x^2 or the greatest |x|: first of each block, then of each tensor
//     rescale x *= min(1, factor)
//
// The tensors are in a table of 64-bit numbers, on the device:
//
//     first[count + 1]   the number of the first block of each tensor: each has CHUNK elements of one tensor
//     size[count]
//     address[...][count]   of the parameters, the gradients, ...
//
// and numbers of their own (fresh; scale and eps, which know the count of steps) in another, each[...][count].
// Sums are taken in a fixed order, so results are the same in every run.

#include "common.cuh"

constexpr int CHUNK = 16 * THREADS;

struct Table {
  const long long *first, *size, *address;
  long long count;
  __device__ Table(const long long *table, long long count)
      : first(table), size(table + count + 1), address(table + 2 * count + 1), count(count) {}
  template <class T> __device__ T *array(int which, long long tensor) const {
    return (T *)address[which * count + tensor];
  }
  // The tensor to which the running block belongs.
  __device__ long long tensor() const {
    long long low = 0, high = count;
    while (high - low > 1) {
      const long long middle = (low + high) / 2;
      (first[middle] <= blockIdx.x ? low : high) = middle;
    }
    return low;
  }
};

// Packs of N elements of the running block, from i on; `left` of them are there before the end of the tensor. Where N is
// not 1, all the arrays begin at multiples of 16 bytes.
#define EACH(i, left, table, tensor)                                                                              \
  const long long block_ = (blockIdx.x - table.first[tensor]) * CHUNK, size_ = table.size[tensor],                 \
                  end_ = block_ + CHUNK < size_ ? block_ + CHUNK : size_;                                          \
  for (long long i = block_ + threadIdx.x * N, left = end_ - i; left > 0; i += THREADS * N, left -= THREADS * N)
#define ALL(k) for (int k = 0; k < N; k++)

template <class T, int N>
__global__ void sgd(
    const long long *numbers, long long count, const double *each, double lr, double momentum, double decay, double sign,
    bool nesterov
) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  T *p = table.array<T>(0, t), *b = momentum ? table.array<T>(2, t) : nullptr;
  const T *gradient = table.array<T>(1, t);
  EACH(i, left, table, t) {
    Pack<WIDE, N> own = read<N>(p + i, left), g = read<N>(gradient + i, left);
    ALL(k) g[k] = WIDE(sign) * g[k] + WIDE(decay) * own[k];
    if (momentum) {
      Pack<WIDE, N> next = read<N>(b + i, left);
      ALL(k) {
        next[k] = WIDE(momentum) * next[k] + WIDE(each[t]) * g[k];
        g[k] = nesterov ? g[k] + WIDE(momentum) * next[k] : next[k];
      }
      write(b + i, next, left);
    }
    ALL(k) own[k] -= WIDE(lr) * g[k];
    write(p + i, own, left);
  }
}

template <class T, int N>
__global__ void adam(
    const long long *numbers, long long count, const double *each, double beta1, double beta2, double decay,
    double shrink, double sign, bool amsgrad
) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  T *p = table.array<T>(0, t), *m = table.array<T>(2, t), *v = table.array<T>(3, t);
  T *greatest = amsgrad ? table.array<T>(4, t) : nullptr;
  const T *gradient = table.array<T>(1, t);
  const WIDE scale = each[t], eps = each[count + t];
  EACH(i, left, table, t) {
    Pack<WIDE, N> own = read<N>(p + i, left), mean = read<N>(m + i, left), square = read<N>(v + i, left);
    const Pack<WIDE, N> given = read<N>(gradient + i, left);
    ALL(k) {
      const WIDE g = WIDE(sign) * given[k] + WIDE(decay) * own[k];
      mean[k] += WIDE(1 - beta1) * (g - mean[k]);
      square[k] = WIDE(beta2) * square[k] + WIDE(1 - beta2) * g * g;
    }
    write(m + i, mean, left);
    write(v + i, square, left);
    if (amsgrad) {
      const Pack<WIDE, N> before = read<N>(greatest + i, left);
      ALL(k) square[k] = maximum::of(square[k], before[k]);
      write(greatest + i, square, left);
    }
    ALL(k) own[k] = WIDE(shrink) * own[k] - scale * mean[k] / (sqrt(square[k]) + eps);
    write(p + i, own, left);
  }
}

// How a norm sees an element, and how it puts two together.
struct absolute : add {
  template <class W> static __device__ W one(W x) { return fabs(x); }
};
struct square : add {
  template <class W> static __device__ W one(W x) { return x * x; }
};
struct greatest : maximum {
  template <class W> static __device__ W one(W x) { return fabs(x); }
};

template <class By, class T, int N> __global__ void block_norms(const long long *numbers, long long count, WIDE *blocks) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  const T *x = table.array<T>(0, t);
  WIDE total = 0;
  EACH(i, left, table, t) {
    const Pack<WIDE, N> v = read<N>(x + i, left);
    ALL(k) total = By::of(total, By::one(v[k]));  // what is not there is 0, which changes no norm
  }
  total = reduce<By>(Team(true), total);
  if (threadIdx.x == 0) blocks[blockIdx.x] = total;
}

// One block has one tensor.
template <class By, class T>
__global__ void tensor_norms(const long long *numbers, long long count, const WIDE *blocks, WIDE *norms) {
  const Table table(numbers, count);
  WIDE total = 0;
  for (long long b = table.first[blockIdx.x] + threadIdx.x; b < table.first[blockIdx.x + 1]; b += THREADS)
    total = By::of(total, blocks[b]);
  total = reduce<By>(Team(true), total);
  if (threadIdx.x == 0) norms[blockIdx.x] = total;
}

template <class T, int N> __global__ void rescale(const long long *numbers, long long count, const WIDE *factor) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  T *x = table.array<T>(0, t);
  const WIDE by = *factor < 1 ? *factor : *factor != *factor ? *factor : WIDE(1);
  EACH(i, left, table, t) {
    Pack<WIDE, N> v = read<N>(x + i, left);
    ALL(k) v[k] *= by;
    write(x + i, v, left);
  }
}
