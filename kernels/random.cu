// Random numbers by Philox 4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2,
// 3", 2011): ten rounds of multiplications mix a counter and a key (the seed) to four words of 32 bits. There is no state
// but the position in the stream, so every thread makes its own block of four words, and the same seed gives the same
// numbers however the work is shared out.
//
//     uniform      u = w / 2^24 (float) or w / 2^53 (double), in [0, 1)
//     normal       sqrt(-2 log(1 - u)) (cos 2 pi v, sin 2 pi v), of two uniform numbers u and v (Box and Muller)
//     exponential  -log(1 - u)
//     integers     low + floor(range w / 2^64)
//     noise        scale if u < keep, else 0: what dropout multiplies by

#include "common.cuh"

typedef unsigned int word;
typedef unsigned long long word64;

struct Block {
  word w[4];
  __device__ word64 wide(int i) const { return (word64)w[2 * i] << 32 | w[2 * i + 1]; }
};

__device__ Block philox(word64 seed, word64 position) {
  Block c = {{(word)position, (word)(position >> 32), 0, 0}};
  word key0 = (word)seed, key1 = (word)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    word64 a = (word64)0xD2511F53u * c.w[0], b = (word64)0xCD9E8D57u * c.w[2];
    c = {{(word)(b >> 32) ^ c.w[1] ^ key0, (word)b, (word)(a >> 32) ^ c.w[3] ^ key1, (word)a}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// How many numbers of a type a block gives, and the i-th of them.
template <class T> struct Numbers;
template <> struct Numbers<float> {
  enum { count = 4 };
  static __device__ float uniform(const Block &b, int i) { return (b.w[i] >> 8) * (1.0f / (1 << 24)); }
};
template <> struct Numbers<double> {
  enum { count = 2 };
  static __device__ double uniform(const Block &b, int i) { return (b.wide(i) >> 11) * (1.0 / (1LL << 53)); }
};

template <class T> __global__ void uniform(T *x, long long n, word64 seed, word64 position) {
  const long long first = thread() * Numbers<T>::count;
  const Block b = philox(seed, position + thread());
  for (int i = 0; i < Numbers<T>::count && first + i < n; i++) x[first + i] = Numbers<T>::uniform(b, i);
}

template <class T> __global__ void exponential(T *x, long long n, word64 seed, word64 position) {
  const long long first = thread() * Numbers<T>::count;
  const Block b = philox(seed, position + thread());
  for (int i = 0; i < Numbers<T>::count && first + i < n; i++) x[first + i] = -log1p(-Numbers<T>::uniform(b, i));
}

template <class T> __global__ void normal(T *x, long long n, word64 seed, word64 position) {
  const long long first = thread() * Numbers<T>::count;
  const Block b = philox(seed, position + thread());
  for (int i = 0; i < Numbers<T>::count && first + i < n; i += 2) {
    const T radius = sqrt(T(-2) * log1p(-Numbers<T>::uniform(b, i)));
    const T angle = T(6.283185307179586) * Numbers<T>::uniform(b, i + 1);
    x[first + i] = radius * cos(angle);
    if (first + i + 1 < n) x[first + i + 1] = radius * sin(angle);
  }
}

template <class T>
__global__ void noise(T *x, long long n, word64 seed, word64 position, float keep, double scale) {
  const long long first = thread() * 4;
  const Block b = philox(seed, position + thread());
  for (int i = 0; i < 4 && first + i < n; i++)
    x[first + i] = narrow<T>(Numbers<float>::uniform(b, i) < keep ? WIDE(scale) : WIDE(0));
}

// range 0 stands for 2^64
template <class T> __global__ void integers(T *x, long long n, word64 seed, word64 position, word64 low, word64 range) {
  const long long first = thread() * 2;
  const Block b = philox(seed, position + thread());
  for (int i = 0; i < 2 && first + i < n; i++)
    x[first + i] = (T)(low + (range ? __umul64hi(b.wide(i), range) : b.wide(i)));
}
