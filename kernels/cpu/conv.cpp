// Convolutions of stride 1, without columns: x (n, channels, size) lies in memory with its padding, so that what an
// element e of the kernel sees is the padded input, shifted by a number of places:
//
//     out[o, l] = sum over c, e of w[o, c, e] x[c, l + offset(e)]          w_grad[o, c, e] = sum over l of g[o, l] x[c, l + offset(e)]
//
// Here l counts the places of the padded rows, of which the last few are no positions of the result and are dropped.
// Both are products of matrices, of which ROWS times COLUMNS sums, vectors of V, are held in registers at a time.
// Sizes are of three dimensions; those that are missing are 1.

#pragma GCC optimize("fp-contract=fast")

#include "loop.h"
#include "product.h"

#include <cstring>
#include <vector>

static const ptrdiff_t CHANNELS = 16;  // at a time, of which some rows should stay in the cache
static const ptrdiff_t PLACES = 512;   // at a time, of which ROWS rows should

struct Shape {
    ptrdiff_t n, channels, outputs, groups;     // channels and outputs of one group
    ptrdiff_t size[3], kernel[3], before[3], padded[3], out[3], dilation[3];

    // Places from one plane to the next: whole vectors, and no multiple of 4096 bytes, which caches cannot tell apart.
    ptrdiff_t volume() const {
        const ptrdiff_t whole = (padded[0] * padded[1] * padded[2] + WIDTH - 1) / WIDTH * WIDTH;
        return whole * sizeof(T) % 4096 ? whole : whole + WIDTH;
    }
    ptrdiff_t count() const { return kernel[0] * kernel[1] * kernel[2]; }
    ptrdiff_t inside() const { return size[0] * size[1] * size[2]; }
    ptrdiff_t positions() const { return out[0] * out[1] * out[2]; }
    // from the first position to the last, by places
    ptrdiff_t length() const { return ((out[0] - 1) * padded[1] + out[1] - 1) * padded[2] + out[2]; }

    std::vector<ptrdiff_t> offsets() const {
        std::vector<ptrdiff_t> found;
        for (ptrdiff_t i = 0; i < kernel[0]; i++)
            for (ptrdiff_t j = 0; j < kernel[1]; j++)
                for (ptrdiff_t k = 0; k < kernel[2]; k++)
                    found.push_back(((i * dilation[0]) * padded[1] + j * dilation[1]) * padded[2] + k * dilation[2]);
        return found;
    }
};

// Planes of x, each laid out with zeros around it (or after it: `before` may be null), and some after the last.
static std::vector<V> laid_out(
    const T* x, ptrdiff_t planes, const ptrdiff_t* size, const ptrdiff_t* before, const Shape& s, int threads,
    Share share
) {
    const ptrdiff_t volume = s.volume(), rows = s.padded[1], row = s.padded[2];
    std::vector<V> memory(planes * volume / WIDTH + COLUMNS);
    T* to = (T*)memory.data() + (before ? (before[0] * rows + before[1]) * row + before[2] : 0);
    parallel(planes, threads, share, [=](ptrdiff_t plane) {
        for (ptrdiff_t i = 0; i < size[0]; i++)
            for (ptrdiff_t j = 0; j < size[1]; j++)
                memcpy(to + plane * volume + (i * rows + j) * row,
                       x + ((plane * size[0] + i) * size[1] + j) * size[2], size[2] * sizeof(T));
    });
    return memory;
}

extern "C" void convolve(
    const T* x, const T* w, const T* bias, T* out, const Shape* shape, int threads, Share share
) {
    const Shape s = *shape;
    const std::vector<ptrdiff_t> offsets = s.offsets();
    const ptrdiff_t all = s.groups * s.channels, volume = s.volume(), count = s.count(), *offset = offsets.data();
    const std::vector<V> memory = laid_out(x, s.n * all, s.size, s.before, s, threads, share);
    const T* padded = (const T*)memory.data();
    const ptrdiff_t tiles = (s.outputs + ROWS - 1) / ROWS, width = (s.length() + STEP - 1) / STEP * STEP;
    parallel(s.n * s.groups * tiles, threads, share, [=, &s](ptrdiff_t task) {
        const ptrdiff_t sample = task / (s.groups * tiles), group = task / tiles % s.groups, first = task % tiles * ROWS;
        const ptrdiff_t rows = lesser(ptrdiff_t(ROWS), s.outputs - first), output = group * s.outputs + first;
        const T* from = padded + (sample * all + group * s.channels) * volume;
        std::vector<T> sums(rows * width);
        for (ptrdiff_t r = 0; r < rows;) {
            const Tile tile = tile_of(rows - r);
            const ptrdiff_t w_row = s.channels * count;
            T* to = sums.data() + r * width;
            for (ptrdiff_t c = 0; c < s.channels; c += CHANNELS)
                for (ptrdiff_t l = 0; l < s.length(); l += STEP)
                    tile.run(from + c * volume + l, w + (output + r) * w_row + c * count, w_row, to + l, width,
                             lesser(CHANNELS, s.channels - c), volume, offset, count);
            r += tile.rows;
        }
        for (ptrdiff_t r = 0; r < rows; r++) {
            const T shift = bias ? bias[output + r] : T(0);
            T* to = out + (sample * s.groups * s.outputs + output + r) * s.positions();
            for (ptrdiff_t i = 0; i < s.out[0]; i++)
                for (ptrdiff_t j = 0; j < s.out[1]; j++, to += s.out[2]) {
                    const T* row = sums.data() + r * width + (i * s.padded[1] + j) * s.padded[2];
                    #pragma omp simd
                    for (ptrdiff_t k = 0; k < s.out[2]; k++) to[k] = row[k] + shift;
                }
        }
    });
}

struct Sums {
    V at[ROWS][COLUMNS];
};

// sums[r][e] += the sum over l of g[r, l] x[l + offset[e]] for `rows` rows and `columns` elements of the kernel.
template <int rows, int columns> static void correlate(
    const T* g, const T* x, ptrdiff_t length, ptrdiff_t volume, const ptrdiff_t* offset, V (*sums)[COLUMNS]
) {
    V total[rows][columns];
    #pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        #pragma GCC unroll 8
        for (int j = 0; j < columns; j++) total[r][j] = sums[r][j];
    for (ptrdiff_t l = 0; l < length; l += WIDTH) {
        V seen[columns];
        #pragma GCC unroll 8
        for (int j = 0; j < columns; j++) seen[j] = load(x + l + offset[j]);
        #pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const V given = load(g + r * volume + l);
            #pragma GCC unroll 8
            for (int j = 0; j < columns; j++) total[r][j] += given * seen[j];
        }
    }
    #pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        #pragma GCC unroll 8
        for (int j = 0; j < columns; j++) sums[r][j] = total[r][j];
}

extern "C" void convolve_weight(const T* x, const T* g, T* w_grad, const Shape* shape, int threads, Share share) {
    const Shape s = *shape;
    const std::vector<ptrdiff_t> offsets = s.offsets();
    const ptrdiff_t volume = s.volume(), count = s.count(), *offset = offsets.data();
    const ptrdiff_t all = s.groups * s.channels, outputs = s.groups * s.outputs;
    const ptrdiff_t tiles = (s.outputs + ROWS - 1) / ROWS, some = lesser(ptrdiff_t(8), s.channels);
    const ptrdiff_t blocks = (s.channels + some - 1) / some;
    const std::vector<V> x_memory = laid_out(x, s.n * all, s.size, s.before, s, threads, share);
    const std::vector<V> g_memory = laid_out(g, s.n * outputs, s.out, nullptr, s, threads, share);
    const T *x_planes = (const T*)x_memory.data(), *g_planes = (const T*)g_memory.data();
    // A task has ROWS outputs and `some` channels; `sums` are its gradients, at c * count + e.
    parallel(s.groups * tiles * blocks, threads, share, [=, &s](ptrdiff_t task) {
        const ptrdiff_t group = task / (tiles * blocks), first = task / blocks % tiles * ROWS;
        const ptrdiff_t c0 = task % blocks * some, channels = lesser(some, s.channels - c0);
        const ptrdiff_t rows = lesser(ptrdiff_t(ROWS), s.outputs - first), output = group * s.outputs + first;
        std::vector<Sums> sums(channels * count);
        for (ptrdiff_t sample = 0; sample < s.n; sample++)
            for (ptrdiff_t l = 0; l < s.length(); l += PLACES) {
                const T* given = g_planes + (sample * outputs + output) * volume + l;
                const ptrdiff_t length = lesser(PLACES, s.length() - l);
                for (ptrdiff_t c = 0; c < channels; c++) {
                    const T* seen = x_planes + (sample * all + group * s.channels + c0 + c) * volume + l;
                    for (ptrdiff_t e = 0; e < count;) {
                        const int columns = count - e >= COLUMNS ? COLUMNS : 1;
                        auto run = rows < ROWS ? (columns == 1 ? correlate<1, 1> : correlate<1, COLUMNS>)
                                               : (columns == 1 ? correlate<ROWS, 1> : correlate<ROWS, COLUMNS>);
                        for (ptrdiff_t r = 0; r < (rows < ROWS ? rows : 1); r++)
                            run(given + r * volume, seen, length, volume, offset + e,
                                sums[c * count + e].at + r);
                        e += columns;
                    }
                }
            }
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t c = 0; c < channels; c++)
                for (ptrdiff_t e = 0; e < count; e++) {
                    const ptrdiff_t column = e < count / COLUMNS * COLUMNS ? e % COLUMNS : 0;
                    const V lanes = sums[c * count + e - column].at[r][column];
                    double total = 0;
                    for (ptrdiff_t lane = 0; lane < WIDTH; lane++) total += lanes[lane];
                    w_grad[((output + r) * s.channels + c0 + c) * count + e] = T(total);
                }
    });
}
