// Normalisation and its gradient:
//
//     normal = (x - mean) scale      scale = 1 / sqrt(mean (x - mean)^2 + eps)      out = normal w + b
//     w_grad = sum g normal          b_grad = sum g
//     x_grad = (g w - mean(g w) - normal mean(g w normal)) scale
//
// `group_*`: x is (n, groups, depth, size), its means are over (depth, size), w and b are (groups, depth). So are layers
// (groups = size = 1), groups and instances (depth = 1). One row of depth * size elements is one task, and stays in the
// cache. Without `center` the mean is 0.
// `batch_*`: x is (n, channels, size), its means are over n and size, w and b are (channels). A channel is one task, or
// where size is 1 WIDTH neighbouring channels are.
// Gradients that are null are not wanted.
// `rescale`: out = x w + b, over the same sizes as `batch_*`, where the statistics are known.

#include "loop.h"

#include <vector>

static inline T reciprocal_root(double x) { return T(1 / __builtin_sqrt(x)); }

extern "C" void group_forward(
    const T* x, const T* w, const T* b, T* out, T* mean, T* scale, ptrdiff_t n, ptrdiff_t groups, ptrdiff_t depth,
    ptrdiff_t size, double eps, ptrdiff_t center, int threads, Share share
) {
    const ptrdiff_t length = depth * size;
    parallel(n * groups, threads, share, [=](ptrdiff_t row) {
        const ptrdiff_t first = row % groups * depth;
        const T *from = x + row * length, *factor = w + first, *shift = b + first;
        T* to = out + row * length;
        const T m = center ? T(sum(length, [=](ptrdiff_t i) { return from[i]; }) / length) : T(0);
        const double squares = sum(length, [=](ptrdiff_t i) { return (from[i] - m) * (from[i] - m); });
        const T s = reciprocal_root(squares / length + eps);
        mean[row] = m;
        scale[row] = s;
        if (size == 1) {
            #pragma omp simd
            for (ptrdiff_t d = 0; d < depth; d++) to[d] = (from[d] - m) * s * factor[d] + shift[d];
            return;
        }
        for (ptrdiff_t d = 0; d < depth; d++) {
            #pragma omp simd
            for (ptrdiff_t i = d * size; i < (d + 1) * size; i++) to[i] = (from[i] - m) * s * factor[d] + shift[d];
        }
    });
}

extern "C" void group_backward(
    const T* g, const T* x, const T* w, const T* mean, const T* scale, T* x_grad, T* w_grad, T* b_grad, ptrdiff_t n,
    ptrdiff_t groups, ptrdiff_t depth, ptrdiff_t size, ptrdiff_t center, int threads, Share share
) {
    // Rows are dealt out to parts, each of which adds up gradients of w and b by itself. The number of parts does not
    // depend on that of threads, so that results do not either.
    const ptrdiff_t rows = n * groups, length = depth * size, channels = groups * depth;
    const ptrdiff_t parts = lesser(rows, ptrdiff_t(16));
    std::vector<T> sums(2 * parts * channels);
    T* const w_sums = sums.data();
    T* const b_sums = w_sums + parts * channels;
    parallel(parts, threads, share, [=](ptrdiff_t part) {
        for (ptrdiff_t row = part * rows / parts; row < (part + 1) * rows / parts; row++) {
            const ptrdiff_t first = row % groups * depth;
            const T *from = x + row * length, *given = g + row * length, *factor = w + first;
            T *w_sum = w_sums + part * channels + first, *b_sum = b_sums + part * channels + first;
            const T m = mean[row], s = scale[row];
            double total = 0, weighted = 0;  // of g w, and of g w normal
            if (size == 1) {
                for (ptrdiff_t begin = 0; begin < depth; begin += BLOCK) {
                    T t = 0, u = 0;
                    #pragma omp simd reduction(+ : t, u)
                    for (ptrdiff_t d = begin; d < lesser(begin + BLOCK, depth); d++) {
                        const T product = given[d] * ((from[d] - m) * s);
                        t += given[d] * factor[d];
                        u += product * factor[d];
                        w_sum[d] += product;
                        b_sum[d] += given[d];
                    }
                    total += t;
                    weighted += u;
                }
            } else {
                for (ptrdiff_t d = 0; d < depth; d++) {
                    const T *f = from + d * size, *h = given + d * size;
                    const double t = sum(size, [=](ptrdiff_t i) { return h[i]; });
                    const double u = sum(size, [=](ptrdiff_t i) { return h[i] * ((f[i] - m) * s); });
                    b_sum[d] += T(t);
                    w_sum[d] += T(u);
                    total += t * factor[d];
                    weighted += u * factor[d];
                }
            }
            if (!x_grad) continue;
            T* to = x_grad + row * length;
            const T shift = center ? T(total / length) : T(0), along = T(weighted / length);
            if (size == 1) {
                #pragma omp simd
                for (ptrdiff_t d = 0; d < depth; d++)
                    to[d] = (given[d] * factor[d] - (from[d] - m) * s * along - shift) * s;
            } else {
                for (ptrdiff_t d = 0; d < depth; d++) {
                    #pragma omp simd
                    for (ptrdiff_t i = d * size; i < (d + 1) * size; i++)
                        to[i] = (given[i] * factor[d] - (from[i] - m) * s * along - shift) * s;
                }
            }
        }
    });
    for (ptrdiff_t c = 0; c < channels; c++) {
        T w_total = 0, b_total = 0;
        for (ptrdiff_t part = 0; part < parts; part++) {
            w_total += w_sums[part * channels + c];
            b_total += b_sums[part * channels + c];
        }
        if (w_grad) w_grad[c] = w_total;
        if (b_grad) b_grad[c] = b_total;
    }
}

static const ptrdiff_t WIDTH = 128;

// total[j] += the sum of term(k, j) for k below n.
template <class Term> static void column_sum(ptrdiff_t n, ptrdiff_t width, double* total, Term term) {
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        T part[WIDTH] = {};
        for (ptrdiff_t k = begin; k < lesser(begin + BLOCK, n); k++) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) part[j] += term(k, j);
        }
        for (ptrdiff_t j = 0; j < width; j++) total[j] += part[j];
    }
}

extern "C" void batch_forward(
    const T* x, const T* w, const T* b, T* out, T* mean, T* scale, ptrdiff_t n, ptrdiff_t channels, ptrdiff_t size,
    double eps, int threads, Share share
) {
    const double over = 1.0 / (n * size);
    if (size > 1) {
        parallel(channels, threads, share, [=](ptrdiff_t c) {
            double total = 0, squares = 0;
            for (ptrdiff_t k = 0; k < n; k++) {
                const T* run = x + (k * channels + c) * size;
                total += sum(size, [=](ptrdiff_t i) { return run[i]; });
            }
            const T m = T(total * over);
            for (ptrdiff_t k = 0; k < n; k++) {
                const T* run = x + (k * channels + c) * size;
                squares += sum(size, [=](ptrdiff_t i) { return (run[i] - m) * (run[i] - m); });
            }
            const T s = reciprocal_root(squares * over + eps), factor = w[c], shift = b[c];
            mean[c] = m;
            scale[c] = s;
            for (ptrdiff_t k = 0; k < n; k++) {
                const ptrdiff_t at = (k * channels + c) * size;
                #pragma omp simd
                for (ptrdiff_t i = at; i < at + size; i++) out[i] = (x[i] - m) * s * factor + shift;
            }
        });
        return;
    }
    parallel((channels + WIDTH - 1) / WIDTH, threads, share, [=](ptrdiff_t group) {
        const ptrdiff_t first = group * WIDTH, width = lesser(WIDTH, channels - first);
        double total[WIDTH] = {}, squares[WIDTH] = {};
        T m[WIDTH], s[WIDTH], factor[WIDTH], shift[WIDTH];
        column_sum(n, width, total, [=](ptrdiff_t k, ptrdiff_t j) { return x[k * channels + first + j]; });
        for (ptrdiff_t j = 0; j < width; j++) m[j] = T(total[j] * over);
        column_sum(n, width, squares, [=, &m](ptrdiff_t k, ptrdiff_t j) {
            const T away = x[k * channels + first + j] - m[j];
            return away * away;
        });
        for (ptrdiff_t j = 0; j < width; j++) {
            mean[first + j] = m[j];
            scale[first + j] = s[j] = reciprocal_root(squares[j] * over + eps);
            factor[j] = w[first + j];
            shift[j] = b[first + j];
        }
        for (ptrdiff_t k = 0; k < n; k++) {
            const T* row = x + k * channels + first;
            T* to = out + k * channels + first;
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++) to[j] = (row[j] - m[j]) * s[j] * factor[j] + shift[j];
        }
    });
}

extern "C" void batch_backward(
    const T* g, const T* x, const T* w, const T* mean, const T* scale, T* x_grad, T* w_grad, T* b_grad, ptrdiff_t n,
    ptrdiff_t channels, ptrdiff_t size, int threads, Share share
) {
    const double over = 1.0 / (n * size);
    if (size > 1) {
        parallel(channels, threads, share, [=](ptrdiff_t c) {
            const T m = mean[c], s = scale[c], factor = w[c];
            double total = 0, weighted = 0;  // of g, and of g normal
            for (ptrdiff_t k = 0; k < n; k++) {
                const T *run = x + (k * channels + c) * size, *given = g + (k * channels + c) * size;
                total += sum(size, [=](ptrdiff_t i) { return given[i]; });
                weighted += sum(size, [=](ptrdiff_t i) { return given[i] * ((run[i] - m) * s); });
            }
            if (b_grad) b_grad[c] = T(total);
            if (w_grad) w_grad[c] = T(weighted);
            const T shift = T(total * over * factor), along = T(weighted * over * factor);
            for (ptrdiff_t k = 0; x_grad && k < n; k++) {
                const ptrdiff_t at = (k * channels + c) * size;
                #pragma omp simd
                for (ptrdiff_t i = at; i < at + size; i++)
                    x_grad[i] = (g[i] * factor - (x[i] - m) * s * along - shift) * s;
            }
        });
        return;
    }
    parallel((channels + WIDTH - 1) / WIDTH, threads, share, [=](ptrdiff_t group) {
        const ptrdiff_t first = group * WIDTH, width = lesser(WIDTH, channels - first);
        double total[WIDTH] = {}, weighted[WIDTH] = {};
        T factor[WIDTH], shift[WIDTH], along[WIDTH];
        const T *m = mean + first, *s = scale + first;
        column_sum(n, width, total, [=](ptrdiff_t k, ptrdiff_t j) { return g[k * channels + first + j]; });
        column_sum(n, width, weighted, [=](ptrdiff_t k, ptrdiff_t j) {
            const ptrdiff_t at = k * channels + first + j;
            return g[at] * ((x[at] - m[j]) * s[j]);
        });
        for (ptrdiff_t j = 0; j < width; j++) {
            if (b_grad) b_grad[first + j] = T(total[j]);
            if (w_grad) w_grad[first + j] = T(weighted[j]);
            factor[j] = w[first + j];
            shift[j] = T(total[j] * over * factor[j]);
            along[j] = T(weighted[j] * over * factor[j]);
        }
        for (ptrdiff_t k = 0; x_grad && k < n; k++) {
            const T *row = x + k * channels + first, *given = g + k * channels + first;
            T* to = x_grad + k * channels + first;
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++)
                to[j] = (given[j] * factor[j] - (row[j] - m[j]) * s[j] * along[j] - shift[j]) * s[j];
        }
    });
}

extern "C" void rescale(
    const T* x, const T* w, const T* b, T* out, ptrdiff_t n, ptrdiff_t channels, ptrdiff_t size, int threads,
    Share share
) {
    parallel(n, threads, share, [=](ptrdiff_t sample) {
        const ptrdiff_t first = sample * channels * size;
        if (size == 1) {
            #pragma omp simd
            for (ptrdiff_t c = 0; c < channels; c++) out[first + c] = x[first + c] * w[c] + b[c];
            return;
        }
        for (ptrdiff_t c = 0; c < channels; c++) {
            const T factor = w[c], shift = b[c];
            #pragma omp simd
            for (ptrdiff_t i = first + c * size; i < first + (c + 1) * size; i++) out[i] = x[i] * factor + shift;
        }
    });
}
