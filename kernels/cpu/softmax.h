// The maximum, and the sum of exponentials, over the middle axis of x (outer, n, inner).

#include "loop.h"
#include "functions.h"

static const ptrdiff_t WIDTH = 64;

// With inner = 1 a row of n elements is one task, which stays in the cache between its passes: row(i). Otherwise up to
// WIDTH neighbouring columns are: columns(at, position, width), `at` being where the first of their elements is in
// (outer, n, inner), and `position` where the first of them is in (outer, inner).
template <class Row, class Columns>
static void over(ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share, Row row, Columns columns) {
    if (inner == 1) return parallel(outer, threads, share, row);
    const ptrdiff_t groups = (inner + WIDTH - 1) / WIDTH;
    parallel(outer * groups, threads, share, [=](ptrdiff_t i) {
        const ptrdiff_t o = i / groups, first = i % groups * WIDTH;
        columns(o * n * inner + first, o * inner + first, lesser(WIDTH, inner - first));
    });
}

// out = exp(x - max x), of a row; the result is its sum.
static inline double exponentials(const T* x, ptrdiff_t n, T* out) {
    const T most = greatest(x, n);
    return sum(n, [=](ptrdiff_t k) { return out[k] = exp_of(x[k] - most); });
}

// most[j] = max x and total[j] = sum exp(x - max x), of each column.
static inline void column_sums(const T* x, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t width, T* most, T* total) {
    for (ptrdiff_t j = 0; j < width; j++) most[j] = x[j], total[j] = 0;
    for (ptrdiff_t k = 1; k < n; k++) {
        #pragma omp simd
        for (ptrdiff_t j = 0; j < width; j++) most[j] = x[k * inner + j] > most[j] ? x[k * inner + j] : most[j];
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        #pragma omp simd
        for (ptrdiff_t j = 0; j < width; j++) total[j] += exp_of(x[k * inner + j] - most[j]);
    }
}
