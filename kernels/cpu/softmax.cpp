// Softmax and its logarithm over the middle axis of (outer, n, inner), and their gradients:
//
//     softmax      out = exp(x - max x) / sum exp(x - max x)       x_grad = g out - out sum(g out)
//     log_softmax  out = x - max x - log sum exp(x - max x)        x_grad = g - exp(out) sum(g)

#include "softmax.h"

extern "C" void softmax(
    const T* x, T* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        T* to = out + i * n;
        const T scale = T(1 / exponentials(x + i * n, n, to));
        #pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) to[k] *= scale;
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t, ptrdiff_t width) {
        T most[WIDTH], total[WIDTH];
        column_sums(x + at, n, inner, width, most, total);
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) out[k + j] = exp_of(x[k + j] - most[j]) / total[j];
        }
    };
    over(outer, n, inner, threads, share, row, columns);
}

extern "C" void log_softmax(
    const T* x, T* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        const T* from = x + i * n;
        T* to = out + i * n;
        const T log_total = log_of(T(exponentials(from, n, to))), most = greatest(from, n);
        #pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) to[k] = from[k] - most - log_total;
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t, ptrdiff_t width) {
        T most[WIDTH], total[WIDTH];
        column_sums(x + at, n, inner, width, most, total);
        for (ptrdiff_t j = 0; j < width; j++) total[j] = log_of(total[j]);
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) out[k + j] = x[k + j] - most[j] - total[j];
        }
    };
    over(outer, n, inner, threads, share, row, columns);
}

extern "C" void softmax_x(
    const T* g, const T* out, T* x_grad, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        const T *from = g + i * n, *p = out + i * n;
        T* to = x_grad + i * n;
        const T total = T(sum(n, [=](ptrdiff_t k) { return from[k] * p[k]; }));
        #pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) to[k] = from[k] * p[k] - p[k] * total;
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t, ptrdiff_t width) {
        T total[WIDTH] = {};
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) total[j] += g[k + j] * out[k + j];
        }
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) x_grad[k + j] = g[k + j] * out[k + j] - out[k + j] * total[j];
        }
    };
    over(outer, n, inner, threads, share, row, columns);
}

extern "C" void log_softmax_x(
    const T* g, const T* out, T* x_grad, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        const T *from = g + i * n, *logp = out + i * n;
        T* to = x_grad + i * n;
        const T total = T(sum(n, [=](ptrdiff_t k) { return from[k]; }));
        #pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) to[k] = from[k] - exp_of(logp[k]) * total;
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t, ptrdiff_t width) {
        T total[WIDTH] = {};
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) total[j] += g[k + j];
        }
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) x_grad[k + j] = g[k + j] - exp_of(out[k + j]) * total[j];
        }
    };
    over(outer, n, inner, threads, share, row, columns);
}
