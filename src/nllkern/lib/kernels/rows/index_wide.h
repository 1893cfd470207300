/* Rows of at least LANES classes, class-index targets, no smoothing, no softcap: a row's passes (maximum; exponentials and
 * their sum; scaling) run while it is in cache, LANES columns at a time.  The passes of three batches of rows go side by
 * side, and what they will need next is prefetched: otherwise the processor would compute without loading, then wait for
 * memory without computing (8192 x 1000 floats, two threads, Zen 4: 3.9 ms one after the other, 2.6 so).
 *
 * A row that is not a multiple of LANES ends with one step over its last LANES columns, some of them for the
 * second time: they are loaded before the pass writes anything, so that it may work in place. */
#ifndef NLLK_INDEX_WIDE_H
#define NLLK_INDEX_WIDE_H

#include "index.h"

#define STAGE NLLK_STAGE /* exponentials kept in a block's own buffer; longer rows keep them in scratch */

/* How many columns of a row there are before the first at a multiple of 64 bytes. */
NLLK_INLINE ptrdiff_t columns_to_line(const REAL *row)
{
    return -((uintptr_t)row / sizeof(REAL)) % (64 / sizeof(REAL));
}

/* The number of lane j, as wide as REAL: of a counter of floats clang would compare 64 bits, in twice as many registers. */
#if NLLK_BITS == 32
static const BITS lane_numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define LANE(j) lane_numbers[j]
#else
#define LANE(j) ((BITS)(j))
#endif

/* LANES columns of a gradient: out = factor * e, by stream_line. */
NLLK_INLINE void stream_lanes(const REAL *e, REAL *out, REAL factor)
{
    REAL scaled[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++)
        scaled[j] = factor * e[j];
    for (size_t i = 0; i < LANES; i += 64 / sizeof(REAL))
        stream_line(out + i, scaled + i);
}

/* out = first * second * e; `out` may be `e`. */
NLLK_INLINE void row_scale(const REAL *e, REAL *out, ptrdiff_t n, REAL first, REAL second)
{
    REAL tail[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++)
        tail[j] = first * e[n - LANES + j] * second;
#pragma omp simd
    for (ptrdiff_t i = 0; i < (n & ~(ptrdiff_t)(LANES - 1)); i++)
        out[i] = first * e[i] * second;
    memcpy(out + n - LANES, tail, sizeof tail);
}

static void row_stream(const REAL *e, REAL *out, ptrdiff_t n, REAL factor)
{
    ptrdiff_t i = columns_to_line(out);
    for (ptrdiff_t j = 0; j < i; j++)
        out[j] = factor * e[j];
    for (; i + LANES <= n; i += LANES)
        stream_lanes(e + i, out + i, factor);
    for (; i < n; i++)
        out[i] = factor * e[i];
}

/* Whether factor / 2^ROW_LIFT is large enough to scale lifted exponentials in one multiplication. */
NLLK_INLINE int scales_at_once(REAL factor) { return fabs_(factor) > REAL_MIN * ROW_LIFT_2; }

/* grad = factor * e for lifted e. */
static void row_grad(const REAL *e, REAL *grad, ptrdiff_t n, REAL factor, int stream)
{
    if (!scales_at_once(factor))
        row_scale(e, grad, n, ROW_UNLIFT_2, factor);
    else if (stream)
        row_stream(e, grad, n, factor * ROW_UNLIFT_2);
    else
        row_scale(e, grad, n, factor * ROW_UNLIFT_2, 1);
}

/* Three rows of n columns, each in another of its passes. */
typedef struct {
    ptrdiff_t n;
    /* Exponentials of this row: LANES sums of them, without the target's; what the gradient needs of them goes to `kept`. */
    const REAL *logits;
    row_view view;
    ptrdiff_t target;
    double *sums;
    REAL *kept;
    /* Maxima of the row that has its turn next. */
    const REAL *next;
    REAL *next_top;
    /* Gradient of the row before: factor * ready.  `ready` may be `kept`: a column is read before it is written. */
    const REAL *ready;
    REAL *grad;
    REAL factor;
    /* Rows that are fetched meanwhile. */
    const REAL *read, *write;
} row_work;

/* KEEP: the exponentials; ALL: and the passes of the other two rows; STREAM: and the gradient goes past the caches. */
enum { SUM_ONLY, KEEP, ALL, STREAM };

NLLK_INLINE void row_pass(int score, int work, const row_work *w)
{
    const int keep = work >= KEEP, all = work >= ALL, stream = work == STREAM;
    const REAL *z = w->logits, *next = w->next, *before = w->ready, *read = w->read, *write = w->write;
    REAL *e = w->kept, *out = w->grad, *restrict next_top = w->next_top;
    double *restrict sums = w->sums;
    const ptrdiff_t n = w->n, t = w->target;
    const ptrdiff_t whole = n & ~(ptrdiff_t)(LANES - 1), skip = stream ? columns_to_line(out) : 0;
    const REAL top = w->view.top, base = w->view.base, unit = w->view.unit, factor = w->factor;
    REAL m[LANES], tail[LANES], tail_out[LANES];
    double high[LANES], low[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        m[j] = all ? next[n - LANES + j] : 0;
        tail[j] = z[n - LANES + j];
        tail_out[j] = all ? factor * before[n - LANES + j] : 0;
        high[j] = low[j] = 0;
    }
    for (ptrdiff_t i = 0; i < skip; i++)
        out[i] = factor * before[i];
    for (ptrdiff_t k = 0; k < whole; k += CHUNK) {
        ptrdiff_t stop = whole - k < CHUNK ? whole : k + CHUNK;
        REAL lanes[LANES];
        for (int j = 0; j < LANES; j++)
            lanes[j] = 0;
        for (ptrdiff_t i = k; i < stop; i += LANES) {
            BITS own = (BITS)(t - i);
            PREFETCH(read + i, 0);
            if (!stream)
                PREFETCH(write + i, 1);
            else if (i + skip + LANES <= n)
                stream_lanes(before + i + skip, out + i + skip, factor);
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL kept, x = share_of(score, z[i + j], top, base, unit, &kept);
                if (all)
                    m[j] = max_(next[i + j], m[j]);
                lanes[j] += LANE(j) == own ? 0 : x;
                if (all && !stream)
                    out[i + j] = factor * before[i + j];
                if (keep)
                    e[i + j] = kept;
            }
        }
        if (stop == whole && whole < n) {
            BITS seen = (BITS)(LANES - (n - whole)), own = (BITS)(t - (n - LANES));
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL kept, x = share_of(score, tail[j], top, base, unit, &kept);
                if (keep)
                    e[n - LANES + j] = kept;
                lanes[j] += LANE(j) < seen || LANE(j) == own ? 0 : x;
            }
        }
        wide_add(high, low, lanes, LANES);
    }
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        sums[j] = high[j] + low[j];
        if (all)
            next_top[j] = m[j];
        if (all && !stream)
            out[n - LANES + j] = tail_out[j];
    }
    for (ptrdiff_t j = LANES - (n - skip) % LANES; stream && j < LANES; j++)
        out[n - LANES + j] = tail_out[j];
}

/* What a batch of rows holds between its passes. */
typedef struct {
    index_block block;
    ptrdiff_t count;
    REAL *grad, *e; /* rows of n; NULL without a gradient */
} row_batch;

/* Before and after the middle pass of a batch: from LANES maxima, and LANES sums, of each row. */
NLLK_INLINE void open_batch(int score, const nllk_rowwise *a, row_batch *b, ptrdiff_t first, REAL *tops)
{
    reduce_max(tops, b->count);
    memcpy(b->block.row.top, tops, WIDE_ROWS * sizeof *tops);
    read_rows(a, first, WIDE_ROWS, b->count, &b->block);
    if (score != PLAIN)
        view_rows(score, tops, 0, WIDE_ROWS, &b->block.view);
}

NLLK_INLINE double close_batch(int score, const nllk_rowwise *a, row_batch *b, double *sums)
{
    reduce_sum(sums, b->count);
    memcpy(b->block.others, sums, WIDE_ROWS * sizeof *sums);
    return finish_index_rows(score, a, &b->block, WIDE_ROWS, b->count);
}

/* The passes of the r-th rows of three batches: `ahead`, `middle`, `behind` say which of them exist. */
NLLK_INLINE void step_rows(int score, row_work *w, int ahead, int middle, int behind, int stream)
{
    if (ahead && middle && behind && scales_at_once(w->factor)) {
        w->factor *= ROW_UNLIFT_2;
        if (stream)
            row_pass(score, STREAM, w);
        else
            row_pass(score, ALL, w);
        return;
    }
    if (behind)
        row_grad(w->ready, w->grad, w->n, w->factor, stream);
    w->read = w->next;
    if (stream || !w->kept)
        w->write = w->next;
    if (middle && w->kept)
        row_pass(score, KEEP, w);
    else if (middle)
        row_pass(score, SUM_ONLY, w);
    if (ahead)
        row_max(w->next, w->n, w->next_top);
}

/* A batch keeps its exponentials where the one before it had its own, which are used up column by column just in time: in
 * `stage`, in `scratch` (long rows), or in the gradient itself. */
NLLK_INLINE double wide_rows(int score, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, REAL *scratch)
{
    const REAL *logits = a->logits;
    REAL *grad = a->grad, *loss = a->loss;
    ptrdiff_t n = a->classes, stride = a->row_stride;
    ptrdiff_t size = n * WIDE_ROWS <= STAGE ? WIDE_ROWS : n <= STAGE ? STAGE / n : 1;
    int stream = a->stream && n > STAGE && scratch != NULL;
    ALIGNED REAL stage[STAGE];
    ALIGNED REAL tops[WIDE_ROWS * LANES];
    ALIGNED double sums[WIDE_ROWS * LANES];
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
        b->e = !grad ? NULL : n <= STAGE ? stage : scratch ? scratch : b->grad;
        if (b->count)
            open_batch(score, a, b, first, tops);
        for (ptrdiff_t r = 0; r < b->count || r < before->count; r++) {
            const int middle = r < b->count, behind = grad && r < before->count;
            row_work w = {
                .n = n,
                .logits = z + r * stride,
                .view = {.top = b->block.row.top[r], .base = b->block.view.base[r], .unit = b->block.view.unit[r]},
                .target = b->block.target[r],
                .sums = sums + r * LANES,
                .kept = middle && grad ? b->e + r * n : NULL,
                .next = next + r * stride,
                .next_top = tops + r * LANES,
                .ready = behind ? before->e + r * n : NULL,
                .grad = behind ? before->grad + r * n : NULL,
                .factor = behind ? before->block.factor[r] : 1,
                .read = next + (r + size) * stride,
                .write = grad ? b->grad + r * n : NULL};
            step_rows(score, &w, r < next_count, middle, behind, stream);
            if (behind && before->block.row.weight[r] == 0)
                memset(w.grad, 0, n * sizeof *w.grad);
            else if (behind)
                w.grad[before->block.target[r]] = before->block.spike[r];
        }
        if (b->count) {
            sum += close_batch(score, a, b, sums);
            if (loss)
                memcpy(loss + first, b->block.row.loss, b->count * sizeof *loss);
        }
    }
    if (stream)
        stream_done();
    return sum;
}

#endif
