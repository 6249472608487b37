// The product of a sparse matrix and a dense one. Row r of the sparse matrix has the elements ends[r] to ends[r + 1]:
// their values are x[order[e]], their columns columns[e]. out, which is zero, has `rows` rows of `width` numbers, as y.

#include <cstddef>
#include <cstdint>

template <class T>
static void multiply(const T* x, const T* y, T* out, const int64_t* order, const int64_t* columns, const int64_t* ends,
                     ptrdiff_t rows, ptrdiff_t width) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        T* __restrict sum = out + r * width;
        for (int64_t e = ends[r]; e < ends[r + 1]; ++e) {
            const T value = x[order[e]];
            const T* __restrict row = y + columns[e] * width;
            for (ptrdiff_t j = 0; j < width; ++j) sum[j] += value * row[j];
        }
    }
}

extern "C" void multiply_float32(const float* x, const float* y, float* out, const int64_t* order,
                                 const int64_t* columns, const int64_t* ends, ptrdiff_t rows, ptrdiff_t width) {
    multiply(x, y, out, order, columns, ends, rows, width);
}

extern "C" void multiply_float64(const double* x, const double* y, double* out, const int64_t* order,
                                 const int64_t* columns, const int64_t* ends, ptrdiff_t rows, ptrdiff_t width) {
    multiply(x, y, out, order, columns, ends, rows, width);
}
