// Running sums over the middle axis of (outer, n, inner), from its end if `step` is -1: out[k] = out[k - step] + x[k].

#include "loop.h"

static const ptrdiff_t WIDTH = 256;  // neighbouring columns that are one task

extern "C" void running_sum(
    const T* x, T* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t step, int threads, Share share
) {
    const ptrdiff_t groups = (inner + WIDTH - 1) / WIDTH;
    parallel(outer * groups, threads, share, [=](ptrdiff_t task) {
        const ptrdiff_t column = task % groups * WIDTH, width = lesser(WIDTH, inner - column);
        const ptrdiff_t start = task / groups * n * inner + column, first = step > 0 ? 0 : n - 1;
        T total[WIDTH] = {};
        for (ptrdiff_t j = 0; j < width; j++) total[j] = out[start + first * inner + j] = x[start + first * inner + j];
        if (inner == 1) {
            T sum = total[0];
            for (ptrdiff_t k = first + step; k >= 0 && k < n; k += step) out[start + k] = sum += x[start + k];
            return;
        }
        for (ptrdiff_t k = first + step; k >= 0 && k < n; k += step) {
            const ptrdiff_t at = start + k * inner;
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) out[at + j] = total[j] += x[at + j];
        }
    });
}
