// Steps of optimizers, and the clipping of gradients, over the elements of many tensors in one pass. The formulas are
// those of gradcu/optim; `sign` is -1 to maximize. p, g, ... are lists of pointers, one for each tensor, and starts[i] is how many elements there are in
// the tensors before tensor i.

#include "loop.h"

static inline float root_of(float x) { return __builtin_sqrtf(x); }
static inline double root_of(double x) { return __builtin_sqrt(x); }

static const ptrdiff_t PIECE = 8192;

// body(tensor, begin, end) for parts of the tensors that have together the next PIECE elements, and so on.
template <class Body>
static void over_tensors(const ptrdiff_t* starts, ptrdiff_t count, int threads, Share share, Body body) {
    const ptrdiff_t total = starts[count];
    parallel((total + PIECE - 1) / PIECE, threads, share, [=](ptrdiff_t piece) {
        ptrdiff_t at = piece * PIECE, low = 0, high = count;
        const ptrdiff_t end = lesser(at + PIECE, total);
        while (high - low > 1) {  // the tensor that `at` is in
            const ptrdiff_t middle = (low + high) / 2;
            (starts[middle] <= at ? low : high) = middle;
        }
        for (ptrdiff_t tensor = low; at < end; tensor++) {
            const ptrdiff_t stop = lesser(end, starts[tensor + 1]);
            body(tensor, at - starts[tensor], stop - starts[tensor]);
            at = stop;
        }
    });
}

// scale[i] is lr sqrt(1 - beta2^t) / (1 - beta1^t), eps[i] is eps sqrt(1 - beta2^t), at step t of tensor i. Of the decay
// of weights either `decay` is 0 or `shrink` is 1. Without amsgrad `greatest` is null.
extern "C" void adam(
    T* const* ps, const T* const* gs, T* const* ms, T* const* vs, T* const* greatest, const ptrdiff_t* starts,
    const double* scale, const double* eps, ptrdiff_t count, double beta1, double beta2, double decay, double shrink,
    double sign, int threads, Share share
) {
    const T keep = T(beta2), c1 = T(1 - beta1), c2 = T(1 - beta2), d = T(decay), left = T(shrink), up = T(sign);
    over_tensors(starts, count, threads, share, [=](ptrdiff_t tensor, ptrdiff_t begin, ptrdiff_t end) {
        const T* g = gs[tensor];
        T *p = ps[tensor], *m = ms[tensor], *v = vs[tensor];
        const T factor = T(scale[tensor]), e = T(eps[tensor]);
        auto moments = [=](ptrdiff_t i) {  // and what is left of p
            const T grad = decay ? up * g[i] + d * p[i] : up * g[i];
            m[i] += (grad - m[i]) * c1;
            v[i] = v[i] * keep + grad * grad * c2;
            return p[i] * left;
        };
        if (!greatest) {
            #pragma omp simd
            for (ptrdiff_t i = begin; i < end; i++) {
                const T before = moments(i);
                p[i] = before - m[i] / (root_of(v[i]) + e) * factor;
            }
            return;
        }
        T* most = greatest[tensor];
        #pragma omp simd
        for (ptrdiff_t i = begin; i < end; i++) {
            const T before = moments(i);
            most[i] = most[i] >= v[i] || most[i] != most[i] ? most[i] : v[i];
            p[i] = before - m[i] / (root_of(most[i]) + e) * factor;
        }
    });
}

// fresh[i] is 1 at the first step of tensor i, then 1 - dampening. Without momentum the list of buffers is null.
extern "C" void sgd(
    T* const* ps, const T* const* gs, T* const* buffers, const ptrdiff_t* starts, const double* fresh, ptrdiff_t count,
    double lr, double momentum, double decay, double sign, ptrdiff_t nesterov, int threads, Share share
) {
    const T rate = T(lr), keep = T(momentum), d = T(decay), up = T(sign);
    over_tensors(starts, count, threads, share, [=](ptrdiff_t tensor, ptrdiff_t begin, ptrdiff_t end) {
        const T* g = gs[tensor];
        T* p = ps[tensor];
        auto gradient = [=](ptrdiff_t i) { return decay ? up * g[i] + d * p[i] : up * g[i]; };
        if (!buffers) {
            #pragma omp simd
            for (ptrdiff_t i = begin; i < end; i++) p[i] -= gradient(i) * rate;
            return;
        }
        T* b = buffers[tensor];
        const T share_of_new = T(fresh[tensor]);
        #pragma omp simd
        for (ptrdiff_t i = begin; i < end; i++) {
            const T grad = gradient(i);
            b[i] = b[i] * keep + grad * share_of_new;
            p[i] -= (nesterov ? grad + b[i] * keep : b[i]) * rate;
        }
    });
}

// norms[i] is the root of the sum of squares of tensor i.
extern "C" void norms(
    const T* const* gs, const ptrdiff_t* starts, T* norms, ptrdiff_t count, int threads, Share share
) {
    parallel(count, threads, share, [=](ptrdiff_t tensor) {
        const T* g = gs[tensor];
        norms[tensor] = T(__builtin_sqrt(sum(starts[tensor + 1] - starts[tensor], [=](ptrdiff_t i) { return g[i] * g[i]; })));
    });
}

extern "C" void scale(
    T* const* gs, const ptrdiff_t* starts, ptrdiff_t count, double factor, int threads, Share share
) {
    const T by = T(factor);
    over_tensors(starts, count, threads, share, [=](ptrdiff_t tensor, ptrdiff_t begin, ptrdiff_t end) {
        T* g = gs[tensor];
        #pragma omp simd
        for (ptrdiff_t i = begin; i < end; i++) g[i] *= by;
    });
}
