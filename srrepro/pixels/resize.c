/* Weighted sums of the rows, then of the columns, of planes in double precision: what `interpolate` of PyTorch does when
 * it resizes with antialiasing, in the same order, so that every bit is the same. Its compiler has fused the
 * multiplication of the last term with the addition, and no other; `resize.py` uses this only where the bits agree.
 *
 * between[p][r][x] = sum over t of weights[r][t] * in[p][at_rows[r][t]][x], and `out` from that, the same for columns.
 * A band of LANES rows goes through both passes while it is in the cache; `rounded` makes whole numbers from 0 to 255
 * after either.
 */

#include <stdint.h>

typedef int64_t size; /* not long, which has 32 bits on Windows, where PyTorch's whole numbers have 64, too */

#define LANES 32
#define BLOCK 8 /* doubles of a cache line */

static inline __attribute__((always_inline)) void sums_of(const double *in, size step, const size *at,
                                                          const double *weights, size taps, size lanes, double *out) {
    double sum[LANES];
    for (size l = 0; l < lanes; l++) sum[l] = weights[0] * in[at[0] * step + l];
    for (size t = 1; t < taps - 1; t++)
        for (size l = 0; l < lanes; l++) sum[l] = sum[l] + weights[t] * in[at[t] * step + l];
    const double weight = weights[taps - 1], *last = in + at[taps - 1] * step;
    for (size l = 0; l < lanes; l++) out[l] = __builtin_fma(weight, last[l], sum[l]);
}

static void sums(const double *in, size step, const size *at, const double *weights, size taps, size lanes,
                 size rounded, double *out) {
    if (lanes == LANES)
        sums_of(in, step, at, weights, taps, LANES, out); /* all in registers */
    else
        sums_of(in, step, at, weights, taps, lanes, out);
    if (!rounded) return;
    for (size l = 0; l < lanes; l++) {
        const double half_up = __builtin_floor(out[l] + 0.5);
        out[l] = half_up < 0 ? 0 : half_up > 255 ? 255 : half_up;
    }
}

static size least(size a, size b) { return a < b ? a : b; }

/* `turned` is room for width * LANES doubles: a band with its rows side by side. */
void resize(const double *in, size planes, size height, size width, size rows, size columns, const size *at_rows,
            const size *at_columns, const double *weights, size taps, size rounded, double *turned, double *out) {
    double some[LANES * LANES];
    for (size p = 0; p < planes; p++, in += height * width, out += rows * columns)
        for (size top = 0; top < rows; top += LANES) {
            const size band = least(LANES, rows - top);
            for (size left = 0; left < width; left += LANES) {
                const size lanes = least(LANES, width - left);
                for (size r = 0; r < band; r++) {
                    const size t = (top + r) * taps;
                    sums(in + left, width, at_rows + t, weights + t, taps, lanes, rounded, some + r * LANES);
                }
                for (size l = 0; l < lanes; l++)
                    for (size r = 0; r < band; r++) turned[(left + l) * LANES + r] = some[r * LANES + l];
            }
            for (size left = 0; left < columns; left += BLOCK) {
                const size block = least(BLOCK, columns - left);
                for (size c = 0; c < block; c++) {
                    const size t = (left + c) * taps;
                    sums(turned, LANES, at_columns + t, weights + t, taps, band, rounded, some + c * LANES);
                }
                for (size r = 0; r < band; r++)
                    for (size c = 0; c < block; c++) out[(top + r) * columns + left + c] = some[c * LANES + r];
            }
        }
}
