// Products of matrices, of which ROWS times COLUMNS sums, vectors of V, are held in registers at a time.

#if defined(__AVX512F__)
#define BYTES 64
static const int ROWS = 8, COLUMNS = 3;
#elif defined(__AVX__)
#define BYTES 32
static const int ROWS = 4, COLUMNS = 3;
#else
#define BYTES 16
static const int ROWS = 4, COLUMNS = 3;
#endif

typedef T V __attribute__((vector_size(BYTES)));
typedef T Unaligned __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));
static const ptrdiff_t WIDTH = BYTES / sizeof(T), STEP = COLUMNS * WIDTH;

static inline V load(const T* x) { return *(const Unaligned*)x; }

// to[r, l] += sum over c, e of w[r, c, e] x[c, l + offset(e)] for `rows` rows and STEP places.
template <int rows> static void product(
    const T* x, const T* w, ptrdiff_t w_row, T* to, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t volume,
    const ptrdiff_t* offset, ptrdiff_t count
) {
    V total[rows][COLUMNS];
    #pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        #pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; j++) total[r][j] = load(to + r * width + j * WIDTH);
    for (ptrdiff_t c = 0; c < channels; c++) {
        for (ptrdiff_t e = 0; e < count; e++) {
            const T* from = x + c * volume + offset[e];
            V seen[COLUMNS];
            #pragma GCC unroll 8
            for (int j = 0; j < COLUMNS; j++) seen[j] = load(from + j * WIDTH);
            #pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const T factor = w[r * w_row + c * count + e];
                #pragma GCC unroll 8
                for (int j = 0; j < COLUMNS; j++) total[r][j] += factor * seen[j];
            }
        }
    }
    #pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        #pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; j++) *(Unaligned*)(to + r * width + j * WIDTH) = total[r][j];
}

struct Tile {
    decltype(&product<1>) run;
    ptrdiff_t rows;
};

// The `product` of the most rows that are left.
static inline Tile tile_of(ptrdiff_t left) {
    if (left >= 8 && ROWS >= 8) return {product<8>, 8};
    if (left >= 4) return {product<4>, 4};
    if (left >= 2) return {product<2>, 2};
    return {product<1>, 1};
}
