/* Rows of at least LANES classes, class-index targets, no smoothing, no softcap: a row's passes (maximum; exponentials and
 * their sum; scaling) run while it is in cache, LANES columns at a time.  The passes of three batches of rows go side by
 * side, and what they will need next is prefetched: otherwise the processor would compute without loading, then wait for
 * memory without computing (8192 x 1000 floats, two threads, Zen 4: 3.9 ms one after the other, 2.6 so).
 *
 * A row that is not a multiple of LANES ends with one step over its last LANES columns, some of them for the
 * second time: they are loaded before the pass writes anything, so that it may work in place. */
#ifndef NLLK_ROWS_WIDE_H
#define NLLK_ROWS_WIDE_H

#include "rows_index.h"

#define CHUNK (8 * LANES) /* columns summed in REAL before the sum goes to a wider accumulator */
#define STAGE 4096        /* exponentials kept in a block's own buffer; longer rows keep them in the output */

/* The maxima of LANES interleaved parts of a row. */
static void row_max(const REAL *z, ptrdiff_t n, REAL *restrict top)
{
    REAL m[LANES];
    for (int j = 0; j < LANES; j++)
        m[j] = z[n - LANES + j];
    for (ptrdiff_t i = 0; i + LANES <= n; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            m[j] = max_(z[i + j], m[j]);
    }
    for (int j = 0; j < LANES; j++)
        top[j] = m[j];
}

/* out = first * second * e; `out` may be `e`. */
NLLK_INLINE void row_scale(const REAL *e, REAL *out, ptrdiff_t n, REAL first, REAL second)
{
    REAL tail[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++)
        tail[j] = first * e[n - LANES + j] * second;
    for (ptrdiff_t i = 0; i + LANES <= n; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            out[i + j] = first * e[i + j] * second;
    }
    for (int j = 0; j < LANES; j++)
        out[n - LANES + j] = tail[j];
}

/* grad = factor * e for lifted e, in one multiplication unless factor / 2^ROW_LIFT is too small for it. */
static void row_grad(const REAL *e, REAL *grad, ptrdiff_t n, REAL factor)
{
    if (fabs_(factor) > REAL_MIN * ROW_LIFT_2)
        row_scale(e, grad, n, factor * ROW_UNLIFT_2, 1);
    else
        row_scale(e, grad, n, ROW_UNLIFT_2, factor);
}

/* Ask for the LANES columns at x to be brought into cache; any address will do. */
#define PREFETCH(x, to_write)                                                                                          \
    do {                                                                                                               \
        __builtin_prefetch((x), to_write, 2);                                                                          \
        if (sizeof(REAL) * LANES > 64)                                                                                 \
            __builtin_prefetch((x) + LANES / 2, to_write, 2);                                                          \
    } while (0)

/* The middle pass of one row and, if `all`, the first of another and the last of a third:
 *   e = exp(z - top), lifted, into `e` if `keep`, and LANES sums of it without column t;
 *   the maxima of `next`;   out = factor * before.
 * Meanwhile the rows at `read` and `write` are fetched. */
NLLK_INLINE void row_pass(int keep, int all, const REAL *z, REAL *e, ptrdiff_t n, REAL top, ptrdiff_t t,
                          double *restrict sums, const REAL *next, REAL *restrict next_top, const REAL *before,
                          REAL *out, REAL factor, const REAL *read, const REAL *write)
{
    ptrdiff_t whole = n & ~(ptrdiff_t)(LANES - 1);
    REAL m[LANES], tail[LANES], tail_out[LANES];
    double high[LANES], low[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        m[j] = all ? next[n - LANES + j] : 0;
        tail[j] = z[n - LANES + j];
        tail_out[j] = all ? factor * before[n - LANES + j] : 0;
        high[j] = low[j] = 0;
    }
    for (ptrdiff_t k = 0; k < whole; k += CHUNK) {
        ptrdiff_t stop = whole - k < CHUNK ? whole : k + CHUNK;
        REAL lanes[LANES];
        for (int j = 0; j < LANES; j++)
            lanes[j] = 0;
        for (ptrdiff_t i = k; i < stop; i += LANES) {
            BITS own = (BITS)(t - i);
            PREFETCH(read + i, 0);
            PREFETCH(write + i, 1);
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL x = exp_lifted_(z[i + j] - top);
                if (all)
                    m[j] = max_(next[i + j], m[j]);
                lanes[j] += (BITS)j == own ? 0 : x;
                if (all)
                    out[i + j] = factor * before[i + j];
                if (keep)
                    e[i + j] = x;
            }
        }
        if (stop == whole && whole < n) {
            BITS seen = (BITS)(LANES - (n - whole)), own = (BITS)(t - (n - LANES));
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL x = exp_lifted_(tail[j] - top);
                if (keep)
                    e[n - LANES + j] = x;
                lanes[j] += (BITS)j < seen || (BITS)j == own ? 0 : x;
            }
        }
        wide_add(high, low, lanes, LANES);
    }
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        sums[j] = high[j] + low[j];
        if (all) {
            next_top[j] = m[j];
            out[n - LANES + j] = tail_out[j];
        }
    }
}

/* What a batch of rows holds between its passes. */
typedef struct {
    index_block block;
    ptrdiff_t count;
    REAL *grad, *e; /* rows of n; NULL without a gradient */
} row_batch;

static double wide_rows(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL *logits = a->logits;
    REAL *grad = a->grad, *loss = a->loss;
    ptrdiff_t n = a->classes, stride = a->row_stride;
    ptrdiff_t size = n * ROWS <= STAGE ? ROWS : n <= STAGE ? STAGE / n : 1;
    REAL stage[2][STAGE], tops[ROWS * LANES], spare[ROWS * LANES];
    double sums[ROWS * LANES], wide_spare[ROWS * LANES];
    row_batch batches[2];
    double sum = 0;
    memset(tops, 0, sizeof tops);
    memset(sums, 0, sizeof sums);
    batches[1].count = 0;
    for (ptrdiff_t r = 0; r < size && begin + r < end; r++)
        row_max(logits + (begin + r) * stride, n, tops + r * LANES);
    /* At each step the maxima of the next batch, the exponentials of this one, the gradient of the one before. */
    int now = 0;
    for (ptrdiff_t first = begin; first < end + size; first += size, now = !now) {
        row_batch *b = &batches[now], *before = &batches[!now];
        const REAL *z = logits + first * stride, *next = z + size * stride;
        ptrdiff_t left = end - first, next_count = left - size < size ? left - size : size;
        b->count = left < 0 ? 0 : left < size ? left : size;
        b->grad = grad ? grad + first * n : NULL;
        b->e = grad && n <= STAGE ? stage[now] : b->grad;
        if (b->count) {
            reduce_max(tops, spare);
            memcpy(b->block.row.top, tops, sizeof b->block.row.top);
            read_rows(a, first, b->count, &b->block);
        }
        for (ptrdiff_t r = 0; r < b->count || r < before->count; r++) {
            int ahead = r < next_count, middle = r < b->count, behind = grad && r < before->count;
            REAL factor = behind ? before->block.factor[r] : 1, top = b->block.row.top[r];
            REAL *e = middle && grad ? b->e + r * n : NULL, *g = behind ? before->grad + r * n : NULL;
            ptrdiff_t t = b->block.target[r];
            const REAL *next_row = next + r * stride, *later = next_row + size * stride,
                       *ready = behind ? before->e + r * n : NULL;
            if (ahead && middle && behind && fabs_(factor) > REAL_MIN * ROW_LIFT_2) {
                row_pass(1, 1, z + r * stride, e, n, top, t, sums + r * LANES, next_row, tops + r * LANES, ready, g,
                         factor * ROW_UNLIFT_2, later, b->grad + r * n);
            } else {
                if (behind)
                    row_grad(ready, g, n, factor);
                if (middle && e)
                    row_pass(1, 0, z + r * stride, e, n, top, t, sums + r * LANES, NULL, NULL, NULL, NULL, 0, next_row,
                             b->grad + r * n);
                else if (middle)
                    row_pass(0, 0, z + r * stride, NULL, n, top, t, sums + r * LANES, NULL, NULL, NULL, NULL, 0,
                             next_row, next_row);
                if (ahead)
                    row_max(next_row, n, tops + r * LANES);
            }
            if (behind && before->block.row.weight[r] == 0)
                memset(g, 0, n * sizeof *g);
            else if (behind)
                g[before->block.target[r]] = before->block.spike[r];
        }
        if (b->count) {
            reduce_sum(sums, wide_spare);
            memcpy(b->block.others, sums, sizeof b->block.others);
            sum += finish_index_rows(a, &b->block, b->count);
            if (loss)
                memcpy(loss + first, b->block.row.loss, b->count * sizeof *loss);
        }
    }
    return sum;
}

#endif
