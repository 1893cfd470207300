/* rows_general.h for rows of more than NARROW classes, LANES columns at a time.  The rows of a batch are read once, into a stage in
 * which both of their passes work; of a row longer than that each pass reads piece by piece. */
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

/* What the columns of a row are read from, and how targets become tau. */
typedef struct {
    const REAL *z, *prob, *class_weight; /* the last two may be NULL */
    ptrdiff_t target;                    /* or -1 */
    REAL keep, spread;
} row_source;

NLLK_INLINE row_source source_of(const nllk_rowwise *a, ptrdiff_t i, ptrdiff_t target)
{
    const REAL *prob = a->prob;
    return (row_source){.z = (const REAL *)a->logits + i * a->row_stride,
                        .prob = prob ? prob + i * a->classes : NULL,
                        .class_weight = a->class_weight,
                        .target = target,
                        .keep = (REAL)(1 - a->smoothing),
                        .spread = (REAL)(a->smoothing / a->classes)};
}

/* LANES columns from k: logits and their maxima, and tau.  No memcpy here: for sizes like these it is slow to get going. */
NLLK_INLINE void load_lanes(row_rule rule, const row_source *from, ptrdiff_t k, REAL *z, REAL *tau, REAL *top)
{
    const REAL *prob = from->prob, *class_weight = from->class_weight;
    BITS own = (BITS)(from->target - k);
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        REAL t = prob ? prob[k + j] : (BITS)j == own ? 1 : 0, x = from->z[k + j];
        z[j] = x;
        tau[j] = rule.divergence ? target_mass(t)
                                 : tau_of(t, class_weight ? class_weight[k + j] : 1, from->keep, from->spread);
        top[j] = max_(x, top[j]);
    }
}

/* Columns [k, k + m) of a row, padded with masked classes; m is a multiple of LANES or they are the row's last. */
NLLK_INLINE void load_piece(row_rule rule, const row_source *from, ptrdiff_t k, ptrdiff_t m, REAL *restrict z,
                            REAL *restrict tau, REAL *restrict top)
{
    ptrdiff_t whole = m & ~(ptrdiff_t)(LANES - 1);
    for (ptrdiff_t j = 0; j < whole; j += LANES)
        load_lanes(rule, from, k + j, z + j, tau + j, top);
    if (whole == m)
        return;
    REAL rest[3][LANES];
    row_source last = {rest[0], from->prob ? rest[1] : NULL, from->class_weight ? rest[2] : NULL,
                       from->target - (k + whole), from->keep, from->spread};
    for (ptrdiff_t j = 0; j < LANES; j++) {
        int there = whole + j < m;
        rest[0][j] = there ? from->z[k + whole + j] : -REAL_INF;
        rest[1][j] = there && from->prob ? from->prob[k + whole + j] : 0;
        rest[2][j] = there && from->class_weight ? from->class_weight[k + whole + j] : 0;
    }
    load_lanes(rule, &last, 0, z + whole, tau + whole, top);
    for (ptrdiff_t j = m; j < whole + LANES; j++)
        tau[j] = 0;
}

typedef struct {
    lane_sums rest, mass, gap;
    double ties[WIDE_ROWS];
} batch_sums;

/* Row r of a batch, `m` of its columns: their sums, and their shares, which are kept. */
NLLK_INLINE void add_piece(row_rule rule, const REAL *z, const REAL *tau, REAL *share, ptrdiff_t m, row_view view,
                           REAL softcap, batch_sums *sums, int r)
{
    double *mass = sums->mass.high + r * LANES, *mass_low = sums->mass.low + r * LANES;
    REAL ties[LANES] = {0};
    for (ptrdiff_t k = 0; k < m; k += CHUNK) {
        ptrdiff_t stop = m - k < CHUNK ? m : k + CHUNK;
        REAL rest[LANES] = {0}, part_mass[LANES] = {0}, gap[LANES] = {0};
        for (ptrdiff_t c = k; c < stop; c += LANES) {
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
    for (int j = 0; j < LANES; j++)
        sums->ties[r] += ties[j];
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

/* The derivatives of a piece: z becomes the gradient, tau, if `second`, the second derivative; terms are added to `value`. */
NLLK_INLINE void derive_piece(row_rule rule, int second, REAL *z, REAL *tau, const REAL *share, ptrdiff_t m,
                              row_view view, row_terms row, lane_sums *value, int r)
{
    for (ptrdiff_t k = 0; k < m; k += CHUNK) {
        ptrdiff_t stop = m - k < CHUNK ? m : k + CHUNK;
        REAL part[LANES] = {0};
        for (ptrdiff_t c = k; c < stop; c += LANES) {
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                class_results d = class_derivatives(rule, z[c + j], tau[c + j], share[c + j], view, row);
                z[c + j] = d.grad;
                if (second)
                    tau[c + j] = d.hess;
                part[j] += d.term;
            }
        }
        if (rule.divergence == FROM_SOFTMAX)
            wide_add(value->high + r * LANES, value->low + r * LANES, part, LANES);
    }
}

NLLK_INLINE double general_wide_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL softcap = (REAL)a->softcap;
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes, padded = (n + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    ptrdiff_t size = padded * WIDE_ROWS <= PIECE ? WIDE_ROWS : padded <= PIECE ? PIECE / padded : 1;
    int at_once = padded <= PIECE, rows = (int)((size + 3) & ~3), second_pass = grad || rule.divergence == FROM_SOFTMAX;
    row_stage stage;
    batch_sums sums;
    row_block b;
    double sum = 0;
    memset(&b, 0, sizeof b);
    for (ptrdiff_t first = begin; first < end; first += size) {
        ptrdiff_t count = end - first < size ? end - first : size;
        row_source source[WIDE_ROWS];
        row_view views[WIDE_ROWS];
        clear_lanes(&sums.rest, rows);
        clear_lanes(&sums.mass, rows);
        clear_lanes(&sums.gap, rows);
        for (ptrdiff_t r = 0; r < rows; r++)
            b.weight[r] = sums.ties[r] = 0;
        for (ptrdiff_t r = 0; r < count; r++) {
            ptrdiff_t target;
            general_target(a, first + r, &target, &b.weight[r]);
            if (b.weight[r] == 0)
                continue;
            ptrdiff_t at = at_once ? r * padded : 0;
            REAL *z = stage.z + at, *tau = stage.tau + at, *share = stage.share + at, top[LANES], spare[LANES];
            source[r] = source_of(a, first + r, target);
            for (int j = 0; j < LANES; j++)
                top[j] = -REAL_INF;
            if (at_once)
                load_piece(rule, &source[r], 0, n, z, tau, top);
            else
                row_max(source[r].z, n, top);
            reduce_max(top, spare, 1);
            views[r] = view_of(rule.score, top[0], softcap);
            b.top[r] = views[r].top;
            for (ptrdiff_t k = 0; k < n; k += PIECE) {
                ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
                if (!at_once)
                    load_piece(rule, &source[r], k, m, z, tau, top);
                add_piece(rule, z, tau, share, m, views[r], softcap, &sums, (int)r);
            }
        }
        fold_lanes(&sums.rest, rows);
        fold_lanes(&sums.mass, rows);
        fold_lanes(&sums.gap, rows);
        double excess[WIDE_ROWS];
        for (int r = 0; r < rows; r++) {
            b.rest[r] = (REAL)((sums.ties[r] - 1) + (sums.rest.high[r] + sums.rest.low[r]) * ROW_UNLIFT_2);
            b.mass[r] = (REAL)(sums.mass.high[r] + sums.mass.low[r]);
            b.gap[r] = (REAL)(sums.gap.high[r] + sums.gap.low[r]);
            excess[r] = (sums.mass.high[r] - 1) + sums.mass.low[r];
        }
        double batch_sum = finish_first_pass(rule, a, &b, rows, count);
        lane_sums *value = &sums.gap;
        clear_lanes(value, rows);
        for (ptrdiff_t r = 0; r < count && second_pass; r++) {
            ptrdiff_t i = first + r;
            if (b.weight[r] == 0) {
                if (grad)
                    memset(grad + i * n, 0, n * sizeof *grad);
                if (hess)
                    memset(hess + i * n, 0, n * sizeof *hess);
                continue;
            }
            ptrdiff_t at = at_once ? r * padded : 0;
            REAL *z = stage.z + at, *tau = stage.tau + at, *share = stage.share + at, top[LANES] = {0};
            row_terms row = terms_of(a, &b, (int)r);
            for (ptrdiff_t k = 0; k < n; k += PIECE) {
                ptrdiff_t m = n - k < PIECE ? n - k : PIECE;
                if (!at_once) {
                    load_piece(rule, &source[r], k, m, z, tau, top);
                    share_piece(rule, z, m, views[r], softcap, share);
                }
                if (hess)
                    derive_piece(rule, 1, z, tau, share, m, views[r], row, value, (int)r);
                else
                    derive_piece(rule, 0, z, tau, share, m, views[r], row, value, (int)r);
                if (grad)
                    memcpy(grad + i * n + k, z, m * sizeof *z);
                if (hess)
                    memcpy(hess + i * n + k, tau, m * sizeof *tau);
            }
        }
        if (rule.divergence == FROM_SOFTMAX) {
            fold_lanes(value, rows);
            for (int r = 0; r < rows; r++)
                value->high[r] += value->low[r];
            batch_sum = finish_second_pass(&b, rows, count, value->high, excess);
        }
        sum += batch_sum;
        if (loss)
            memcpy(loss + first, b.loss, count * sizeof *loss);
    }
    return sum;
}

#endif
