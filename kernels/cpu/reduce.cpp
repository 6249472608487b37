// Sums, means, extremes, and where extremes are, over the middle axis of (outer, n, inner):
//
//     total    out = sum_k x_k / divisor
//     largest  out = max_k x_k         smallest  out = min_k x_k         NaN if there is one
//     first    out = the least k with x_k = max_k x_k (or min_k), or NaN
//
// Lanes are neighbours in memory that are reduced each by itself, so that the loop over them is vectorised. Where the
// columns, `inner`, are fewer, lanes are those of several rows, and become one column at the end.

#include <cmath>
#include "loop.h"

static const ptrdiff_t LANES = 256;  // at most
static const ptrdiff_t SHORT = 32;   // a row of less goes together with others

// How numbers are combined: W is double for sums.
struct Add {
    typedef double W;
    static T none() { return 0; }
    template <class A> static A of(A x, A y) { return x + y; }
};
struct Larger {
    typedef T W;
    static T none() { return -INFINITY; }
    static bool better(T x, T than) { return (x > than) | (x != x); }
    static T of(T x, T y) { return better(y, x) ? y : x; }
};
struct Smaller {
    typedef T W;
    static T none() { return INFINITY; }
    static bool better(T x, T than) { return (x < than) | (x != x); }
    static T of(T x, T y) { return better(y, x) ? y : x; }
};

static const ptrdiff_t BLOCK_ROWS = 128;  // terms of a sum that are added up in T, so that small ones are not lost

// The columns [0, width) of n rows, `apart` from one another, combined: total[j] for column j; it has room for all lanes.
template <class By> static void columns(const T* x, ptrdiff_t n, ptrdiff_t apart, ptrdiff_t width, typename By::W* total) {
    typedef typename By::W W;
    const ptrdiff_t rows = apart == width && 2 * width <= LANES ? LANES / width : 1, lanes = rows * width;
    const ptrdiff_t step = rows * apart;
    ptrdiff_t k = 0;
    do {
        const bool first = k == 0;
        T part[LANES];
        for (ptrdiff_t j = 0; j < lanes; j++) part[j] = By::none();
        const ptrdiff_t end = lesser(k + BLOCK_ROWS * rows, n);
        const T* row = x + k * apart;
        for (; k + 4 * rows <= end; k += 4 * rows, row += 4 * step) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < lanes; j++) {
                const T two = By::of(row[j], row[j + step]), four = By::of(row[j + 2 * step], row[j + 3 * step]);
                part[j] = By::of(part[j], By::of(two, four));
            }
        }
        for (; k + rows <= end; k += rows, row += step) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < lanes; j++) part[j] = By::of(part[j], row[j]);
        }
        for (ptrdiff_t j = 0; j < lanes; j++) total[j] = first ? W(part[j]) : By::of(total[j], W(part[j]));
    } while (k + rows <= n);
    for (ptrdiff_t j = 0; j < width; j++) {
        W result = total[j];
        for (ptrdiff_t r = j + width; r < lanes; r += width) result = By::of(result, total[r]);
        for (ptrdiff_t i = k; i < n; i++) result = By::of(result, W(x[i * apart + j]));
        total[j] = result;
    }
}

// One row.
template <class By> static typename By::W row(const T* x, ptrdiff_t n) {
    typedef typename By::W W;
    constexpr ptrdiff_t lanes = 64, few = 16;
    W total = By::none();
    ptrdiff_t k = 0;
    do {
        T part[lanes];
        for (ptrdiff_t j = 0; j < lanes; j++) part[j] = By::none();
        const ptrdiff_t end = lesser(k + BLOCK_ROWS * lanes, n);
        for (; k + 4 * lanes <= end; k += 4 * lanes) {
            #pragma omp simd
            for (ptrdiff_t j = k; j < k + lanes; j++) {
                const T two = By::of(x[j], x[j + lanes]), four = By::of(x[j + 2 * lanes], x[j + 3 * lanes]);
                part[j - k] = By::of(part[j - k], By::of(two, four));
            }
        }
        for (; k + lanes <= end; k += lanes) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < lanes; j++) part[j] = By::of(part[j], x[k + j]);
        }
        for (; k + few <= end; k += few) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < few; j++) part[j] = By::of(part[j], x[k + j]);
        }
        for (ptrdiff_t half = lanes / 2; half; half /= 2) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < half; j++) part[j] = By::of(part[j], part[j + half]);
        }
        total = By::of(total, W(part[0]));
    } while (k + few <= n);
    for (; k < n; k++) total = By::of(total, W(x[k]));
    return total;
}

// Rows of few elements, n of each: as many as fit into lanes go together.
template <class By> static void short_rows(const T* x, T* out, ptrdiff_t count, ptrdiff_t n, T divisor) {
    for (ptrdiff_t i = 0; i < count; i += SHORT) {
        const ptrdiff_t own = lesser(SHORT, count - i);
        T part[SHORT];
        for (ptrdiff_t j = 0; j < own; j++) part[j] = x[(i + j) * n];
        for (ptrdiff_t k = 1; k < n; k++) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < own; j++) part[j] = By::of(part[j], x[(i + j) * n + k]);
        }
        #pragma omp simd
        for (ptrdiff_t j = 0; j < own; j++) out[i + j] = part[j] / divisor;
    }
}

// `parts` is memory for (outer, count of parts, inner) numbers, where there is more than one part.
template <class By> static void reduce(
    const T* x, T* out, typename By::W* parts, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t count,
    T divisor, int threads, Share share
) {
    typedef typename By::W W;
    if (inner == 1 && n < SHORT) {
        parallel((outer + LANES - 1) / LANES, threads, share, [=](ptrdiff_t task) {
            const ptrdiff_t i = task * LANES;
            short_rows<By>(x + i * n, out + i, lesser(LANES, outer - i), n, divisor);
        });
        return;
    }
    const ptrdiff_t groups = (inner + LANES - 1) / LANES, length = (n + count - 1) / count;
    parallel(outer * count * groups, threads, share, [=](ptrdiff_t task) {
        const ptrdiff_t column = task % groups * LANES, part = task / groups % count, i = task / groups / count;
        const ptrdiff_t first = part * length, own = lesser(length, n - first), width = lesser(LANES, inner - column);
        const T* from = x + (i * n + first) * inner + column;
        W total[LANES];
        if (inner == 1) total[0] = row<By>(from, own);
        else columns<By>(from, own, inner, width, total);
        if (count == 1)
            for (ptrdiff_t j = 0; j < width; j++) out[i * inner + column + j] = T(total[j]) / divisor;
        else
            for (ptrdiff_t j = 0; j < width; j++) parts[(i * count + part) * inner + column + j] = total[j];
    });
    for (ptrdiff_t i = 0; count > 1 && i < outer; i++)
        for (ptrdiff_t j = 0; j < inner; j++) {
            W total = parts[i * count * inner + j];
            for (ptrdiff_t p = 1; p < count; p++) total = By::of(total, parts[(i * count + p) * inner + j]);
            out[i * inner + j] = T(total) / divisor;
        }
}

extern "C" void total(
    const T* x, T* out, double* parts, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t count, double divisor,
    int threads, Share share
) {
    reduce<Add>(x, out, parts, outer, n, inner, count, divisor, threads, share);
}

extern "C" void largest(
    const T* x, T* out, T* parts, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t count, double divisor,
    int threads, Share share
) {
    reduce<Larger>(x, out, parts, outer, n, inner, count, divisor, threads, share);
}

extern "C" void smallest(
    const T* x, T* out, T* parts, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t count, double divisor,
    int threads, Share share
) {
    reduce<Smaller>(x, out, parts, outer, n, inner, count, divisor, threads, share);
}

template <size_t size> struct Whole { typedef long long type; };
template <> struct Whole<4> { typedef int type; };
typedef Whole<sizeof(T)>::type Index;  // as wide as T, so that lanes of both go together

// The rows at which the columns [0, width) have their extremes: rows of several lanes as above, the last row by itself.
template <class By> static void places(const T* x, ptrdiff_t n, ptrdiff_t apart, ptrdiff_t width, long long* to) {
    const ptrdiff_t rows = apart == width && 2 * width <= LANES ? lesser(LANES / width, n) : 1, lanes = rows * width;
    T best[LANES];
    Index at[LANES];
    for (ptrdiff_t j = 0; j < lanes; j++) best[j] = x[j], at[j] = 0;
    ptrdiff_t k = rows;
    for (; k + rows <= n; k += rows) {
        const T* row = x + k * apart;
        #pragma omp simd
        for (ptrdiff_t j = 0; j < lanes; j++) {
            const bool better = By::better(row[j], best[j]) & (best[j] == best[j]);
            best[j] = better ? row[j] : best[j];
            at[j] = better ? Index(k) : at[j];
        }
    }
    for (ptrdiff_t j = 0; j < width; j++) {
        T most = best[j];
        to[j] = at[j];
        auto meet = [&](T value, ptrdiff_t place) {
            const bool same = value == most || (value != value && most != most);
            if (same ? place < to[j] : By::better(value, most) && most == most) most = value, to[j] = place;
        };
        for (ptrdiff_t r = 1; r < rows; r++) meet(best[r * width + j], at[r * width + j] + r);
        for (ptrdiff_t i = k; i < n; i++) meet(x[i * apart + j], i);
    }
}

// The same along rows of few elements, n of each.
template <class By> static void short_places(const T* x, long long* to, ptrdiff_t count, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < count; i += SHORT) {
        const ptrdiff_t own = lesser(SHORT, count - i);
        T best[SHORT];
        Index at[SHORT];
        for (ptrdiff_t j = 0; j < own; j++) best[j] = x[(i + j) * n], at[j] = 0;
        for (ptrdiff_t k = 1; k < n; k++) {
            #pragma omp simd
            for (ptrdiff_t j = 0; j < own; j++) {
                const T value = x[(i + j) * n + k];
                const bool better = By::better(value, best[j]) & (best[j] == best[j]);
                best[j] = better ? value : best[j];
                at[j] = better ? Index(k) : at[j];
            }
        }
        for (ptrdiff_t j = 0; j < own; j++) to[i + j] = at[j];
    }
}

template <class By> static void first(
    const T* x, long long* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    if (inner == 1 && n < SHORT) {
        parallel((outer + LANES - 1) / LANES, threads, share, [=](ptrdiff_t task) {
            const ptrdiff_t i = task * LANES;
            short_places<By>(x + i * n, out + i, lesser(LANES, outer - i), n);
        });
        return;
    }
    const ptrdiff_t groups = (inner + LANES - 1) / LANES;
    parallel(outer * groups, threads, share, [=](ptrdiff_t task) {
        const ptrdiff_t column = task % groups * LANES, i = task / groups;
        places<By>(x + i * n * inner + column, n, inner, lesser(LANES, inner - column), out + i * inner + column);
    });
}

extern "C" void first_largest(
    const T* x, long long* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    first<Larger>(x, out, outer, n, inner, threads, share);
}

extern "C" void first_smallest(
    const T* x, long long* out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int threads, Share share
) {
    first<Smaller>(x, out, outer, n, inner, threads, share);
}
