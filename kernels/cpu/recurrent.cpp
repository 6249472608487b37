// Long short-term memory over a sequence, and its gradient. x and the gates are (steps, n, 4 size), before their functions:
//
//     gates = x + h w^T      i, f, o = sigmoid      g = tanh      c = f c + i g      h = o tanh(c)
//
// h and c, (n, size), are those before the first step, hs and cs, (steps, n, size), those after each. No row has to do with
// another, so that each thread takes some of them through all steps.

#pragma GCC optimize("fp-contract=fast")

#include "loop.h"
#include "functions.h"
#include "product.h"

#include <cstring>
#include <vector>

extern "C" SIMD2 float tanhf(float) noexcept;
extern "C" SIMD2 double tanh(double) noexcept;

static inline float tanh_of(float x) { return tanhf(x); }
static inline double tanh_of(double x) { return tanh(x); }
static inline T sigmoid(T x) { return 1 / (1 + exp_of(-x)); }

// A matrix (k, columns), as panels of STEP columns, which `product` reads from one end to the other.
struct Panels {
    const ptrdiff_t k, width;  // width: columns, rounded up to whole panels
    std::vector<V> memory;

    // of the elements w[i * row + j * column]
    Panels(const T* w, ptrdiff_t k, ptrdiff_t columns, ptrdiff_t row, ptrdiff_t column)
        : k(k), width((columns + STEP - 1) / STEP * STEP), memory(k * width / WIDTH) {
        T* to = (T*)memory.data();
        for (ptrdiff_t j = 0; j < columns; j++)
            for (ptrdiff_t i = 0; i < k; i++) to[j / STEP * STEP * k + i * STEP + j % STEP] = w[i * row + j * column];
    }

    // to (rows, width) += a (rows, k) times the matrix
    void multiply(const T* a, ptrdiff_t rows, T* to) const {
        const ptrdiff_t none = 0;
        for (ptrdiff_t panel = 0; panel < width; panel += STEP)
            for (ptrdiff_t r = 0; r < rows;) {
                const Tile tile = tile_of(rows - r);
                tile.run((const T*)memory.data() + panel * k, a + r * k, k, to + r * width + panel, width, k, STEP, &none, 1);
                r += tile.rows;
            }
    }
};

// body(first, rows) for parts of n rows.
template <class Body> static void over_rows(ptrdiff_t n, int threads, Share share, Body body) {
    const ptrdiff_t tiles = (n + ROWS - 1) / ROWS, parts = lesser(ptrdiff_t(threads), tiles);
    parallel(parts, threads, share, [=](ptrdiff_t part) {
        const ptrdiff_t first = part * tiles / parts * ROWS;
        body(first, lesser((part + 1) * tiles / parts * ROWS, n) - first);
    });
}

extern "C" void lstm(
    const T* x, const T* h, const T* c, const T* w, T* hs, T* cs, T* gates, ptrdiff_t steps, ptrdiff_t n,
    ptrdiff_t size, int threads, Share share
) {
    const Panels weight(w, size, 4 * size, 1, size);
    over_rows(n, threads, share, [=, &weight](ptrdiff_t first, ptrdiff_t rows) {
        std::vector<T> sums(rows * weight.width);
        for (ptrdiff_t at = first; at < steps * n; at += n) {  // the first of the rows, at each step
            for (ptrdiff_t r = 0; r < rows; r++)
                memcpy(sums.data() + r * weight.width, x + (at + r) * 4 * size, 4 * size * sizeof(T));
            weight.multiply(at < n ? h + at * size : hs + (at - n) * size, rows, sums.data());
            for (ptrdiff_t r = 0; r < rows; r++) {
                const T* from = sums.data() + r * weight.width;
                const T* before = at < n ? c + (at + r) * size : cs + (at + r - n) * size;
                T *c_out = cs + (at + r) * size, *h_out = hs + (at + r) * size;
                memcpy(gates + (at + r) * 4 * size, from, 4 * size * sizeof(T));
                #pragma omp simd
                for (ptrdiff_t k = 0; k < size; k++) {
                    const T i = sigmoid(from[k]), f = sigmoid(from[size + k]), g = tanh_of(from[2 * size + k]);
                    const T state = f * before[k] + i * g;
                    c_out[k] = state;
                    h_out[k] = sigmoid(from[3 * size + k]) * tanh_of(state);
                }
            }
        }
    });
}

// g_hs and g_cs are the gradients of hs and cs, g_cs may be null; g_x is that of x and of the gates.
extern "C" void lstm_back(
    const T* g_hs, const T* g_cs, const T* c, const T* w, const T* cs, const T* gates, T* g_x, T* g_h, T* g_c,
    ptrdiff_t steps, ptrdiff_t n, ptrdiff_t size, int threads, Share share
) {
    const Panels weight(w, 4 * size, size, size, 1);
    over_rows(n, threads, share, [=, &weight](ptrdiff_t first, ptrdiff_t rows) {
        const ptrdiff_t width = weight.width;
        std::vector<T> from_later(rows * width);  // the gradient of h that comes from the step after
        memset(g_c + first * size, 0, rows * size * sizeof(T));
        for (ptrdiff_t at = (steps - 1) * n + first; at >= 0; at -= n) {
            for (ptrdiff_t r = 0; r < rows; r++) {
                const T* before = at < n ? c + (at + r) * size : cs + (at + r - n) * size;
                const T *now = cs + (at + r) * size, *from = gates + (at + r) * 4 * size;
                const T *h_grad = g_hs + (at + r) * size, *later = from_later.data() + r * width;
                T *to = g_x + (at + r) * 4 * size, *c_grad = g_c + (first + r) * size;
                if (g_cs)
                    for (ptrdiff_t k = 0; k < size; k++) c_grad[k] += g_cs[(at + r) * size + k];
                #pragma omp simd
                for (ptrdiff_t k = 0; k < size; k++) {
                    const T i = sigmoid(from[k]), f = sigmoid(from[size + k]), g = tanh_of(from[2 * size + k]);
                    const T o = sigmoid(from[3 * size + k]), t = tanh_of(now[k]);
                    const T down = h_grad[k] + later[k], along = c_grad[k] + down * o * (1 - t * t);
                    to[k] = along * g * i * (1 - i);
                    to[size + k] = along * before[k] * f * (1 - f);
                    to[2 * size + k] = along * i * (1 - g * g);
                    to[3 * size + k] = down * t * o * (1 - o);
                    c_grad[k] = along * f;
                }
            }
            std::fill(from_later.begin(), from_later.end(), T(0));
            weight.multiply(g_x + at * 4 * size, rows, from_later.data());
        }
        for (ptrdiff_t r = 0; r < rows; r++)
            memcpy(g_h + (first + r) * size, from_later.data() + r * width, size * sizeof(T));
    });
}
