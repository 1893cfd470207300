/* rows_general.h for rows of more than NARROW classes, LANES columns at a time.  The rows of a batch are read once, into a
 * stage in which both of their passes work; of a row longer than that each pass reads piece by piece. */
#ifndef NLLK_ROWS_GENERAL_WIDE_H
#define NLLK_ROWS_GENERAL_WIDE_H

#include "rows_general.h"
#include "rows_wide.h"

#define PIECE 2048

typedef struct {
    REAL z[PIECE], tau[PIECE], share[PIECE];
} row_stage;

/* The sums of one quantity over each row, LANES of them to begin with; `low` as in wide_add: nothing, in float. */
typedef struct {
    double high[WIDE_ROWS * LANES], low[WIDE_ROWS * LANES];
} lane_sums;

NLLK_INLINE void clear_lanes(lane_sums *s, int rows)
{
    memset(s->high, 0, rows * LANES * sizeof *s->high);
    memset(s->low, 0, rows * (NLLK_BITS == 64 ? LANES : 1) * sizeof *s->low);
}

/* high[r] + low[r] = the sum of row r's lanes. */
NLLK_INLINE void fold_lanes(lane_sums *s, int rows)
{
#if NLLK_BITS == 32
    double spare[WIDE_ROWS * LANES];
    reduce_sum(s->high, spare, rows);
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

/* What the columns of a row are read from, and how targets become tau.  Passed as a copy: nothing written may change it. */
typedef struct {
    const REAL *z, *prob, *class_weight; /* the last two may be NULL */
    ptrdiff_t target;                    /* or -1 */
    REAL keep, spread, unit;
} row_source;

NLLK_INLINE row_source source_of(const nllk_rowwise *a, const row_options *o, ptrdiff_t i, ptrdiff_t target)
{
    const REAL *prob = a->prob;
    return (row_source){.z = (const REAL *)a->logits + i * a->row_stride,
                        .prob = prob ? prob + i * a->classes : NULL,
                        .class_weight = o->class_weight,
                        .target = target,
                        .keep = o->keep,
                        .spread = o->spread,
                        .unit = o->unit};
}

/* LANES columns from k: logits and their maxima, and tau.  No memcpy here: for sizes like these it is slow to get going. */
NLLK_INLINE void load_lanes(row_rule rule, row_source from, ptrdiff_t k, REAL *z, REAL *tau, REAL *top)
{
    const REAL *prob = from.prob, *class_weight = from.class_weight;
    BITS own = (BITS)(from.target - k);
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        REAL t = prob ? prob[k + j] : (BITS)j == own ? 1 : 0, x = from.z[k + j];
        z[j] = x;
        tau[j] = rule.divergence
                     ? target_mass(t)
                     : tau_of(t, from.unit * (class_weight ? class_weight[k + j] : 1), from.keep, from.spread);
        top[j] = max_(x, top[j]);
    }
}

/* `m` numbers of x, and `fill` for those that LANES lack. */
NLLK_INLINE const REAL *pad_lanes(const REAL *x, ptrdiff_t m, REAL fill, REAL *room)
{
    for (ptrdiff_t j = 0; j < LANES; j++)
        room[j] = j < m ? x[j] : fill;
    return room;
}

/* Columns [k, k + m) of a row, padded with masked classes; m is a multiple of LANES or they are the row's last. */
NLLK_INLINE void load_piece(row_rule rule, row_source from, ptrdiff_t k, ptrdiff_t m, REAL *restrict z,
                            REAL *restrict tau, REAL *restrict top)
{
    ptrdiff_t whole = m & ~(ptrdiff_t)(LANES - 1);
    for (ptrdiff_t j = 0; j < whole; j += LANES)
        load_lanes(rule, from, k + j, z + j, tau + j, top);
    if (whole == m)
        return;
    REAL rest[3][LANES];
    const row_source last = {pad_lanes(from.z + k + whole, m - whole, -REAL_INF, rest[0]),
                             from.prob ? pad_lanes(from.prob + k + whole, m - whole, 0, rest[1]) : NULL,
                             from.class_weight ? pad_lanes(from.class_weight + k + whole, m - whole, 0, rest[2]) : NULL,
                             from.target - (k + whole),
                             from.keep,
                             from.spread,
                             from.unit};
    load_lanes(rule, last, 0, z + whole, tau + whole, top);
    for (ptrdiff_t j = m; j < whole + LANES; j++)
        tau[j] = 0;
}

typedef struct {
    lane_sums rest, mass, gap;
    double ties[WIDE_ROWS];
} batch_sums;

/* Row r of a batch, `m` of its columns: their sums, and their shares, which are kept.  Meanwhile those at `write` are
 * fetched. */
NLLK_INLINE void add_piece(row_rule rule, const REAL *z, const REAL *tau, REAL *share, ptrdiff_t m, row_view view,
                           REAL softcap, batch_sums *sums, int r, const REAL *write)
{
    double *mass = sums->mass.high + r * LANES, *mass_low = sums->mass.low + r * LANES;
    REAL ties[LANES] = {0};
    for (ptrdiff_t k = 0; k < m; k += CHUNK) {
        ptrdiff_t stop = m - k < CHUNK ? m : k + CHUNK;
        REAL rest[LANES] = {0}, part_mass[LANES] = {0}, gap[LANES] = {0};
        for (ptrdiff_t c = k; c < stop; c += LANES) {
            PREFETCH(write + c, 1);
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                row_sums s = {rest[j], ties[j], part_mass[j], gap[j]};
                s = add_class(rule, s, z[c + j], view, softcap, tau[c + j], &share[c + j]);
                rest[j] = s.rest;
                ties[j] = s.ties;
                part_mass[j] = s.mass;
                gap[j] = s.gap;
            }
            if (rule.divergence == FROM_SOFTMAX)
                wide_add(mass, mass_low, &tau[c], LANES);
        }
        wide_add(sums->rest.high + r * LANES, sums->rest.low + r * LANES, rest, LANES);
        if (rule.divergence != FROM_SOFTMAX)
            wide_add(mass, mass_low, part_mass, LANES);
        wide_add(sums->gap.high + r * LANES, sums->gap.low + r * LANES, gap, LANES);
    }
    REAL all_ties = 0; /* a small integer: exact in any order */
#pragma omp simd reduction(+ : all_ties)
    for (int j = 0; j < LANES; j++)
        all_ties += ties[j];
    sums->ties[r] += all_ties;
}

/* The shares alone, of a piece that had to be read again. */
NLLK_INLINE void share_piece(row_rule rule, const REAL *z, ptrdiff_t m, row_view view, REAL softcap, REAL *share)
{
    for (ptrdiff_t c = 0; c < m; c += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            share[c + j] = score_of(rule.score, z[c + j], view, softcap).share;
    }
}

/* The first n of LANES numbers.  No memcpy here: for sizes like these it is slow to get going. */
NLLK_INLINE void store_first(const REAL *x, REAL *out, ptrdiff_t n)
{
    for (int j = 0; j < LANES; j++)
        if (j < n)
            out[j] = x[j];
}

/* The derivatives of LANES columns, the second ones if `hess` is not NULL; their terms are added to `part`.  `grad` may
 * be `z`. */
NLLK_INLINE void derive_lanes(row_rule rule, const REAL *z, const REAL *tau, const REAL *share, row_view view,
                              row_terms row, REAL *grad, REAL *hess, REAL *part)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        class_results d = class_derivatives(rule, z[j], tau[j], share[j], view, row);
        grad[j] = d.grad;
        if (hess)
            hess[j] = d.hess;
        part[j] += d.term;
    }
}

/* The same of a piece; terms are added to `value`.  Meanwhile the columns at `read` and `read_too` are fetched. */
NLLK_INLINE void derive_piece(row_rule rule, REAL *grad, REAL *hess, const REAL *z, const REAL *tau, const REAL *share,
                              ptrdiff_t m, row_view view, row_terms row, lane_sums *value, int r, const REAL *read,
                              const REAL *read_too)
{
    for (ptrdiff_t k = 0; k < m; k += CHUNK) {
        ptrdiff_t stop = m - k < CHUNK ? m : k + CHUNK, whole = stop & ~(ptrdiff_t)(LANES - 1);
        REAL part[LANES] = {0};
        for (ptrdiff_t c = k; c < whole; c += LANES) {
            PREFETCH(read + c, 0);
            PREFETCH(read_too + c, 0);
            derive_lanes(rule, z + c, tau + c, share + c, view, row, grad + c, hess ? hess + c : NULL, part);
        }
        if (whole < stop) {
            REAL last[2][LANES];
            derive_lanes(rule, z + whole, tau + whole, share + whole, view, row, last[0], hess ? last[1] : NULL, part);
            store_first(last[0], grad + whole, stop - whole);
            if (hess)
                store_first(last[1], hess + whole, stop - whole);
        }
        if (rule.divergence == FROM_SOFTMAX)
            wide_add(value->high + r * LANES, value->low + r * LANES, part, LANES);
    }
}

/* A batch of rows between its passes. */
typedef struct {
    int at_once;      /* the stage holds whole rows */
    ptrdiff_t padded; /* classes, up to a multiple of LANES */
    row_stage stage;
    batch_sums sums;
    row_block block;
    row_options options;
    row_source source[WIDE_ROWS];
    row_view view[WIDE_ROWS];
} general_batch;

/* Row i, the batch's r-th: its largest logit and its sums. */
NLLK_INLINE void sum_row(row_rule rule, const nllk_rowwise *a, general_batch *b, ptrdiff_t i, int r)
{
    ptrdiff_t n = a->classes, target, at = b->at_once ? r * b->padded : 0;
    const REAL *write = a->grad ? (REAL *)a->grad + i * n : b->stage.z;
    REAL *z = b->stage.z + at, *tau = b->stage.tau + at, *share = b->stage.share + at, top[LANES], spare[LANES];
    general_target(a, i, &target, &b->block.weight[r]);
    if (b->block.weight[r] == 0)
        return;
    b->source[r] = source_of(a, &b->options, i, target);
    for (int j = 0; j < LANES; j++)
        top[j] = -REAL_INF;
    if (b->at_once)
        load_piece(rule, b->source[r], 0, n, z, tau, top);
    else
        row_max(b->source[r].z, n, top);
    reduce_max(top, spare, 1);
    b->view[r] = view_of(rule.score, top[0], b->options.softcap);
    b->block.top[r] = b->view[r].top;
    for (ptrdiff_t k = 0; k < n; k += PIECE) {
        ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
        if (!b->at_once)
            load_piece(rule, b->source[r], k, m, z, tau, top);
        add_piece(rule, z, tau, share, m, b->view[r], b->options.softcap, &b->sums, r, write + k);
    }
}

/* Its derivatives, and the terms of its divergence added to `value`.  Of row i + `ahead` the inputs are fetched. */
NLLK_INLINE void derive_row(row_rule rule, const nllk_rowwise *a, general_batch *b, ptrdiff_t i, int r, ptrdiff_t ahead,
                            lane_sums *value)
{
    ptrdiff_t n = a->classes, at = b->at_once ? r * b->padded : 0;
    REAL *grad = a->grad ? (REAL *)a->grad + i * n : NULL, *hess = a->hess ? (REAL *)a->hess + i * n : NULL;
    REAL *z = b->stage.z + at, *tau = b->stage.tau + at, *share = b->stage.share + at, top[LANES] = {0};
    if (b->block.weight[r] == 0) {
        if (grad)
            memset(grad, 0, n * sizeof *grad);
        if (hess)
            memset(hess, 0, n * sizeof *hess);
        return;
    }
    const REAL *later = (const REAL *)a->logits + (i + ahead) * a->row_stride,
               *later_prob = a->prob ? (const REAL *)a->prob + (i + ahead) * n : later;
    row_terms row = terms_of(&b->options, &b->block, r);
    for (ptrdiff_t k = 0; k < n; k += PIECE) {
        ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
        if (!b->at_once) {
            load_piece(rule, b->source[r], k, m, z, tau, top);
            share_piece(rule, z, m, b->view[r], b->options.softcap, share);
        }
        REAL *to = grad ? grad + k : z;
        if (hess)
            derive_piece(rule, to, hess + k, z, tau, share, m, b->view[r], row, value, r, later + k, later_prob + k);
        else
            derive_piece(rule, to, NULL, z, tau, share, m, b->view[r], row, value, r, later + k, later_prob + k);
    }
}

NLLK_INLINE double general_wide_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    general_batch b;
    memset(&b.block, 0, sizeof b.block);
    b.options = options_of(a);
    b.padded = (a->classes + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    b.at_once = b.padded <= PIECE;
    ptrdiff_t size = b.padded * WIDE_ROWS <= PIECE ? WIDE_ROWS : b.at_once ? PIECE / b.padded : 1;
    const int rows = (int)((size + 3) & ~3);
    batch_sums *s = &b.sums;
    REAL *loss = a->loss;
    double sum = 0;
    for (ptrdiff_t first = begin; first < end; first += size) {
        ptrdiff_t count = end - first < size ? end - first : size;
        clear_lanes(&s->rest, rows);
        clear_lanes(&s->mass, rows);
        clear_lanes(&s->gap, rows);
        for (int r = 0; r < rows; r++)
            b.block.weight[r] = s->ties[r] = 0;
        for (int r = 0; r < count; r++)
            sum_row(rule, a, &b, first + r, r);
        fold_lanes(&s->rest, rows);
        fold_lanes(&s->mass, rows);
        fold_lanes(&s->gap, rows);
        double excess[WIDE_ROWS];
        for (int r = 0; r < rows; r++) {
            b.block.rest[r] = (REAL)((s->ties[r] - 1) + (s->rest.high[r] + s->rest.low[r]) * ROW_UNLIFT_2);
            b.block.mass[r] = s->mass.high[r] + s->mass.low[r];
            b.block.gap[r] = s->gap.high[r] + s->gap.low[r];
            excess[r] = (s->mass.high[r] - 1) + s->mass.low[r];
        }
        double batch_sum = finish_first_pass(rule, a, &b.block, rows, count, b.options.unit);
        lane_sums *value = &s->gap;
        clear_lanes(value, rows);
        for (int r = 0; r < count && (a->grad || rule.divergence == FROM_SOFTMAX); r++)
            derive_row(rule, a, &b, first + r, r, size, value);
        if (rule.divergence == FROM_SOFTMAX) {
            fold_lanes(value, rows);
            for (int r = 0; r < rows; r++)
                value->high[r] += value->low[r];
            batch_sum = finish_second_pass(&b.block, count, value->high, excess);
        }
        sum += batch_sum;
        if (loss)
            memcpy(loss + first, b.block.loss, count * sizeof *loss);
    }
    return sum;
}

#endif
