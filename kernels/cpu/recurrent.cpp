// A step of long short-term memory, and its gradient, of n rows. The gates, (n, 4 size), are before their functions:
//
//     i, f, o = sigmoid      g = tanh      c_out = f c + i g      h = o tanh(c_out)

#include "loop.h"
#include "functions.h"

extern "C" SIMD2 float tanhf(float) noexcept;
extern "C" SIMD2 double tanh(double) noexcept;

static inline float tanh_of(float x) { return tanhf(x); }
static inline double tanh_of(double x) { return tanh(x); }
static inline T sigmoid(T x) { return 1 / (1 + exp_of(-x)); }

extern "C" void step(
    const T* gates, const T* c, T* h, T* c_out, ptrdiff_t n, ptrdiff_t size, int threads, Share share
) {
    parallel(n, threads, share, [=](ptrdiff_t row) {
        const T *i = gates + 4 * row * size, *f = i + size, *g = f + size, *o = g + size;
        #pragma omp simd
        for (ptrdiff_t k = 0; k < size; k++) {
            const T state = sigmoid(f[k]) * c[row * size + k] + sigmoid(i[k]) * tanh_of(g[k]);
            c_out[row * size + k] = state;
            h[row * size + k] = sigmoid(o[k]) * tanh_of(state);
        }
    });
}

extern "C" void step_back(
    const T* gates, const T* before, const T* c, const T* g_h, const T* g_c, T* g_gates, T* g_before, ptrdiff_t n,
    ptrdiff_t size, int threads, Share share
) {
    parallel(n, threads, share, [=](ptrdiff_t row) {
        const T *from = gates + 4 * row * size;
        T *to = g_gates + 4 * row * size;
        #pragma omp simd
        for (ptrdiff_t k = 0; k < size; k++) {
            const ptrdiff_t at = row * size + k;
            const T i = sigmoid(from[k]), f = sigmoid(from[size + k]), g = tanh_of(from[2 * size + k]);
            const T o = sigmoid(from[3 * size + k]), t = tanh_of(c[at]), grad = g_c[at] + g_h[at] * o * (1 - t * t);
            to[k] = grad * g * i * (1 - i);
            to[size + k] = grad * before[at] * f * (1 - f);
            to[2 * size + k] = grad * i * (1 - g * g);
            to[3 * size + k] = g_h[at] * t * o * (1 - o);
            g_before[at] = grad * f;
        }
    });
}
