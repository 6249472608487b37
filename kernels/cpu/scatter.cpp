// Adding at repeated indices, over the middle axis: x[o, index[k], i] += y[o, k, i], x being (outer, n, inner) and y
// (outer, count, inner). The additions to an element come in the order of k. Threads own rows of x, and skip the others.

#include "loop.h"

extern "C" void add_at(
    T* x, const long long* index, const T* y, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t count, ptrdiff_t inner,
    int threads, Share share
) {
    const ptrdiff_t parts = threads > 1 && outer < 8 ? lesser(n, ptrdiff_t(8)) : 1;
    parallel(outer * parts, threads, share, [=](ptrdiff_t task) {
        const ptrdiff_t o = task / parts, part = task % parts;
        const ptrdiff_t begin = part * n / parts, end = (part + 1) * n / parts;
        for (ptrdiff_t k = 0; k < count; k++) {
            const ptrdiff_t row = index[k] < 0 ? index[k] + n : index[k];
            if (row < begin || row >= end) continue;
            T* to = x + (o * n + row) * inner;
            const T* from = y + (o * count + k) * inner;
            #pragma omp simd
            for (ptrdiff_t i = 0; i < inner; i++) to[i] += from[i];
        }
    });
}
