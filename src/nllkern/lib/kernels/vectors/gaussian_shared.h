/* What the loops of multivariate_gaussian_nll.h share, where the formulas stand; and the loop over samples that share one
 * factor.  NLLK_PREPARE stores the factor in doubles; then each of its numbers serves LANES samples at once. */
#ifndef NLLK_GAUSSIAN_SHARED_H
#define NLLK_GAUSSIAN_SHARED_H

#include "functions/lanes.h"
#include "triangular.h"

/* The derivatives by a raw number of the diagonal.  They are linear in N w^2, b w, slope = 1 - b w and one = 1: weighted sums
 * of these give weighted sums of them. */
NLLK_INLINE double diagonal_grad(double slope, const diagonal *t, ptrdiff_t k) { return slope * t->rate[k]; }

NLLK_INLINE double diagonal_hess(double nww, double bw, double slope, double one, const diagonal *t, ptrdiff_t k)
{
    double bend = t->in_log[k] != 0 ? nww + bw : nww + (2 * bw - one), rate = t->rate[k];
    return rate * rate * (slope * (double)t->curve[k] + bend);
}

/* Weighted value of a sample from |w|^2 / 2 and the log-determinant. */
NLLK_INLINE double gaussian_value(const nllk_vectors *a, double half_square, double log_sum, REAL weight)
{
    double constant = a->full ? (double)a->dimension * 0x1.d67f1c864beb5p-1 : 0; /* log(2 pi) / 2 */
    return weight == 0 ? 0 : weight * (half_square + (log_sum + constant));
}

NLLK_INLINE double nan_of(double value) { return value == value ? 0 : value; }

/* The compensated sum of n logarithms, which may be large and of one sign. */
NLLK_INLINE double sum_logs(const REAL *x, ptrdiff_t n)
{
    double high[LANES] = {0}, low[LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i += LANES)
        wide_add(high, low, x + i, n - i < LANES ? (int)(n - i) : LANES);
    double sum = high[0], lost = low[0];
    for (int k = 1; k < LANES; k++) {
        double next = sum + high[k], part = next - sum;
        lost += (sum - (next - part)) + (high[k] - part) + low[k];
        sum = next;
    }
    return sum + (lost == lost ? lost : 0); /* not of an infinite sum */
}

/* The arrays are a few cache lines longer than needed, so that no two start at the same offset of a page: a load waits for
 * earlier stores at the same offset. */
#define LANES_SIZE (NLLK_VECTOR_MAX * LANES + 72)

typedef struct {
    double w[LANES_SIZE], b[LANES_SIZE], g[LANES_SIZE];
    double rows[LANES_SIZE]; /* a sample a row: on its way into lanes or out of them */
    double factor[LANES];    /* what multiplies derivatives; 0: the sample does not count */
    double sum[LANES];       /* of the values, so far */
    double undefined
        [LANES]; /* NaN where the value is NaN, else 0: added to derivatives that do not depend on the target */
    REAL weight[LANES];
} lanes_work;

/* x, or x - y if y is not NULL, of `count` samples of n numbers: a sample a lane.  A sample of weight 0 gets zeros. */
static void read_rows_to_lanes(const REAL *x, const REAL *y, ptrdiff_t n, ptrdiff_t count, lanes_work *m, double *lanes)
{
    if (y)
        for (ptrdiff_t i = 0; i < count * n; i++)
            m->rows[i] = (double)x[i] - (double)y[i];
    else
        for (ptrdiff_t i = 0; i < count * n; i++)
            m->rows[i] = (double)x[i];
    for (ptrdiff_t r = 0; r < LANES; r++)
        if (m->weight[r] == 0)
            memset(m->rows + r * n, 0, n * sizeof *m->rows);
    rows_to_lanes(m->rows, n, lanes);
}

static void read_differences(const nllk_vectors *a, ptrdiff_t first, ptrdiff_t count, lanes_work *m)
{
    const ptrdiff_t d = a->dimension, next = (first + LANES) * d;
    fetch((const REAL *)a->target + next, LANES * d, 0);
    fetch((const REAL *)a->input[0] + next, LANES * d, 0);
    if (a->grad[0])
        fetch((const REAL *)a->grad[0] + next, LANES * d, 1);
    for (ptrdiff_t r = 0; r < LANES; r++)
        m->weight[r] = r < count ? vector_weight(a, first + r) : R(0.0);
    for (int r = 0; r < LANES; r++)
        m->factor[r] = a->scale * (double)m->weight[r];
    read_rows_to_lanes((const REAL *)a->target + first * d, (const REAL *)a->input[0] + first * d, d, count, m, m->w);
    memset(m->w + d * LANES, 0, (FACTOR_ROWS(d) - d) * LANES * sizeof *m->w);
}

/* Numbers in lanes to an output of `count` samples of n numbers. */
static void write_lanes(void *out, ptrdiff_t first, ptrdiff_t count, ptrdiff_t n, const double *lanes, lanes_work *m)
{
    REAL *to = (REAL *)out + first * n;
    lanes_to_rows(lanes, n, m->rows);
    for (ptrdiff_t i = 0; i < count * n; i++)
        to[i] = (REAL)m->rows[i];
}

static void add_lane_values(const nllk_vectors *a, ptrdiff_t first, ptrdiff_t count, const double *log_sum,
                            lanes_work *m)
{
    double half_square[LANES] = {0};
    REAL value[LANES];
    for (ptrdiff_t i = 0; i < a->dimension; i += LANES) {
        const ptrdiff_t end = i + LANES < a->dimension ? i + LANES : a->dimension;
        double some[LANES] = {0};
        for (ptrdiff_t k = i; k < end; k++) {
            const double *x = m->w + k * LANES;
#pragma omp simd
            for (int r = 0; r < LANES; r++)
                some[r] = mul_add_double(0.5 * x[r], x[r], some[r]);
        }
        for (int r = 0; r < LANES; r++)
            half_square[r] += some[r];
    }
    for (int r = 0; r < LANES; r++) {
        double weighted = gaussian_value(a, half_square[r], log_sum[r], m->weight[r]);
        value[r] = (REAL)weighted;
        m->sum[r] += weighted;
        m->undefined[r] = nan_of(weighted);
    }
    if (a->loss)
        memcpy((REAL *)a->loss + first, value, count * sizeof *value);
}

/* ---- one factor for all samples ---- */

/* What NLLK_PREPARE stores behind the NLLK_PITCH(d)^2 numbers of L. */
typedef struct {
    diagonal t;
    double norms[NLLK_VECTOR_MAX], log_sum[LANES];
} shared_factor;

#define SHARED_FACTOR(a) ((shared_factor *)((a)->shared + NLLK_PITCH((a)->dimension) * NLLK_PITCH((a)->dimension)))

static void prepare_shared(const nllk_vectors *a)
{
    _Static_assert(sizeof(shared_factor) <= 8 * NLLK_VECTOR_MAX * sizeof(double), "NLLK_SHARED_SIZE");
    const ptrdiff_t d = a->dimension, pitch = NLLK_PITCH(d);
    const REAL *L = a->input[1];
    shared_factor *f = SHARED_FACTOR(a);
    REAL raw[NLLK_VECTOR_MAX];
    double log_sum = 0;
    memset(a->shared, 0, pitch * pitch * sizeof *a->shared);
    for (ptrdiff_t i = 0; i < pitch; i++)
        f->t.inverse[i] = f->t.again[i] = 1;
    for (ptrdiff_t i = 0; i < d; i++)
        for (ptrdiff_t j = 0; j < i; j++)
            a->shared[i * pitch + j] = a->factor ? a->factor[i * d + j] : (double)L[i * d + j];
    if (a->factor) {
        log_sum = a->log_sum;
        for (ptrdiff_t i = 0; i < d; i++)
            f->t.inverse[i] = 1 / a->factor[i * d + i];
    } else {
        for (ptrdiff_t i = 0; i < d; i++)
            raw[i] = L[i * d + i];
        link_diagonal(a->link, raw, d, &f->t);
        log_sum = sum_logs(f->t.log, d);
    }
    for (int r = 0; r < LANES; r++)
        f->log_sum[r] = log_sum;
    if (a->want >= WANT_HESS)
        column_norms(1, a->shared, pitch, d, &f->t, f->norms);
}

/* The sums of a part: G_ij of the gradient by L, j < i, and in lanes: of b_i w_i, of w_i^2, and of the factors. */
#define PART_PRODUCTS(part, pitch) ((part) + (pitch) * (pitch))
#define PART_SQUARES(part, pitch) (PART_PRODUCTS(part, pitch) + (pitch) * LANES)
#define PART_FACTORS(part, pitch) (PART_SQUARES(part, pitch) + (pitch) * LANES)

/* Adds LANES samples; m->g is -factor g, and m->rows holds w. */
static void add_to_part(const nllk_vectors *a, const lanes_work *m, double *part)
{
    const ptrdiff_t d = a->dimension, pitch = NLLK_PITCH(d);
    double *products = PART_PRODUCTS(part, pitch), *squares = PART_SQUARES(part, pitch);
    for (ptrdiff_t i = 0; i < d; i++) {
        const double *w = m->w + i * LANES, *b = m->b + i * LANES;
        double *product = products + i * LANES, *square = squares + i * LANES;
#pragma omp simd
        for (int r = 0; r < LANES; r++) {
            double x = m->factor[r] * w[r];
            product[r] = mul_add_double(x, b[r], product[r]);
            square[r] = mul_add_double(x, w[r], square[r]);
        }
    }
    for (int r = 0; r < LANES; r++)
        PART_FACTORS(part, pitch)[r] += m->factor[r] + m->undefined[r];
    /* Four rows and LANES columns at a time; nothing reads what falls on and above the diagonal. */
    for (ptrdiff_t i = 0; i < d; i += 4) {
        const double *g = m->g + i * LANES;
        for (ptrdiff_t j = 0; j < i + 3; j += LANES) {
            double *restrict to = part + i * pitch + j;
            double s[4][LANES];
            FOUR memcpy(s[q], to + q * pitch, sizeof s[q]);
            for (int r = 0; r < LANES; r++) {
                const double *x = m->rows + r * d + j; /* nothing reads what comes of numbers past the row's end */
#pragma omp simd
                for (int k = 0; k < LANES; k++)
                    FOUR s[q][k] = mul_add_double(g[q * LANES + r], x[k], s[q][k]);
            }
            FOUR memcpy(to + q * pitch, s[q], sizeof s[q]);
        }
    }
}

static double gaussian_part(const nllk_vectors *a, ptrdiff_t index)
{
    const ptrdiff_t d = a->dimension, pitch = NLLK_PITCH(d), rows = FACTOR_ROWS(d);
    const ptrdiff_t begin = index * a->part, end = begin + a->part < a->samples ? begin + a->part : a->samples;
    const shared_factor *f = SHARED_FACTOR(a);
    double *part = a->parts ? a->parts + index * NLLK_PART_SIZE(d) : NULL;
    double precision[NLLK_VECTOR_MAX];
    lanes_work m;
    memset(m.sum, 0, sizeof m.sum);
    if (part)
        memset(part, 0, NLLK_PART_SIZE(d) * sizeof *part);
    for (ptrdiff_t i = 0; a->want >= WANT_HESS && i < d; i++) {
        double n = over_theta_double(f->norms[i], f->t.inverse[i], f->t.again[i]);
        precision[i] = over_theta_double(n, f->t.inverse[i], f->t.again[i]);
    }
    for (ptrdiff_t first = begin; first < end; first += LANES) {
        ptrdiff_t count = end - first < LANES ? end - first : LANES;
        read_differences(a, first, count, &m);
        forward_lanes(0, a->shared, pitch, rows, &f->t, m.w);
        add_lane_values(a, first, count, f->log_sum, &m);
        if (a->want < WANT_GRAD)
            continue;
        backward_lanes(0, a->shared, pitch, rows, &f->t, m.w, m.b, m.g);
        for (ptrdiff_t i = 0; i < rows; i++) {
            double *g = m.g + i * LANES;
            for (int r = 0; r < LANES; r++)
                g[r] = m.factor[r] == 0 ? 0.0 : -m.factor[r] * g[r];
        }
        write_lanes(a->grad[0], first, count, d, m.g, &m);
        REAL *h = element_of(a->hess[0], first * d);
        for (ptrdiff_t r = 0; a->want >= WANT_HESS && r < count; r++)
            for (ptrdiff_t i = 0; i < d; i++)
                h[r * d + i] = m.factor[r] == 0 ? R(0.0) : (REAL)(m.factor[r] * precision[i] + m.undefined[r]);
        if (part) {
            lanes_to_rows(m.w, d, m.rows);
            add_to_part(a, &m, part);
        }
    }
    return sum_lanes(m.sum);
}

/* The derivatives by the shared factor, from the sums of the parts, added in their order. */
static void finish_shared(const nllk_vectors *a)
{
    const ptrdiff_t d = a->dimension, pitch = NLLK_PITCH(d), size = NLLK_PART_SIZE(d);
    const shared_factor *f = SHARED_FACTOR(a);
    double *total = a->parts;
    for (ptrdiff_t p = 1; p < a->part_count; p++)
        for (ptrdiff_t k = 0; k < size; k++)
            total[k] += total[p * size + k];
    const double one = sum_lanes(PART_FACTORS(total, pitch));
    const double undefined = one == one ? 0.0 : one;
    double squares[NLLK_VECTOR_MAX];
    for (ptrdiff_t i = 0; i < d; i++) {
        REAL *to = (REAL *)a->grad[1] + i * d, *h = element_of(a->hess[1], i * d);
        const double product = sum_lanes(PART_PRODUCTS(total, pitch) + i * LANES), slope = one - product;
        for (ptrdiff_t j = 0; j < d; j++)
            to[j] = j < i ? (REAL)total[i * pitch + j] : R(0.0);
        to[i] = (REAL)diagonal_grad(slope, &f->t, i);
        if (a->want < WANT_HESS)
            continue;
        squares[i] = sum_lanes(PART_SQUARES(total, pitch) + i * LANES);
        double n = over_theta_double(f->norms[i], f->t.inverse[i], f->t.again[i]);
        n = over_theta_double(n, f->t.inverse[i], f->t.again[i]);
        for (ptrdiff_t j = 0; j < d; j++)
            h[j] = j < i ? (REAL)(n * squares[j] + undefined) : R(0.0);
        h[i] = (REAL)diagonal_hess(f->norms[i] * squares[i], product, slope, one, &f->t, i);
    }
}

#endif
