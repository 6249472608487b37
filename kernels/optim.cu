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

// Each element of the running block: `start`, `end` are those of its tensor.
#define EACH(i, table, tensor)                                                                             \
  const long long start_ = (blockIdx.x - table.first[tensor]) * CHUNK + threadIdx.x, size_ = table.size[tensor], \
                  end_ = start_ + CHUNK < size_ ? start_ + CHUNK : size_;                                   \
  for (long long i = start_; i < end_; i += THREADS)

template <class T>
__global__ void sgd(
    const long long *numbers, long long count, const double *each, double lr, double momentum, double decay, double sign,
    bool nesterov
) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  T *p = table.array<T>(0, t), *b = momentum ? table.array<T>(2, t) : nullptr;
  const T *gradient = table.array<T>(1, t);
  EACH(i, table, t) {
    const WIDE own = wide(p[i]);
    WIDE g = WIDE(sign) * wide(gradient[i]) + WIDE(decay) * own;
    if (momentum) {
      const WIDE next = WIDE(momentum) * wide(b[i]) + WIDE(each[t]) * g;
      b[i] = narrow<T>(next);
      g = nesterov ? g + WIDE(momentum) * next : next;
    }
    p[i] = narrow<T>(own - WIDE(lr) * g);
  }
}

template <class T>
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
  EACH(i, table, t) {
    const WIDE own = wide(p[i]), g = WIDE(sign) * wide(gradient[i]) + WIDE(decay) * own;
    const WIDE mean = wide(m[i]) + WIDE(1 - beta1) * (g - wide(m[i]));
    WIDE square = WIDE(beta2) * wide(v[i]) + WIDE(1 - beta2) * g * g;
    m[i] = narrow<T>(mean);
    v[i] = narrow<T>(square);
    if (amsgrad) {
      square = maximum::of(square, wide(greatest[i]));
      greatest[i] = narrow<T>(square);
    }
    p[i] = narrow<T>(WIDE(shrink) * own - scale * mean / (sqrt(square) + eps));
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

template <class By, class T> __global__ void block_norms(const long long *numbers, long long count, WIDE *blocks) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  const T *x = table.array<T>(0, t);
  WIDE total = 0;
  EACH(i, table, t) total = By::of(total, By::one(wide(x[i])));
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

template <class T> __global__ void rescale(const long long *numbers, long long count, const WIDE *factor) {
  const Table table(numbers, count);
  const long long t = table.tensor();
  T *x = table.array<T>(0, t);
  const WIDE by = *factor < 1 ? *factor : *factor != *factor ? *factor : WIDE(1);
  EACH(i, table, t) x[i] = narrow<T>(wide(x[i]) * by);
}
