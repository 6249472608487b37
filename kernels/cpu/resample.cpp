// Elements of the middle axis of (outer, n, inner) combined at m places, by a matrix with numbers side by side in each row:
//
//     y[o] = sum_k weights[k, o] x[starts[o] + k]         where weights are not zero, for k < width

#include "loop.h"

static const ptrdiff_t WIDTH = 256;  // results that are made together, so that they stay in the cache

extern "C" void resample(
    const T* x, T* y, const int* starts, const T* weights, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t m, ptrdiff_t inner,
    ptrdiff_t width, int threads, Share share
) {
    if (inner == 1) {
        parallel(outer, threads, share, [=](ptrdiff_t i) {
            for (ptrdiff_t begin = 0; begin < m; begin += WIDTH) {
                const ptrdiff_t count = lesser(WIDTH, m - begin);
                const T* row = x + i * n;
                T* to = y + i * m + begin;
                T total[WIDTH] = {};
                for (ptrdiff_t k = 0; k < width; k++) {
                    const T* weight = weights + k * m + begin;
                    #pragma omp simd
                    for (ptrdiff_t o = 0; o < count; o++) {
                        const T value = row[starts[begin + o] + k] * weight[o];
                        total[o] += weight[o] != 0 ? value : T(0);
                    }
                }
                for (ptrdiff_t o = 0; o < count; o++) to[o] = total[o];
            }
        });
        return;
    }
    parallel(outer * m, threads, share, [=](ptrdiff_t row) {
        const ptrdiff_t o = row % m;
        const T* from = x + (row / m * n + starts[o]) * inner;
        for (ptrdiff_t begin = 0; begin < inner; begin += WIDTH) {
            const ptrdiff_t count = lesser(WIDTH, inner - begin);
            T total[WIDTH] = {};
            for (ptrdiff_t k = 0; k < width; k++) {
                const T weight = weights[k * m + o], *at = from + k * inner + begin;
                if (weight == 0) continue;
                #pragma omp simd
                for (ptrdiff_t j = 0; j < count; j++) total[j] += at[j] * weight;
            }
            for (ptrdiff_t j = 0; j < count; j++) y[row * inner + begin + j] = total[j];
        }
    });
}
