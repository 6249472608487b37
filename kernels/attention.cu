// Attention without a matrix of weights in memory (Dao et al., "FlashAttention", 2022), and its gradients:
//
//     s_ij = scale q_i . k_j + mask_ij,    p_ij = exp(s_ij - z_i),    z_i = log(sum_j exp(s_ij)),    o_i = sum_j p_ij v_j
//     D_i = do_i . o_i,    ds_ij = p_ij (do_i . v_j - D_i)
//     dq_i = scale sum_j ds_ij k_j,    dk_j = scale sum_i ds_ij q_i,    dv_j = sum_i p_ij do_i
//
// A position that may see nothing gets zero. Arrays are (planes, positions, features), a plane for each head of each
// sample; groups of `shared` heads of queries share a head of keys and values.
//
// A block has TILE positions of one side (queries, or keys for their gradients) and goes over the other side in tiles
// that it brings to shared memory. A warp has ROWS of the block's positions; its lane l computes the scores of position l
// of the tile, and then holds the features l, l + 32, ... of the sums. In the forward pass exponentials are of what is
// less than the maximum so far; where that rises, earlier sums shrink. Sums are always taken in the same order.

#include "common.cuh"

constexpr int TILE = 32, ROWS = 4;  // a block has TILE / ROWS warps
constexpr unsigned WARP = 0xffffffffu;

struct Sizes {
  long long queries, keys, heads, shared;
  int features, values;  // of queries and keys, of values
  bool causal;
  double scale;
};

// Which keys a query may see: the mask for plane, query i and key j is at the sum of their steps; of its two kinds at
// most one is there.
template <class T> struct Mask {
  const bool *allowed;
  const T *added;
  long long by_sample, by_head, by_query, by_key;
  __device__ WIDE operator()(WIDE score, const Sizes &sizes, long long plane, long long i, long long j) const {
    if (i >= sizes.queries || j >= sizes.keys || (sizes.causal && j > i)) return -INFINITY;
    const long long at =
        plane / sizes.heads * by_sample + plane % sizes.heads * by_head + i * by_query + j * by_key;
    if (allowed && !allowed[at]) return -INFINITY;
    return added ? score + wide(added[at]) : score;
  }
};
#define MASK                                                                                                  \
  const bool *allowed, const T *added, long long by_sample, long long by_head, long long by_query, long long by_key
#define SIZES                                                                                        \
  long long queries, long long keys, long long heads, long long shared, int features, int values, bool causal, \
      double scale

// TILE rows of a matrix in shared memory; rows are one element longer than wide, so that lanes meet different banks.
template <class W> struct Tile {
  W *memory;
  int width;
  __device__ W *row(int r) const { return memory + r * (width + 1); }
  __device__ Tile next(int width_) const { return {memory + TILE * (width + 1), width_}; }
  template <class T> __device__ void load(const T *matrix, long long first, long long rows) const {
    for (int at = threadIdx.x; at < TILE * width; at += blockDim.x) {
      const int r = at / width, e = at % width;
      row(r)[e] = first + r < rows ? wide(matrix[(first + r) * width + e]) : W(0);
    }
  }
};

// The products of ROWS rows, of which `row` is the first, with one row.
template <class W> __device__ void dots(const Tile<W> &rows, int row, const W *other, W (&out)[ROWS]) {
  for (int r = 0; r < ROWS; r++) out[r] = 0;
#pragma unroll 4
  for (int e = 0; e < rows.width; e++)
    for (int r = 0; r < ROWS; r++) out[r] += rows.row(row + r)[e] * other[e];
}

// sum += the sum over the tile's rows of weight times row, where lane l has the weight of row l.
template <class W, int WIDTH> __device__ void accumulate(W (&sum)[WIDTH], W weight, const Tile<W> &tile) {
  const int lane = threadIdx.x % 32;
#pragma unroll 4
  for (int j = 0; j < TILE; j++) {
    const W w = __shfl_sync(WARP, weight, j);
#pragma unroll
    for (int c = 0; c < WIDTH; c++)
      if (c * 32 + lane < tile.width) sum[c] += w * tile.row(j)[c * 32 + lane];
  }
}

template <class T, class W, int WIDTH> __device__ void store(T *row, const W (&sum)[WIDTH], W factor, int width) {
#pragma unroll
  for (int c = 0; c < WIDTH; c++) {
    const int e = c * 32 + threadIdx.x % 32;
    if (e < width) row[e] = narrow<T>(sum[c] * factor);
  }
}

template <class By, class W> __device__ W over_warp(W value) {
  for (int d = 16; d > 0; d /= 2) value = By::of(value, __shfl_xor_sync(WARP, value, d));
  return value;
}

#define SHARED(W)                            \
  extern __shared__ double shared_memory[]; \
  W *const memory = (W *)shared_memory;

template <class T, int WIDTH>
__global__ void attention(const T *q, const T *k, const T *v, MASK, T *o, WIDE *z, SIZES) {
  typedef WIDE W;
  const Sizes sizes = {queries, keys, heads, shared, features, values, causal, scale};
  const Mask<T> mask = {allowed, added, by_sample, by_head, by_query, by_key};
  const long long tiles = (queries + TILE - 1) / TILE, plane = blockIdx.x / tiles, first = blockIdx.x % tiles * TILE;
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * ROWS;
  k += plane / shared * keys * features, v += plane / shared * keys * values;
  SHARED(W)
  const Tile<W> Q = {memory, features}, K = Q.next(features), V = K.next(values);
  Q.load(q + plane * queries * features, first, queries);

  W most[ROWS], total[ROWS] = {}, sum[ROWS][WIDTH] = {};
  for (int r = 0; r < ROWS; r++) most[r] = -INFINITY;
  const long long end = causal && first + TILE < keys ? first + TILE : keys;
  for (long long start = 0; start < end; start += TILE) {
    K.load(k, start, keys);
    V.load(v, start, keys);
    __syncthreads();
    W s[ROWS];
    dots(Q, row, K.row(lane), s);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      s[r] = mask(s[r] * W(scale), sizes, plane, first + row + r, start + lane);
      const W now = maximum::of(most[r], over_warp<maximum>(s[r]));
      const W p = now == -INFINITY ? W(0) : exp(s[r] - now), shrink = now == -INFINITY ? W(0) : exp(most[r] - now);
      most[r] = now;
      total[r] = total[r] * shrink + p;
      for (int c = 0; c < WIDTH; c++) sum[r][c] *= shrink;
      accumulate(sum[r], p, V);
    }
    __syncthreads();  // before the next tiles are written
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const long long i = plane * queries + first + row + r;
    const W all = over_warp<add>(total[r]);
    if (first + row + r >= queries) continue;
    store(o + i * values, sum[r], all == 0 ? W(0) : 1 / all, values);
    if (lane == 0) z[i] = all == 0 ? W(INFINITY) : most[r] + log(all);
  }
}

// dq, and D for the gradients of keys and values.
template <class T, int WIDTH>
__global__ void attention_queries(
    const T *grad, const T *q, const T *k, const T *v, MASK, const T *o, const WIDE *z, T *dq, WIDE *D, SIZES
) {
  typedef WIDE W;
  const Sizes sizes = {queries, keys, heads, shared, features, values, causal, scale};
  const Mask<T> mask = {allowed, added, by_sample, by_head, by_query, by_key};
  const long long tiles = (queries + TILE - 1) / TILE, plane = blockIdx.x / tiles, first = blockIdx.x % tiles * TILE;
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * ROWS;
  k += plane / shared * keys * features, v += plane / shared * keys * values;
  SHARED(W)
  const Tile<W> Q = {memory, features}, K = Q.next(features), V = K.next(values), G = V.next(values);
  Q.load(q + plane * queries * features, first, queries);
  G.load(grad + plane * queries * values, first, queries);
  __syncthreads();

  W own_z[ROWS], own_D[ROWS], sum[ROWS][WIDTH] = {};
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const long long i = plane * queries + first + row + r;
    const bool inside = first + row + r < queries;
    W dot = 0;
    for (int e = lane; inside && e < values; e += 32) dot += G.row(row + r)[e] * wide(o[i * values + e]);
    own_D[r] = over_warp<add>(dot);
    own_z[r] = inside ? z[i] : W(INFINITY);
    if (inside && lane == 0) D[i] = own_D[r];
  }
  const long long end = causal && first + TILE < keys ? first + TILE : keys;
  for (long long start = 0; start < end; start += TILE) {
    K.load(k, start, keys);
    V.load(v, start, keys);
    __syncthreads();
    W s[ROWS], dp[ROWS];
    dots(Q, row, K.row(lane), s);
    dots(G, row, V.row(lane), dp);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const W p = exp(mask(s[r] * W(scale), sizes, plane, first + row + r, start + lane) - own_z[r]);
      accumulate(sum[r], p * (dp[r] - own_D[r]), K);
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++)
    if (first + row + r < queries)
      store(dq + (plane * queries + first + row + r) * features, sum[r], W(scale), features);
}

// dk and dv of a plane of keys, from all the planes of queries that share it.
template <class T, int WIDTH>
__global__ void attention_keys(
    const T *grad, const T *q, const T *k, const T *v, MASK, const WIDE *z, const WIDE *D, T *dk, T *dv, SIZES
) {
  typedef WIDE W;
  const Sizes sizes = {queries, keys, heads, shared, features, values, causal, scale};
  const Mask<T> mask = {allowed, added, by_sample, by_head, by_query, by_key};
  const long long tiles = (keys + TILE - 1) / TILE, own = blockIdx.x / tiles, first = blockIdx.x % tiles * TILE;
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * ROWS;
  SHARED(W)
  const Tile<W> K = {memory, features}, Q = K.next(features), G = Q.next(values), V = G.next(values);
  K.load(k + own * keys * features, first, keys);
  V.load(v + own * keys * values, first, keys);

  W key_sum[ROWS][WIDTH] = {}, value_sum[ROWS][WIDTH] = {};
  for (long long plane = own * shared; plane < (own + 1) * shared; plane++)
    for (long long start = causal ? first : 0; start < queries; start += TILE) {
      Q.load(q + plane * queries * features, start, queries);
      G.load(grad + plane * queries * values, start, queries);
      __syncthreads();
      const long long i = start + lane, at = plane * queries + i;
      const W own_z = i < queries ? z[at] : W(INFINITY), own_D = i < queries ? D[at] : W(0);
      W s[ROWS], dp[ROWS];
      dots(K, row, Q.row(lane), s);
      dots(V, row, G.row(lane), dp);
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const W p = exp(mask(s[r] * W(scale), sizes, plane, i, first + row + r) - own_z);
        accumulate(value_sum[r], p, G);
        accumulate(key_sum[r], p * (dp[r] - own_D), Q);
      }
      __syncthreads();
    }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const long long j = own * keys + first + row + r;
    if (first + row + r >= keys) continue;
    store(dk + j * features, key_sum[r], W(scale), features);
    store(dv + j * values, value_sum[r], W(1), values);
  }
}
