// What the CPU's kernels share. The source is compiled for one type of element, T, float or double.

#include <cstddef>

// share(work, data, size, threads) of threads.cpp calls work(data, begin, end) for parts of 0..size in several threads.
typedef void (*Share)(void (*work)(void*, ptrdiff_t, ptrdiff_t), void* data, ptrdiff_t size, int threads);

static const ptrdiff_t UNIT = 1024;  // `share` cuts at multiples of this

// body(i) for each i below count, by several threads.
template <class Body> static void parallel(ptrdiff_t count, int threads, Share share, Body body) {
    auto work = [](void* data, ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t i = begin / UNIT; i < end / UNIT; i++) (*(Body*)data)(i);
    };
    if (threads > 1) share(work, &body, count * UNIT, threads);
    else work(&body, 0, count * UNIT);
}

template <class A> static A lesser(A x, A y) { return y < x ? y : x; }

static const ptrdiff_t BLOCK = 1024;  // terms that are added up by themselves, so that small ones are not lost

// The sum of term(i) for i below n.
template <class Term> static double sum(ptrdiff_t n, Term term) {
    double total = 0;
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        T part = 0;
        const ptrdiff_t end = lesser(begin + BLOCK, n);
        #pragma omp simd reduction(+ : part)
        for (ptrdiff_t i = begin; i < end; i++) part += term(i);
        total += part;
    }
    return total;
}

// The greatest of x[0..n), NaN aside.
static inline T greatest(const T* x, ptrdiff_t n) {
    T most = x[0];
    #pragma omp simd reduction(max : most)
    for (ptrdiff_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}
