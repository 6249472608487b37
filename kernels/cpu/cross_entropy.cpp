// Cross-entropy of logits x (outer, n, inner) with one class for each of outer * inner positions, and its gradient:
//
//     loss = -log softmax(x)[class]      x_grad = (softmax(x) - [class]) each
//
// where softmax(x) = exp(x - max x) / sum exp(x - max x), and `each` is the gradient of a position's loss.

#include "softmax.h"

extern "C" void cross_entropy(
    const T* x, const long long* classes, T* loss, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        const T *from = x + i * n, most = greatest(from, n);
        const T total = T(sum(n, [=](ptrdiff_t k) { return exp_of(from[k] - most); }));
        loss[i] = -(from[classes[i]] - most - log_of(total));
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t position, ptrdiff_t width) {
        T most[WIDTH], total[WIDTH];
        column_sums(x + at, n, inner, width, most, total);
        for (ptrdiff_t j = 0; j < width; j++) {
            const T picked = x[at + classes[position + j] * inner + j];
            loss[position + j] = -(picked - most[j] - log_of(total[j]));
        }
    };
    over(outer, n, inner, threads, share, row, columns);
}

extern "C" void cross_entropy_x(
    const T* x, const long long* classes, const T* each, T* x_grad, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
    int threads, Share share
) {
    auto row = [=](ptrdiff_t i) {
        T* to = x_grad + i * n;
        const T scale = T(1 / exponentials(x + i * n, n, to));
        #pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) to[k] = to[k] * scale * each[i];
        to[classes[i]] -= each[i];
    };
    auto columns = [=](ptrdiff_t at, ptrdiff_t position, ptrdiff_t width) {
        T most[WIDTH], total[WIDTH];
        column_sums(x + at, n, inner, width, most, total);
        for (ptrdiff_t k = at; k < at + n * inner; k += inner) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < width; j++)
                x_grad[k + j] = exp_of(x[k + j] - most[j]) / total[j] * each[position + j];
        }
        for (ptrdiff_t j = 0; j < width; j++)
            x_grad[at + classes[position + j] * inner + j] -= each[position + j];
    };
    over(outer, n, inner, threads, share, row, columns);
}
