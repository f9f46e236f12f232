/* Weighted sums of rows, or of columns, of planes in double precision: what `interpolate` of PyTorch does when it
 * resizes with antialiasing, in the same order, so that every bit is the same. Its compiler has fused the multiplication
 * of the last term with the addition, and no other; `resize.py` uses these functions only where the bits agree.
 *
 * out[p][r][x] = sum over t of weights[r][t] * in[p][at[r][t]][x], and the same for columns.
 */

#define LANES 32

static void sums(const double *in, long step, const long *at, const double *weights, long taps, double *out) {
    double sum[LANES];
    for (int l = 0; l < LANES; l++) sum[l] = weights[0] * in[at[0] * step + l];
    for (long t = 1; t < taps - 1; t++)
        for (int l = 0; l < LANES; l++) sum[l] = sum[l] + weights[t] * in[at[t] * step + l];
    const double weight = weights[taps - 1], *last = in + at[taps - 1] * step;
    for (int l = 0; l < LANES; l++) out[l] = __builtin_fma(weight, last[l], sum[l]);
}

/* Takes LANES columns at a time, and through room for (height + 1) * LANES doubles where fewer are left. */
void resize_rows(const double *in, long planes, long height, long width, long rows, const long *at,
                 const double *weights, long taps, double *room, double *out) {
    double *line = room + height * LANES;
    for (long p = 0; p < planes; p++, in += height * width, out += rows * width) {
        const long whole = width - width % LANES, left = width - whole;
        for (long r = 0; r < rows; r++)
            for (long x = 0; x < whole; x += LANES)
                sums(in + x, width, at + r * taps, weights + r * taps, taps, out + r * width + x);
        if (left == 0) continue;
        for (long y = 0; y < height; y++)
            for (long l = 0; l < LANES; l++) room[y * LANES + l] = l < left ? in[y * width + whole + l] : 0;
        for (long r = 0; r < rows; r++) {
            sums(room, LANES, at + r * taps, weights + r * taps, taps, line);
            for (long l = 0; l < left; l++) out[r * width + whole + l] = line[l];
        }
    }
}

/* Takes LANES rows at a time, turned so that they lie side by side in room for (width + 1) * LANES doubles. */
void resize_columns(const double *in, long height, long width, long columns, const long *at, const double *weights,
                    long taps, double *room, double *out) {
    double *line = room + width * LANES;
    for (long top = 0; top < height; top += LANES) {
        const long left = height - top < LANES ? height - top : LANES;
        for (long from = 0; from < width; from += 8) { /* little by little: a whole row would leave the cache */
            const long to = from + 8 < width ? from + 8 : width;
            for (long l = 0; l < LANES; l++)
                for (long x = from; x < to; x++) room[x * LANES + l] = l < left ? in[(top + l) * width + x] : 0;
        }
        for (long c = 0; c < columns; c++) {
            sums(room, LANES, at + c * taps, weights + c * taps, taps, line);
            for (long l = 0; l < left; l++) out[(top + l) * columns + c] = line[l];
        }
    }
}
