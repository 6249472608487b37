// Running combinations along a line of n elements, in their order or from the last one on:
//
//     sums         y_i = x_0 + ... + x_i
//     products     y_i = x_0 ... x_i
//     log_sums     y_i = log(exp(x_0) + ... + exp(x_i))
//     recurrences  y_i = b_i + a_i y_i-1
//     largest      y_i = the last place of the largest of x_0 ... x_i, or of a NaN;  smallest likewise
//
// All are combinations of neighbours in which brackets may be set at will, so threads can combine parts of a line first:
// a step of a recurrence, for one, is the map y -> a y + b, and after it another such map is (a' a) y + (a' b + b').
//
// The array is (outer, n, inner). Along rows (inner = 1) a team of threads takes one tile after another, each thread a
// few neighbours: it combines them, threads and warps exchange what they have, and what the tile has is carried to the
// next. Columns have a thread each. Lines that are too few to occupy a device are cut into parts: a first launch
// combines each (`totals`), and in the second each begins with all before it.

#include "common.cuh"

constexpr int EACH = 4;  // elements of a thread in a tile

// What is combined: `none` is combined with another value that value, and `of` gets the earlier one first.
template <class T> struct sums {
  typedef WIDE Value;
  typedef T Result;
  static __device__ Value none() { return 0; }
  static __device__ Value load(const T *x, const T *, long long at, long long) { return wide(x[at]); }
  static __device__ Value of(Value a, Value b) { return a + b; }
  static __device__ Result result(Value v) { return narrow<T>(v); }
};

template <class T> struct products : sums<T> {
  typedef WIDE Value;
  static __device__ Value none() { return 1; }
  static __device__ Value of(Value a, Value b) { return a * b; }
};

template <class T> struct log_sums : sums<T> {
  typedef WIDE Value;
  static __device__ Value none() { return -INFINITY; }
  static __device__ Value of(Value a, Value b) {
    if (a == b) return a + Value(0.69314718055994531);  // infinities too, whose difference is none
    return (a > b ? a : b) + log1p(exp(-fabs(a - b)));
  }
};

template <class W> struct Map {
  W a, b;
};
template <class T> struct recurrences {
  typedef Map<WIDE> Value;
  typedef T Result;
  static __device__ Value none() { return {1, 0}; }
  static __device__ Value load(const T *a, const T *b, long long at, long long) { return {wide(a[at]), wide(b[at])}; }
  static __device__ Value of(Value u, Value v) { return {u.a * v.a, v.a * u.b + v.b}; }
  static __device__ Result result(Value v) { return narrow<T>(v.b); }
};

template <class By, class T> struct Extremes {
  typedef Place<WIDE> Value;
  typedef long long Result;
  static __device__ Value none() { return {0, -1}; }
  static __device__ Value load(const T *x, const T *, long long at, long long i) { return {wide(x[at]), i}; }
  static __device__ Value of(Value a, Value b) {
    if (a.i < 0 || b.i < 0) return a.i < 0 ? b : a;
    return b.value != b.value || (a.value == a.value && By::of(b.value, a.value) == b.value) ? b : a;
  }
  static __device__ Result result(Value v) { return v.i; }
};
template <class T> struct largest : Extremes<maximum, T> {};
template <class T> struct smallest : Extremes<minimum, T> {};

// The value of the lane d places before, among `width` neighbours, and that of the last of them.
template <class W> __device__ W earlier(W mine, int d, int width) { return __shfl_up_sync(0xffffffffu, mine, d, width); }
template <class W> __device__ Map<W> earlier(Map<W> mine, int d, int width) {
  return {earlier(mine.a, d, width), earlier(mine.b, d, width)};
}
template <class W> __device__ Place<W> earlier(Place<W> mine, int d, int width) {
  return {earlier(mine.value, d, width), earlier(mine.i, d, width)};
}

// What the threads of a team before this one have, combined; `all` becomes what all of them have. All threads of a block
// must come here; teams of several are those along rows. `shared` has a value for each thread.
template <class Scan, class Value = typename Scan::Value>
__device__ Value before(const Team &team, Value mine, Value &all, Value *shared) {
  all = mine;
  if (team.size == 1) return Scan::none();
  const int width = team.size < 32 ? team.size : 32, lane = team.rank % width;
  for (int d = 1; d < width; d *= 2) {
    const Value other = earlier(mine, d, width);
    if (lane >= d) mine = Scan::of(other, mine);
  }
  const Value neighbour = earlier(mine, 1, width);
  Value result = Scan::none();
  Value *lasts = shared + threadIdx.y * blockDim.x;  // of this team's warps
  if (lane == width - 1) lasts[team.rank / width] = mine;
  __syncthreads();
  all = Scan::none();
  for (int w = 0; w < team.size / width; w++) {
    if (w == team.rank / width) result = all;
    all = Scan::of(all, lasts[w]);
  }
  __syncthreads();  // before the next tile writes there
  return lane ? Scan::of(result, neighbour) : result;
}

// `totals` has a place for each part, which is to be written there if `combine` says so, and else has been.
template <template <class> class Operation, class T>
__global__ void scan(
    const T *x, const T *b, typename Operation<T>::Result *y, typename Operation<T>::Value *totals, bool combine,
    long long lines, long long n, long long inner, long long length, long long parts, bool reverse
) {
  typedef Operation<T> Scan;
  typedef typename Scan::Value Value;
  __shared__ Value shared[THREADS];
  const Team team(inner == 1);
  const Part part(team, lines, n, inner, length, parts, reverse);
  Value carry = Scan::none();
  if (!combine && part.begin < part.end)
    for (long long p = part.number; p > 0; p--) carry = Scan::of(totals[team.line - p * inner], carry);
  for (long long tile = part.begin; tile < part.begin + length; tile += team.size * EACH) {
    const long long first = tile + team.rank * EACH;
    Value own[EACH], total = Scan::none(), all;
    for (int j = 0; j < EACH; j++) {
      if (first + j < part.end) total = Scan::of(total, Scan::load(x, b, part.at(first + j), first + j));
      own[j] = total;
    }
    const Value start = Scan::of(carry, before<Scan>(team, total, all, shared));
    for (int j = 0; j < EACH && !combine; j++)
      if (first + j < part.end) y[part.at(first + j)] = Scan::result(Scan::of(start, own[j]));
    carry = Scan::of(carry, all);
  }
  if (combine && team.rank == 0 && part.begin < part.end) totals[team.line] = carry;
}
