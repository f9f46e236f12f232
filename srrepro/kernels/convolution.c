/* Convolutions of small networks on one processor core, in float32. Images are [rows][columns][channels]. (Over 300
 * lines: the two algorithms share the matrix product, and a network uses both.)
 *
 * Everything is one product of small matrices, held in registers (`multiply`), and two ways to walk through memory:
 * `convolve` does as the definition says, without padding; `winograd` takes 64 products for 6x6 outputs of a 3x3 kernel,
 * where the definition takes 324, and for 4x4 outputs of a 5x5 kernel instead of 400 (Lavin and Gray, "Fast Algorithms
 * for Convolutional Neural Networks", arXiv 1509.09308). Each has its gradient by the weights; the gradient by the input
 * is a convolution too, with the filters turned. Last, `chain_squares` takes a whole network forth and back image by
 * image, so that what one layer leaves is still in the cache when the next one takes it.
 */

#include <stdint.h>
#include <string.h>

typedef int64_t size; /* not long, which has 32 bits on Windows: the planes of one image may be more bytes */

#if defined(__AVX512F__)
#define LANES 16
#define REGISTERS 24 /* for sums, of 32 */
#elif defined(__AVX2__)
#define LANES 8
#define REGISTERS 12 /* of 16 */
#else
#define LANES 4
#define REGISTERS 24 /* NEON has 32 */
#endif
#define WIDEST (REGISTERS == 12 ? 2 : 4) /* vectors of one row of sums */
#define HIGHEST 12
#define MOST_PLANES 1024

#define NEAR 24576 /* floats that are read again and again: a tenth of a usual second-level cache */

static size smaller(size a, size b) { return a < b ? a : b; }
static size larger(size a, size b) { return a > b ? a : b; }

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define LOAD(p) (*(const vec *)(p))
#define STORE(p, v) (*(vec *)(p) = (v))

static inline vec positive(vec v) { return (vec)((v > 0) & (lanes)v); }

/* sums[r][:] = start[r * start_row] + sum over o, i of a[o * a_outer + i * a_inner + r * a_row] * b[o * b_outer + i * b_inner],
 * then zero for less than zero if `rectify` */
typedef struct {
    size outer, inner, a_outer, a_inner, a_row, b_outer, b_inner, start_row, sums_row, rectify;
} walk;

typedef void product(const walk *, const float *a, const float *b, const float *start, float *sums);

#define PRODUCT(ROWS, WIDTH)                                                                                           \
    static void product_##ROWS##_##WIDTH(const walk *g, const float *a, const float *b, const float *start,            \
                                         float *sums) {                                                                \
        vec sum[ROWS][WIDTH];                                                                                          \
        _Pragma("GCC unroll 12") for (int r = 0; r < ROWS; r++)                                                        \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++)                                                    \
                sum[r][v] = LOAD(start + r * g->start_row + v * LANES);                                                \
        const size inner = g->inner, a_inner = g->a_inner, a_row = g->a_row, b_inner = g->b_inner;                     \
        for (size o = 0; o < g->outer; o++) {                                                                          \
            const float *x = a + o * g->a_outer, *y = b + o * g->b_outer;                                              \
            for (size i = 0; i < inner; i++, x += a_inner, y += b_inner) {                                             \
                vec factor[WIDTH];                                                                                     \
                _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) factor[v] = LOAD(y + v * LANES);               \
                _Pragma("GCC unroll 12") for (int r = 0; r < ROWS; r++)                                                \
                    _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) sum[r][v] += x[r * a_row] * factor[v];     \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 12") for (int r = 0; r < ROWS; r++)                                                        \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++)                                                    \
                STORE(sums + r * g->sums_row + v * LANES, g->rectify ? positive(sum[r][v]) : sum[r][v]);               \
    }
#define ROWS_1_TO_6(W) PRODUCT(1, W) PRODUCT(2, W) PRODUCT(3, W) PRODUCT(4, W) PRODUCT(5, W) PRODUCT(6, W)
#define ROWS_7_TO_12(W) PRODUCT(7, W) PRODUCT(8, W) PRODUCT(9, W) PRODUCT(10, W) PRODUCT(11, W) PRODUCT(12, W)
#define NAMES_1_TO_6(W) 0, product_1_##W, product_2_##W, product_3_##W, product_4_##W, product_5_##W, product_6_##W
#define NAMES_7_TO_12(W) product_7_##W, product_8_##W, product_9_##W, product_10_##W, product_11_##W, product_12_##W
ROWS_1_TO_6(1) ROWS_7_TO_12(1) ROWS_1_TO_6(2) ROWS_7_TO_12(2) ROWS_1_TO_6(3) ROWS_1_TO_6(4)
static product *const PRODUCTS[5][HIGHEST + 1] = {
    {0},
    {NAMES_1_TO_6(1), NAMES_7_TO_12(1)},
    {NAMES_1_TO_6(2), NAMES_7_TO_12(2)},
    {NAMES_1_TO_6(3)},
    {NAMES_1_TO_6(4)},
};

/* The product for any number of rows and of columns (a multiple of LANES), in blocks of nearly equal size. */
static void multiply(const walk *g, size rows, size columns, const float *a, const float *b, const float *start,
                     float *sums) {
    for (size column = 0, width; column < columns; column += width * LANES) {
        width = (columns - column) / LANES < WIDEST ? (columns - column) / LANES : WIDEST;
        const size highest = width > 2 ? 6 : REGISTERS / width < HIGHEST ? REGISTERS / width : HIGHEST;
        for (size row = 0, blocks = (rows + highest - 1) / highest; blocks > 0; blocks--) {
            const size height = (rows - row + blocks - 1) / blocks;
            PRODUCTS[width][height](g, a + row * g->a_row, b + column, start + row * g->start_row + column,
                                    sums + row * g->sums_row + column);
            row += height;
        }
    }
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

static inline float total(vec v) {
    const four *parts = (const four *)&v;
    four sum = parts[0];
    for (int i = 1; i < LANES / 4; i++) sum += parts[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* `columns` values of one filter: every vector of planes that is loaded serves all the pixels that it is a neighbour of. */
#define SPAN 8
#define TO_ONE(KERNEL)                                                                                                 \
    static void to_one_##KERNEL(const float *in, size in_row, size columns, size planes, const float *weights,         \
                                float bias, size rectify, float *out) {                                                \
        for (size x = 0; x < columns; x += SPAN) {                                                                     \
            const size first = x + SPAN < columns ? x : columns - SPAN; /* the last span begins earlier */             \
            vec sum[SPAN] = {{0}};                                                                                     \
            for (size i = 0; i < KERNEL; i++)                                                                          \
                for (size c = 0; c < planes; c += LANES) {                                                             \
                    const float *a = in + i * in_row + first * planes + c, *b = weights + i * KERNEL * planes + c;     \
                    vec factor[KERNEL];                                                                                \
                    _Pragma("GCC unroll 8") for (int j = 0; j < KERNEL; j++) factor[j] = LOAD(b + j * planes);         \
                    _Pragma("GCC unroll 16") for (int p = 0; p < SPAN + KERNEL - 1; p++) {                             \
                        const vec pixel = LOAD(a + p * planes);                                                        \
                        _Pragma("GCC unroll 8") for (int j = 0; j < KERNEL; j++)                                       \
                            if (p >= j && p - j < SPAN) sum[p - j] += pixel * factor[j];                               \
                    }                                                                                                  \
                }                                                                                                      \
            _Pragma("GCC unroll 8") for (int p = 0; p < SPAN; p++) {                                                   \
                const float value = bias + total(sum[p]);                                                              \
                out[first + p] = rectify && value < 0 ? 0 : value;                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }
TO_ONE(3) TO_ONE(5)

/* One row of `convolve`, from the first of the rows that it looks at, which are `in_row` apart. */
static void convolve_row(const float *in, size in_row, size columns, size planes, const float *weights,
                         const float *bias, size kernel, size filters, size rectify, float *out) {
    const size length = kernel * planes;
    if (filters > 1) {
        const walk g = {kernel, length, in_row, 1, planes, length * filters, filters, 0, filters, rectify};
        multiply(&g, columns, filters, in, weights, bias, out);
        return;
    }
    if (columns >= SPAN && (kernel == 3 || kernel == 5)) {
        (kernel == 3 ? to_one_3 : to_one_5)(in, in_row, columns, planes, weights, bias[0], rectify, out);
        return;
    }
    for (size x = 0; x < columns; x++, in += planes) {
        vec even = {0}, odd = {0};
        for (size i = 0; i < kernel; i++) {
            const float *a = in + i * in_row, *b = weights + i * length;
            size j = 0;
            for (; j + LANES < length; j += 2 * LANES) {
                even += LOAD(a + j) * LOAD(b + j);
                odd += LOAD(a + j + LANES) * LOAD(b + j + LANES);
            }
            if (j < length) even += LOAD(a + j) * LOAD(b + j);
        }
        const float value = bias[0] + total(even + odd);
        out[x] = rectify && value < 0 ? 0 : value;
    }
}

/* out[y][x][:] = bias + sum over the kernel of in[y + i][x + j][:] * weights[i][j][:][:], then zero for less than zero if
 * `rectify`; for the rows from `first` to before `last` of all images, counted on: what one thread does. */
void convolve(const float *in, size first, size last, size height, size width, size planes, const float *weights,
              const float *bias, size kernel, size filters, size rectify, float *out) {
    const size rows = height - kernel + 1, columns = width - kernel + 1;
    if (kernel == 1) { /* all pixels are one row */
        convolve_row(in + first * width * planes, 0, (last - first) * width, planes, weights, bias, 1, filters, rectify,
                     out + first * width * filters);
        return;
    }
    for (size row = first; row < last; row++)
        convolve_row(in + (row / rows * height + row % rows) * width * planes, width * planes, columns, planes, weights,
                     bias, kernel, filters, rectify, out + row * columns * filters);
}

/* weights[i][j][:][:] += sum over y, x of in[y + i][x + j][:] * out[y][x][:] */
void convolve_weights(const float *in, size first, size last, size height, size width, size planes, const float *out,
                      size kernel, size filters, float *weights) {
    const size length = kernel * planes, rows = height - kernel + 1, columns = width - kernel + 1;
    const size most = larger(1, NEAR / (width * planes + columns * filters));
    for (size row = first, some; row < last; row += some) {
        some = smaller(most, smaller(last - row, rows - row % rows)); /* of one image */
        const walk g = {some, columns, width * planes, planes, 1, columns * filters, filters, filters, filters, 0};
        for (size i = 0; i < kernel; i++) {
            float *sums = weights + i * length * filters;
            multiply(&g, length, filters, in + (row / rows * height + row % rows + i) * width * planes,
                     out + row * columns * filters, sums, sums);
        }
    }
}

/* The gradient before a rectifier that gave `out` (null: there was none), and bias += its sum over the pixels. */
#define RECTIFY_BACK(WIDTH)                                                                                            \
    static void rectify_back_##WIDTH(const float *gradient, const float *out, size pixels, size filters,               \
                                     float *before, float *bias) {                                                     \
        vec sum[WIDTH] = {{0}};                                                                                        \
        for (size i = 0; i < pixels * filters; i += filters)                                                           \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) {                                                  \
                vec value = LOAD(gradient + i + v * LANES);                                                            \
                if (out) {                                                                                             \
                    value = (vec)((LOAD(out + i + v * LANES) > 0) & (lanes)value);                                     \
                    STORE(before + i + v * LANES, value);                                                              \
                }                                                                                                      \
                sum[v] += value;                                                                                       \
            }                                                                                                          \
        for (int v = 0; v < WIDTH; v++) STORE(bias + v * LANES, LOAD(bias + v * LANES) + sum[v]);                      \
    }
RECTIFY_BACK(1) RECTIFY_BACK(2) RECTIFY_BACK(4)
void rectify_back(const float *gradient, const float *out, size pixels, size filters, float *before, float *bias) {
    size c = 0;
    for (; c + 4 * LANES <= filters; c += 4 * LANES)
        rectify_back_4(gradient + c, out ? out + c : out, pixels, filters, before + c, bias + c);
    for (; c + 2 * LANES <= filters; c += 2 * LANES)
        rectify_back_2(gradient + c, out ? out + c : out, pixels, filters, before + c, bias + c);
    for (; c + LANES <= filters; c += LANES)
        rectify_back_1(gradient + c, out ? out + c : out, pixels, filters, before + c, bias + c);
    if (filters == 1) {
        double sum = 0;
        for (size i = 0; i < pixels; i++) {
            const float value = out && out[i] <= 0 ? 0 : gradient[i];
            if (out) before[i] = value;
            sum += value;
        }
        bias[0] += sum;
    }
}

/* ---- Winograd's F(6x6, 3x3) and F(4x4, 5x5): tiles of 8x8 pixels, at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity ---- */

#define REACH 8
#define POINTS 64
#define TILES 25 /* at most at a time: with 64 planes they take 0.8 MB of a second-level cache */
#define TILE(kernel) (REACH + 1 - (kernel))

/* B^T of that paper, for these points: 8 pixels to 8 points */
static inline void input_transform(const vec d[REACH], vec t[REACH]) {
    const vec a = d[2] + d[6] - 4.25f * d[4], b = d[1] + d[5] - 4.25f * d[3];
    const vec c = d[6] + 0.25f * d[2] - 1.25f * d[4], e = 0.5f * d[1] - 2.5f * d[3] + 2 * d[5];
    const vec f = d[6] + 4 * d[2] - 5 * d[4], g = 2 * d[1] - 2.5f * d[3] + 0.5f * d[5];
    t[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = f + g;
    t[6] = f - g;
    t[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
}

/* A: the values at the points of a polynomial of `count` coefficients */
static inline __attribute__((always_inline)) void evaluate(const vec *y, int count, vec m[REACH]) {
    static const float at[3] = {1, 2, 0.5f};
    m[0] = y[0];
    _Pragma("GCC unroll 3") for (int p = 0; p < 3; p++) {
        vec even = y[0], odd = at[p] * y[1];
        float power = at[p];
        _Pragma("GCC unroll 6") for (int i = 2; i < count; i++) {
            power *= at[p];
            if (i % 2) odd += power * y[i];
            else even += power * y[i];
        }
        m[2 * p + 1] = even + odd;
        m[2 * p + 2] = even - odd;
    }
    m[REACH - 1] = y[count - 1];
}

/* A^T: from the points to `count` outputs */
static inline __attribute__((always_inline)) void interpolate(const vec m[REACH], int count, vec *y) {
    const vec even[3] = {m[1] + m[2], m[3] + m[4], m[5] + m[6]}, odd[3] = {m[1] - m[2], m[3] - m[4], m[5] - m[6]};
    float two = 1, half = 1;
    _Pragma("GCC unroll 6") for (int i = 0; i < count; i++) {
        const vec *side = i % 2 ? odd : even;
        y[i] = side[0] + two * side[1] + half * side[2];
        two *= 2, half /= 2;
    }
    y[0] += m[0];
    y[count - 1] += m[REACH - 1];
}

/* G is A with rows scaled, which makes up for B; G^T, for the gradient, alike. */
static const float SCALES[REACH] = {1, -2.f / 9, -2.f / 9, 1.f / 90, 1.f / 90, 32.f / 45, 32.f / 45, 1};
static inline __attribute__((always_inline)) void filter_evaluate(const vec *g, int count, vec u[REACH]) {
    evaluate(g, count, u);
    _Pragma("GCC unroll 8") for (int p = 0; p < REACH; p++) u[p] *= SCALES[p];
}
static inline __attribute__((always_inline)) void filter_interpolate(const vec u[REACH], int count, vec *g) {
    vec scaled[REACH];
    _Pragma("GCC unroll 8") for (int p = 0; p < REACH; p++) scaled[p] = SCALES[p] * u[p];
    interpolate(scaled, count, g);
}

/* to = T from T^T, where T is a transform from N to M values, for every channel of a tile. */
#define TRANSFORM_TILE(NAME, TRANSFORM, N, M)                                                                          \
    static void NAME(const float *from, size row, size column, float *to, size to_row, size to_column,                 \
                     size channels) {                                                                                  \
        for (size c = 0; c < channels; c += LANES) {                                                                   \
            vec half[N][M];                                                                                            \
            _Pragma("GCC unroll 8") for (int j = 0; j < N; j++) {                                                      \
                vec values[N];                                                                                         \
                _Pragma("GCC unroll 8") for (int i = 0; i < N; i++)                                                    \
                    values[i] = LOAD(from + i * row + j * column + c);                                                 \
                TRANSFORM(values, half[j]);                                                                            \
            }                                                                                                          \
            _Pragma("GCC unroll 8") for (int i = 0; i < M; i++) {                                                      \
                vec values[N], result[M];                                                                              \
                _Pragma("GCC unroll 8") for (int j = 0; j < N; j++) values[j] = half[j][i];                            \
                TRANSFORM(values, result);                                                                             \
                _Pragma("GCC unroll 8") for (int j = 0; j < M; j++)                                                    \
                    STORE(to + i * to_row + j * to_column + c, result[j]);                                             \
            }                                                                                                          \
        }                                                                                                              \
    }
#define INTERPOLATE_6(m, y) interpolate(m, 6, y)
#define INTERPOLATE_4(m, y) interpolate(m, 4, y)
#define EVALUATE_6(y, m) evaluate(y, 6, m)
#define EVALUATE_4(y, m) evaluate(y, 4, m)
#define FILTER_EVALUATE_3(g, u) filter_evaluate(g, 3, u)
#define FILTER_EVALUATE_5(g, u) filter_evaluate(g, 5, u)
#define FILTER_INTERPOLATE_3(u, g) filter_interpolate(u, 3, g)
#define FILTER_INTERPOLATE_5(u, g) filter_interpolate(u, 5, g)
TRANSFORM_TILE(transform_input, input_transform, 8, 8)
TRANSFORM_TILE(transform_output_3, INTERPOLATE_6, 8, 6)
TRANSFORM_TILE(transform_output_5, INTERPOLATE_4, 8, 4)
TRANSFORM_TILE(transpose_output_3, EVALUATE_6, 6, 8)
TRANSFORM_TILE(transpose_output_5, EVALUATE_4, 4, 8)
TRANSFORM_TILE(transform_filters_3, FILTER_EVALUATE_3, 3, 8)
TRANSFORM_TILE(transform_filters_5, FILTER_EVALUATE_5, 5, 8)
TRANSFORM_TILE(transpose_filters_3, FILTER_INTERPOLATE_3, 8, 3)
TRANSFORM_TILE(transpose_filters_5, FILTER_INTERPOLATE_5, 8, 5)

/* filters [kernel][kernel][count] to [64][count], and back for gradients; count is planes times filters */
void winograd_filters(const float *weights, size kernel, size count, float *transformed) {
    (kernel == 3 ? transform_filters_3 : transform_filters_5)(weights, kernel * count, count, transformed,
                                                              REACH * count, count, count);
}
void winograd_filters_back(const float *transformed, size kernel, size count, float *weights) {
    (kernel == 3 ? transpose_filters_3 : transpose_filters_5)(transformed, REACH * count, count, weights,
                                                              kernel * count, count, count);
}

/* The tile's `side` x `side` pixels from (y, x) on, zero beyond the image; copied only where the image ends. */
static const float *pixels(const float *image, size height, size width, size channels, size y, size x, size side,
                           float *copy, size *row) {
    if (y >= 0 && x >= 0 && y + side <= height && x + side <= width) {
        *row = width * channels;
        return image + (y * width + x) * channels;
    }
    *row = side * channels;
    memset(copy, 0, sizeof(float) * side * side * channels);
    const size first = x < 0 ? -x : 0, last = smaller(side, width - x);
    for (size i = 0; i < side; i++)
        if (y + i >= 0 && y + i < height && first < last)
            memcpy(copy + (i * side + first) * channels, image + ((y + i) * width + x + first) * channels,
                   sizeof(float) * (last - first) * channels);
    return copy;
}

/* As `winograd`, into rows that are `out_row` apart. */
static void tiles(const float *in, size begin, size end, size height, size width, size planes, const float *transformed,
                  const float *bias, size kernel, size padding, size filters, size rectify, float *out, size out_row,
                  float *work) {
    const size rows = height + 2 * padding - kernel + 1, columns = width + 2 * padding - kernel + 1;
    const size side = TILE(kernel), down = (rows + side - 1) / side, across = (columns + side - 1) / side;
    const size from = TILES * planes | 16, to = TILES * filters | 16; /* 16: no two points on one line of the cache */
    float *values = work, *sums = values + POINTS * from, *tile = sums + POINTS * to;
    const walk g = {1, planes, 0, 1, planes, 0, filters, 0, filters, 0};
    static const float none[MOST_PLANES];
    const size parts = (end - begin + TILES - 1) / TILES; /* of nearly equal size */
    for (size part = 0, first = begin, here; part < parts; part++, first += here) {
        here = (end - first + parts - part - 1) / (parts - part);
        for (size t = 0; t < here; t++) {
            const size image = (first + t) / (down * across), place = (first + t) % (down * across);
            size row;
            const float *square = pixels(in + image * height * width * planes, height, width, planes,
                                         place / across * side - padding, place % across * side - padding, REACH, tile,
                                         &row);
            transform_input(square, row, planes, values + t * planes, REACH * from, from, planes);
        }
        for (size p = 0; p < POINTS; p++)
            multiply(&g, here, filters, values + p * from, transformed + p * planes * filters, none, sums + p * to);
        for (size t = 0; t < here; t++) {
            const size image = (first + t) / (down * across), place = (first + t) % (down * across);
            const size y = place / across * side, x = place % across * side;
            (kernel == 3 ? transform_output_3 : transform_output_5)(sums + t * filters, REACH * to, to, tile,
                                                                    side * filters, filters, filters);
            for (size i = 0; i < smaller(side, rows - y); i++) {
                float *pixel = out + (image * rows + y + i) * out_row + x * filters;
                for (size j = 0; j < smaller(side, columns - x); j++, pixel += filters)
                    for (size c = 0; c < filters; c += LANES) {
                        const vec value = LOAD(tile + (i * side + j) * filters + c) + LOAD(bias + c);
                        STORE(pixel + c, rectify ? positive(value) : value);
                    }
            }
        }
    }
}

/* out = bias + the convolution of in, with `padding` zeros around, rectified or not; for the tiles from `begin` to before
 * `end` of all images, counted on: what one thread does. `transformed` comes from winograd_filters; `work` has room for
 * winograd_room(planes, filters) floats. */
void winograd(const float *in, size begin, size end, size height, size width, size planes, const float *transformed,
              const float *bias, size kernel, size padding, size filters, size rectify, float *out, float *work) {
    tiles(in, begin, end, height, width, planes, transformed, bias, kernel, padding, filters, rectify, out,
          (width + 2 * padding - kernel + 1) * filters, work);
}

/* transformed += the gradient by the transformed filters */
void winograd_weights(const float *in, size begin, size end, size height, size width, size planes, const float *out,
                      size kernel, size padding, size filters, float *transformed, float *work) {
    const size rows = height + 2 * padding - kernel + 1, columns = width + 2 * padding - kernel + 1;
    const size side = TILE(kernel), down = (rows + side - 1) / side, across = (columns + side - 1) / side;
    const size from = TILES * planes | 16, to = TILES * filters | 16;
    float *values = work, *sums = values + POINTS * from, *tile = sums + POINTS * to;
    const size parts = (end - begin + TILES - 1) / TILES; /* of nearly equal size */
    for (size part = 0, first = begin, here; part < parts; part++, first += here) {
        here = (end - first + parts - part - 1) / (parts - part);
        for (size t = 0; t < here; t++) {
            const size image = (first + t) / (down * across), place = (first + t) % (down * across);
            const size y = place / across * side, x = place % across * side;
            size row;
            const float *square = pixels(in + image * height * width * planes, height, width, planes, y - padding,
                                         x - padding, REACH, tile, &row);
            transform_input(square, row, planes, values + t * planes, REACH * from, from, planes);
            square = pixels(out + image * rows * columns * filters, rows, columns, filters, y, x, side, tile, &row);
            (kernel == 3 ? transpose_output_3 : transpose_output_5)(square, row, filters, sums + t * filters,
                                                                    REACH * to, to, filters);
        }
        const walk g = {1, here, 0, planes, 1, 0, filters, filters, filters, 0};
        for (size p = 0; p < POINTS; p++) {
            float *gradient = transformed + p * planes * filters;
            multiply(&g, planes, filters, values + p * from, sums + p * to, gradient, gradient);
        }
    }
}

size winograd_room(size planes, size filters) {
    const size most = planes > filters ? planes : filters;
    return POINTS * (TILES * (planes + filters) + 32 + most);
}

/* ---- A network: one layer after another ---- */

typedef struct {
    size kernel, planes, filters, padding, rectify;
    const float *weights, *turned; /* for `convolve`, or transformed for `winograd`; turned: for the gradient by the input */
    const float *bias;
    float *for_weights, *for_bias; /* gradients, added to; alike, but of one filter turned and with its sides swapped */
} layer;

static size in_tiles(const layer *l) { return (l->kernel == 3 || l->kernel == 5) && l->planes > 1 && l->filters > 1; }

static size grown(const layer *l, size side) { return side + 2 * l->padding - l->kernel + 1; }

/* in with `border` zeros around it; itself where there is none */
static const float *bordered(const float *in, size height, size width, size planes, size border, float *copy) {
    if (border == 0) return in;
    const size wider = width + 2 * border;
    memset(copy, 0, sizeof(float) * (height + 2 * border) * wider * planes);
    for (size y = 0; y < height; y++)
        memcpy(copy + ((y + border) * wider + border) * planes, in + y * width * planes, sizeof(float) * width * planes);
    return copy;
}

/* What a chain needs beside its planes: an image with its border, two gradients of an image, winograd's own. */
typedef struct {
    size bordered, gradient, tiles;
} room;

static room room_of(const layer *layers, size count, size height, size width) {
    room r = {0, 0, 0};
    for (const layer *l = layers; l < layers + count; l++) {
        const size most = l->planes > l->filters ? l->planes : l->filters, wider = 2 * (l->kernel - 1);
        const size pixels = (height + wider) * (width + wider), tiles = winograd_room(l->planes, l->filters);
        if (r.bordered < pixels * most) r.bordered = pixels * most;
        if (in_tiles(l) && r.tiles < tiles) r.tiles = tiles;
        if (r.gradient < height * width * l->planes) r.gradient = height * width * l->planes;
        height = grown(l, height), width = grown(l, width);
        if (r.gradient < height * width * l->filters) r.gradient = height * width * l->filters;
    }
    return r;
}

size chain_room(const layer *layers, size count, size height, size width) {
    const room r = room_of(layers, count, height, width);
    return r.bordered + 3 * r.gradient + r.tiles;
}

/* planes[i]: what layer i makes of an image */
static void chain_forward(const layer *layers, size count, const float *in, size height, size width,
                          float *const *planes, float *work) {
    for (size i = 0; i < count; i++) {
        const layer *l = layers + i;
        const size rows = grown(l, height), columns = grown(l, width), side = TILE(l->kernel);
        if (in_tiles(l))
            winograd(in, 0, (rows + side - 1) / side * ((columns + side - 1) / side), height, width, l->planes,
                     l->weights, l->bias, l->kernel, l->padding, l->filters, l->rectify, planes[i], work);
        else
            convolve(bordered(in, height, width, l->planes, l->padding, work), 0, rows, height + 2 * l->padding,
                     width + 2 * l->padding, l->planes, l->weights, l->bias, l->kernel, l->filters, l->rectify,
                     planes[i]);
        in = planes[i], height = rows, width = columns;
    }
}

/* Gradients of all layers from `out`, that by the last one's output of `rows` and `columns`; `planes` is what chain_forward
 * left. */
static void chain_back(const layer *layers, size count, const float *in, size rows, size columns, float *const *planes,
                       const float *out, const room *r, float *work) {
    static const float none[MOST_PLANES];
    float *copy = work, *own = copy + r->bordered, *other = own + r->gradient, *tiles = other + r->gradient;
    for (size i = count - 1; i >= 0; i--) {
        const layer *l = layers + i;
        const size side = TILE(l->kernel), back = l->kernel - 1 - l->padding;
        const size h = rows - 2 * l->padding + l->kernel - 1, w = columns - 2 * l->padding + l->kernel - 1;
        const float *from = i ? planes[i - 1] : in;
        rectify_back(out, l->rectify ? planes[i] : 0, rows * columns, l->filters, own, l->for_bias);
        if (l->rectify) out = own;
        if (in_tiles(l))
            winograd_weights(from, 0, (rows + side - 1) / side * ((columns + side - 1) / side), h, w, l->planes, out,
                             l->kernel, l->padding, l->filters, l->for_weights, tiles);
        else if (l->filters == 1) /* the wide side last: the gradient's one plane is moved over the many */
            convolve_weights(bordered(out, rows, columns, 1, back, copy), 0, h, rows + 2 * back, columns + 2 * back, 1,
                             from, l->kernel, l->planes, l->for_weights);
        else
            convolve_weights(bordered(from, h, w, l->planes, l->padding, copy), 0, rows, h + 2 * l->padding,
                             w + 2 * l->padding, l->planes, out, l->kernel, l->filters, l->for_weights);
        if (i == 0) break;
        if (in_tiles(l))
            winograd(out, 0, (h + side - 1) / side * ((w + side - 1) / side), rows, columns, l->filters, l->turned, none,
                     l->kernel, back, l->planes, 0, other, tiles);
        else
            convolve(bordered(out, rows, columns, l->filters, back, copy), 0, h, rows + 2 * back, columns + 2 * back,
                     l->filters, l->turned, none, l->kernel, l->planes, 0, other);
        float *const swap = own;
        own = other, other = swap, out = own;
        rows = h, columns = w;
    }
}

/* The gradients of `factor` times the sum of squared errors, and that sum. The estimate is what the last layer makes of an
 * image, added to the image if `residual`; `high` is what it should be. */
double chain_squares(const layer *layers, size count, const float *in, const float *high, size images, size height,
                     size width, size residual, float factor, float *const *planes, float *work) {
    const room r = room_of(layers, count, height, width);
    size rows = height, columns = width;
    for (const layer *l = layers; l < layers + count; l++) rows = grown(l, rows), columns = grown(l, columns);
    const size pixels = rows * columns * layers[count - 1].filters;
    float *errors = work + r.bordered + 2 * r.gradient + r.tiles;
    double sum = 0;
    for (; images > 0; images--, in += height * width * layers->planes, high += pixels) {
        chain_forward(layers, count, in, height, width, planes, work);
        for (size i = 0; i < pixels; i++) {
            const float details = planes[count - 1][i], error = (residual ? in[i] + details : details) - high[i];
            sum += error * error;
            errors[i] = error * (2 * factor);
        }
        chain_back(layers, count, in, rows, columns, planes, errors, &r, work);
    }
    return sum;
}

/* ---- A network over one large image, band by band: what a layer leaves is read while it is in the cache ---- */

/* Where a layer is. Its output has the columns from `begin` to before `end` of the image, and `done` rows of it. Its input
 * lies in a buffer whose first row is `done - reach` of the image and whose first column is `begin - reach`; of it,
 * `fed` rows of the image are known, and those that are wanted again are `kept` from band to band. */
typedef struct {
    size begin, end, done, fed, reach, wide;
    float *kept;
} place;


static void set_places(const layer *layers, size count, size width, size first, size last, place *places) {
    for (size i = count - 1; i >= 0; i--) {
        const size reach = layers[i].kernel / 2;
        places[i] = (place){first, last, 0, 0, reach, (last - first + 2 * reach) * layers[i].planes, 0};
        first = larger(0, first - reach), last = smaller(width, last + reach);
    }
}

/* Floats of a buffer, of what is kept, and of the tiles. */
static room bands_of(const layer *layers, size count, const place *places, size band) {
    room r = {0, 0, 0};
    for (size i = 0; i < count; i++) {
        r.bordered = larger(r.bordered, (band + 3 * places[i].reach) * places[i].wide);
        r.gradient += 2 * places[i].reach * places[i].wide;
        if (in_tiles(layers + i)) r.tiles = larger(r.tiles, winograd_room(layers[i].planes, layers[i].filters));
    }
    return r;
}

size bands_room(const layer *layers, size count, size width, size first, size last, size band) {
    place places[count];
    set_places(layers, count, width, first, last, places);
    const room r = bands_of(layers, count, places, band);
    return 2 * r.bordered + r.gradient + r.tiles;
}

/* Row `y` of the image in a layer's buffer. */
static float *row_of(const place *p, float *buffer, size y) { return buffer + (y - p->done + p->reach) * p->wide; }

static size first_kept(const place *p) { return larger(0, p->done - p->reach); }

/* Beyond the image's edges: zeros, or the edge `repeated`; of the rows from `old` on, and above and below them. */
static void fill_edges(const place *p, size planes, size old, size height, size width, size repeated, float *buffer) {
    const size left = larger(0, p->reach - p->begin), right = larger(0, p->end + p->reach - width);
    const size bytes = sizeof(float) * planes, pixels = p->wide / planes;
    for (size y = old; y < p->fed; y++) {
        float *row = row_of(p, buffer, y);
        for (size x = 0; x < left; x++)
            repeated ? memcpy(row + x * planes, row + left * planes, bytes) : memset(row + x * planes, 0, bytes);
        for (size x = pixels - right; x < pixels; x++)
            repeated ? memcpy(row + x * planes, row + (pixels - right - 1) * planes, bytes)
                     : memset(row + x * planes, 0, bytes);
    }
    for (size y = p->done - p->reach; y < 0; y++)
        repeated ? memcpy(row_of(p, buffer, y), row_of(p, buffer, 0), sizeof(float) * p->wide)
                 : memset(row_of(p, buffer, y), 0, sizeof(float) * p->wide);
    for (size y = height; p->fed == height && y < height + p->reach; y++)
        repeated ? memcpy(row_of(p, buffer, y), row_of(p, buffer, height - 1), sizeof(float) * p->wide)
                 : memset(row_of(p, buffer, y), 0, sizeof(float) * p->wide);
}

/* out[y][x] for the columns from `first` to before `last`: what one thread does. Image and output are of one plane and one
 * size; every layer is given its input with a border, zeros or the edge `repeated`, so that it keeps the size. A layer is
 * taken `band` rows further at a time, and waits for the rows below that it looks at; so nothing is computed twice but the
 * columns where threads meet. `work` has bands_room floats. */
void chain_bands(const layer *layers, size count, const float *in, size height, size width, size first, size last,
                 size band, size repeated, float *out, float *work) {
    place places[count];
    set_places(layers, count, width, first, last, places);
    const room r = bands_of(layers, count, places, band);
    float *buffers[2] = {work, work + r.bordered}, *kept = work + 2 * r.bordered, *room = kept + r.gradient;
    for (size i = 0; i < count; i++) {
        places[i].kept = kept;
        kept += 2 * places[i].reach * places[i].wide;
    }
    while (places[count - 1].done < height) {
        const size from = larger(0, places->begin - places->reach), to = smaller(width, places->end + places->reach);
        const size border = from - places->begin + places->reach;
        size old = places->fed;
        memcpy(row_of(places, buffers[0], first_kept(places)), places->kept,
               sizeof(float) * (old - first_kept(places)) * places->wide);
        places->fed = smaller(height, old + band);
        for (size y = old; y < places->fed; y++)
            memcpy(row_of(places, buffers[0], y) + border, in + y * width + from, sizeof(float) * (to - from));
        for (size i = 0; i < count; i++) {
            const layer *l = layers + i;
            place *p = places + i, *next = p + 1;
            float *buffer = buffers[i % 2], *into = out + p->done * width + first;
            const size columns = p->end - p->begin, ready = p->fed == height ? height : p->fed - p->reach;
            const size rows = larger(0, smaller(band, ready - p->done));
            size out_row = width;
            if (i + 1 < count) {
                out_row = next->wide;
                memcpy(row_of(next, buffers[(i + 1) % 2], first_kept(next)), next->kept,
                       sizeof(float) * (next->fed - first_kept(next)) * next->wide);
                into = row_of(next, buffers[(i + 1) % 2], next->fed) + (p->begin - next->begin + next->reach) * l->filters;
            }
            fill_edges(p, l->planes, old, height, width, repeated, buffer);
            if (in_tiles(l)) {
                const size side = TILE(l->kernel);
                tiles(buffer, 0, (rows + side - 1) / side * ((columns + side - 1) / side), rows + 2 * p->reach,
                      columns + 2 * p->reach, l->planes, l->weights, l->bias, l->kernel, 0, l->filters, l->rectify, into,
                      out_row, room);
            } else
                for (size y = 0; y < rows; y++)
                    convolve_row(buffer + y * p->wide, p->wide, columns, l->planes, l->weights, l->bias, l->kernel,
                                 l->filters, l->rectify, into + y * out_row);
            const size kept_from = larger(0, p->done + rows - p->reach);
            memcpy(p->kept, row_of(p, buffer, kept_from), sizeof(float) * (p->fed - kept_from) * p->wide);
            p->done += rows;
            if (i + 1 < count) {
                old = next->fed;
                next->fed += rows;
            }
        }
    }
}
