/* general.h for rows of more than NARROW classes: a step of the stage holds LANES classes of one row.
 *
 * The stage holds a batch of whole rows if they fit, and both passes over a row work there; of a longer row each pass loads
 * piece by piece. */
#ifndef NLLK_GENERAL_WIDE_H
#define NLLK_GENERAL_WIDE_H

#include "general.h"

/* A batch of rows between its passes. */
typedef struct {
    const row_options *options;
    const nllk_rowwise *a;
    ptrdiff_t first, count, padded; /* its rows; classes up to a multiple of LANES */
    int at_once;                    /* the stage holds whole rows */
    ptrdiff_t target[WIDE_ROWS];
    row_stage stage;
    row_sums sums;
    row_block block;
    row_views views; /* of each row */
} general_batch;

/* high[r] + low[r] = the sum of row r's lanes. */
NLLK_INLINE void fold_lanes(lane_sums *s, ptrdiff_t rows)
{
#if NLLK_BITS == 32
    reduce_sum(s->high, rows);
#else
    for (int half = LANES / 2; half; half /= 2)
        for (int r = 0; r < rows; r++) {
            double *high = s->high + r * LANES, *low = s->low + r * LANES;
#pragma omp simd
            for (int j = 0; j < half; j++) {
                two_sum t = two_sum_(high[j], high[j + half]);
                high[j] = t.sum;
                low[j] += low[j + half] + t.lost;
            }
        }
    for (int r = 0; r < rows; r++) {
        s->high[r] = s->high[r * LANES];
        s->low[r] = s->low[r * LANES];
    }
#endif
}

/* Targets [k, k + m) of row r to the stage, as tau, 0 up to `padded`. */
NLLK_NOINLINE void load_tau(general_batch *b, ptrdiff_t r, ptrdiff_t k, ptrdiff_t m, ptrdiff_t padded,
                            REAL *restrict tau)
{
    const row_options o = *b->options;
    const REAL *prob = b->a->prob ? (const REAL *)b->a->prob + (b->first + r) * b->a->classes + k : NULL;
    const REAL *class_weight = o.class_weight ? o.class_weight + k : NULL;
    const ptrdiff_t t = b->target[r] - k;
    if (prob && target_is_tau(&o) && !o.divergence)
        memcpy(tau, prob, m * sizeof *tau);
    else if (prob && o.divergence)
#pragma omp simd
        for (ptrdiff_t j = 0; j < m; j++)
            tau[j] = target_mass(prob[j]);
    else if (prob)
#pragma omp simd
        for (ptrdiff_t j = 0; j < m; j++)
            tau[j] = tau_of(&o, prob[j], class_weight ? o.unit * class_weight[j] : o.unit);
    else
#pragma omp simd
        for (ptrdiff_t j = 0; j < m; j++)
            tau[j] = tau_of(&o, 0, class_weight ? o.unit * class_weight[j] : o.unit);
    if (t >= 0 && t < m)
        tau[t] = tau_of(&o, 1, class_weight ? o.unit * class_weight[t] : o.unit);
    for (ptrdiff_t j = m; j < padded; j++)
        tau[j] = 0;
}

/* Columns [k, k + m) of row r, padded with masked classes; returns the steps that they take. */
static ptrdiff_t load_piece(general_batch *b, ptrdiff_t r, ptrdiff_t k, ptrdiff_t m, ptrdiff_t at)
{
    ptrdiff_t padded = (m + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    REAL *z = b->stage.z + at;
    memcpy(z, (const REAL *)b->a->logits + (b->first + r) * b->a->row_stride + k, m * sizeof *z);
    for (ptrdiff_t j = m; j < padded; j++)
        z[j] = -REAL_INF;
    load_tau(b, r, k, m, padded, b->stage.tau + at);
    return padded / LANES;
}

/* The views of row r in each lane. */
static void splat_view(const row_views *v, ptrdiff_t r, row_views *to)
{
    for (int j = 0; j < LANES; j++) {
        to->peak[j] = v->peak[r];
        to->top[j] = v->top[r];
        to->origin[j] = v->origin[r];
        to->base[j] = v->base[r];
        to->unit[j] = v->unit[r];
        to->ratio[j] = v->ratio[r];
        to->head[j] = v->head[r];
    }
}

/* Load the rows of a batch, if the stage holds them, and find their largest logits. */
static void open_general(general_batch *b)
{
    const nllk_rowwise *a = b->a;
    REAL tops[WIDE_ROWS * LANES] = {0};
    for (int r = 0; r < WIDE_ROWS; r++)
        b->block.weight[r] = 0;
    for (ptrdiff_t r = 0; r < b->count; r++) {
        row_target t = read_target(a, b->first + r);
        b->target[r] = t.column;
        b->block.weight[r] = t.weight;
        if (t.weight == 0)
            continue;
        if (b->at_once)
            load_piece(b, r, 0, a->classes, r * b->padded);
        row_max((const REAL *)a->logits + (b->first + r) * a->row_stride, a->classes, tops + r * LANES);
    }
    reduce_max(tops, b->count);
    view_rows(b->options->score, tops, b->options->softcap, WIDE_ROWS, &b->views);
}

/* The sums of row r. */
static void sum_row(general_batch *b, ptrdiff_t r)
{
    const row_options *o = b->options;
    ptrdiff_t n = b->a->classes, at = b->at_once ? r * b->padded : 0;
    const REAL *write = b->a->grad ? (REAL *)b->a->grad + (b->first + r) * n : b->stage.z;
    row_views view;
    splat_view(&b->views, r, &view);
    for (ptrdiff_t k = 0; k < n; k += PIECE) {
        ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
        ptrdiff_t steps = b->at_once ? b->padded / LANES : load_piece(b, r, k, m, at);
        score_steps(o, &b->stage, at, steps, &view);
        sum_steps(&b->stage, at, steps, view.origin, &b->sums, (int)r, write + k);
    }
}

/* The second pass of row r: the terms of a divergence, and the derivatives.  Of the row `ahead` further the inputs are fetched
 * meanwhile. */
static void derive_row(general_batch *b, ptrdiff_t r, ptrdiff_t ahead)
{
    const nllk_rowwise *a = b->a;
    const row_options *o = b->options;
    ptrdiff_t n = a->classes, at = b->at_once ? r * b->padded : 0, i = b->first + r;
    REAL *grad = element_of(a->grad, i * n), *hess = element_of(a->hess, i * n);
    if (b->block.weight[r] == 0) {
        if (grad)
            memset(grad, 0, n * sizeof *grad);
        if (hess)
            memset(hess, 0, n * sizeof *hess);
        return;
    }
    const REAL *later = (const REAL *)a->logits + (i + ahead) * a->row_stride,
               *later_prob = a->prob ? (const REAL *)a->prob + (i + ahead) * n : later;
    lane_terms terms;
    row_views view;
    fill_terms(&b->block, r, 0, &terms);
    splat_view(&b->views, r, &view);
    for (ptrdiff_t k = 0; k < n; k += PIECE) {
        ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
        ptrdiff_t steps = b->at_once ? b->padded / LANES : load_piece(b, r, k, m, at);
        if (!b->at_once && o->score != LOG_PROBABILITY)
            score_steps(o, &b->stage, at, steps, &view);
        if (o->divergence == FROM_SOFTMAX)
            sum_divergence(&b->stage, at, steps, view.origin, &terms, &b->sums.gap, (int)r);
        if (!grad)
            continue;
        derive_steps(o, hess != NULL, &b->stage, at, steps, &terms, later + k, later_prob + k);
        memcpy(grad + k, b->stage.z + at, m * sizeof *grad);
        if (hess)
            memcpy(hess + k, b->stage.tau + at, m * sizeof *hess);
    }
}

static double general_batch_rows(general_batch *b, ptrdiff_t ahead)
{
    row_sums *s = &b->sums;
    row_block *block = &b->block;
    double excess[WIDE_ROWS];
    clear_sums(s, (int)b->count);
    open_general(b);
    for (ptrdiff_t r = 0; r < b->count; r++)
        if (block->weight[r] != 0)
            sum_row(b, r);
    reduce_sum(s->ties, b->count);
    fold_lanes(&s->rest, b->count);
    fold_lanes(&s->peak, b->count);
    fold_lanes(&s->mass, b->count);
    fold_lanes(&s->gap, b->count);
    for (int r = 0; r < WIDE_ROWS; r++) {
        block->top[r] = b->views.top[r];
        read_sums(b->options, s, r, block, r, excess);
    }
    double sum = finish_general_rows(b->a, block, b->count, b->options->unit);
    const int divergence = b->options->divergence == FROM_SOFTMAX;
    if (divergence)
        clear_lanes(&s->gap, (int)b->count);
    for (ptrdiff_t r = 0; (b->a->grad || divergence) && r < b->count; r++)
        derive_row(b, r, ahead);
    if (divergence) {
        fold_lanes(&s->gap, b->count);
        sum = weigh_divergences(block, b->count, &s->gap, excess);
    }
    if (b->a->loss)
        memcpy((REAL *)b->a->loss + b->first, block->loss, b->count * sizeof(REAL));
    return sum;
}

static double general_wide_rows(const row_options *o, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    general_batch b;
    clear_sums(&b.sums, WIDE_ROWS); /* also of rows that do not exist: subnormal garbage would be slow */
    b.options = o;
    b.a = a;
    b.padded = (a->classes + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    b.at_once = b.padded <= PIECE;
    ptrdiff_t size = b.padded * WIDE_ROWS <= PIECE ? WIDE_ROWS : b.at_once ? PIECE / b.padded : 1;
    double sum = 0;
    for (b.first = begin; b.first < end; b.first += size) {
        b.count = end - b.first < size ? end - b.first : size;
        sum += general_batch_rows(&b, size);
    }
    return sum;
}

#endif
