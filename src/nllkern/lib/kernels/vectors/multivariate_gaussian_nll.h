/* Negative log-likelihood of a vector y of d numbers, mean mu, covariance L L^T, L lower-triangular with a diagonal theta_i > 0:
 *
 *   L w = y - mu (forward substitution),  b = w - (strict L)^T g,  g_i = b_i / theta_i (back substitution: L^T g = w)
 *
 *   value      = |w|^2 / 2 + sum_i log(theta_i) + d log(2 pi) / 2
 *   dL/dmu_i   = -g_i                                   d2/dmu_i^2 = N_i / theta_i^2
 *   dL/dL_ij   = -g_i w_j                (j < i)        d2/dL_ij^2 = w_j^2 N_i / theta_i^2
 *   theta_i dL/dtheta_i = 1 - b_i w_i                   theta_i^2 d2/dtheta_i^2 = N_i w_i^2 + 2 b_i w_i - 1
 *                                                       d2/d(log theta_i)^2     = N_i w_i^2 + b_i w_i
 *
 * N_i = |v|^2, L v = theta_i e_i: a forward substitution from row i down, where v_i = 1.  No inverse is ever formed.
 * Golub & Van Loan, Matrix Computations (2013), section 3.1.
 *
 * Three loops.  A factor each: samples of few dimensions lie side by side in lanes, those of many are taken one by one along
 * the vector.  One factor for all: always in lanes, and each number of L serves all of them. */
#include "gaussian_shared.h"

#define GAUSSIAN_LANES_MAX 16 /* up to so many dimensions, samples with a factor each lie in lanes */

/* ---- samples in lanes ---- */

/* N_i of every lane. */
static void lane_norms(const double *L, ptrdiff_t pitch, ptrdiff_t d, const diagonal *t, ptrdiff_t i, double *n)
{
    double v[GAUSSIAN_LANES_MAX * LANES];
    for (int r = 0; r < LANES; r++)
        v[i * LANES + r] = n[r] = 1;
    for (ptrdiff_t k = i + 1; k < d; k++) {
        double s[LANES] = {0};
        for (ptrdiff_t j = i; j < k; j++) {
#pragma omp simd
            for (int r = 0; r < LANES; r++)
                s[r] = mul_add_double(-L[(k * pitch + j) * LANES + r], v[j * LANES + r], s[r]);
        }
        for (int r = 0; r < LANES; r++) {
            const ptrdiff_t at = k * LANES + r;
            v[at] = over_theta_double(s[r], t->inverse[at], t->again[at]);
            n[r] = mul_add_double(v[at], v[at], n[r]);
        }
    }
}

/* The derivatives of `count` samples with a factor each, by way of `x`. */
static void write_lane_derivatives(const nllk_vectors *a, ptrdiff_t first, ptrdiff_t count, const double *L,
                                   const diagonal *t, double *x, lanes_work *m)
{
    const ptrdiff_t d = a->dimension;
    double n[LANES], precision[GAUSSIAN_LANES_MAX * LANES];
    for (ptrdiff_t i = 0; i < d; i++) {
        const ptrdiff_t at = i * LANES;
        const double *g = m->g + at, *b = m->b + at, *w = m->w + at, *factor = m->factor;
        for (ptrdiff_t j = 0; j < d; j++) {
            double *to = x + (i * d + j) * LANES;
            for (int r = 0; r < LANES; r++)
                to[r] = j < i ? 0.0 - factor[r] * g[r] * m->w[j * LANES + r] : 0.0;
        }
        for (int r = 0; r < LANES; r++)
            x[(i * d + i) * LANES + r] = factor[r] * diagonal_grad(1 - b[r] * w[r], t, at + r);
    }
    write_lanes(a->grad[1], first, count, d * d, x, m);
    for (ptrdiff_t i = 0; i < d; i++)
        for (int r = 0; r < LANES; r++)
            x[i * LANES + r] = 0.0 - m->factor[r] * m->g[i * LANES + r];
    write_lanes(a->grad[0], first, count, d, x, m);
    if (a->want < WANT_HESS)
        return;
    for (ptrdiff_t i = 0; i < d; i++) {
        const ptrdiff_t at = i * LANES;
        const double *b = m->b + at, *w = m->w + at, *factor = m->factor;
        double *p = precision + at;
        lane_norms(L, d, d, t, i, n);
        for (int r = 0; r < LANES; r++) {
            p[r] = over_theta_double(n[r], t->inverse[at + r], t->again[at + r]);
            p[r] = factor[r] * over_theta_double(p[r], t->inverse[at + r], t->again[at + r]) + m->undefined[r];
        }
        for (ptrdiff_t j = 0; j < d; j++) {
            const double *wj = m->w + j * LANES;
            double *to = x + (i * d + j) * LANES;
            for (int r = 0; r < LANES; r++)
                to[r] = j < i ? p[r] * wj[r] * wj[r] : 0.0;
        }
        for (int r = 0; r < LANES; r++) {
            double bw = b[r] * w[r], nww = n[r] * w[r] * w[r];
            x[(i * d + i) * LANES + r] = factor[r] * diagonal_hess(nww, bw, 1 - bw, 1, t, at + r);
        }
    }
    write_lanes(a->hess[1], first, count, d * d, x, m);
    write_lanes(a->hess[0], first, count, d, precision, m);
}

static double gaussian_lanes(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    enum { MOST = GAUSSIAN_LANES_MAX * LANES, FACTORS = (GAUSSIAN_LANES_MAX * GAUSSIAN_LANES_MAX + 4) * LANES };
    _Static_assert(MOST <= NLLK_VECTOR_MAX, "the diagonals of all lanes");
    _Static_assert(FACTORS <= LANES_SIZE, "the factors of all lanes");
    const ptrdiff_t d = a->dimension, rows = FACTOR_ROWS(d), size = d * d;
    double L[FACTORS], x[FACTORS], log_sum[LANES], lost[LANES];
    REAL raw[MOST];
    diagonal t;
    lanes_work m;
    memset(m.sum, 0, sizeof m.sum);
    for (ptrdiff_t i = 0; i < rows * LANES; i++)
        t.inverse[i] = t.again[i] = 1;
    for (ptrdiff_t first = begin; first < end; first += LANES) {
        ptrdiff_t count = end - first < LANES ? end - first : LANES;
        read_differences(a, first, count, &m);
        fetch((const REAL *)a->input[1] + (first + LANES) * size, LANES * size, 0);
        if (a->grad[1])
            fetch((const REAL *)a->grad[1] + (first + LANES) * size, LANES * size, 1);
        read_rows_to_lanes((const REAL *)a->input[1] + first * size, NULL, size, count, &m, L);
        memset(L + size * LANES, 0, ((rows * d - size) + 4) * LANES * sizeof *L); /* rows past the end */
        for (ptrdiff_t i = 0; i < d; i++)
            for (int r = 0; r < LANES; r++)
                raw[i * LANES + r] = m.weight[r] == 0 ? R(1.0) : (REAL)L[(i * d + i) * LANES + r];
        link_diagonal(a->link, raw, d * LANES, &t);
        memset(log_sum, 0, sizeof log_sum);
        memset(lost, 0, sizeof lost);
        for (ptrdiff_t i = 0; i < d; i++)
            wide_add(log_sum, lost, t.log + i * LANES, LANES);
        for (int r = 0; r < LANES; r++)
            log_sum[r] += lost[r];
        forward_lanes(1, L, d, rows, &t, m.w);
        add_lane_values(a, first, count, log_sum, &m);
        if (a->want >= WANT_GRAD) {
            backward_lanes(1, L, d, rows, &t, m.w, m.b, m.g);
            write_lane_derivatives(a, first, count, L, &t, x, &m);
        }
    }
    return sum_lanes(m.sum);
}

/* ---- one sample after the other ---- */

static double gaussian_rows(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t d = a->dimension;
    double w[NLLK_VECTOR_MAX + LANES], b[NLLK_VECTOR_MAX], n[NLLK_VECTOR_MAX], sum = 0;
    REAL raw[NLLK_VECTOR_MAX];
    diagonal t;
    memset(w, 0, sizeof w);
    for (ptrdiff_t s = begin; s < end; s++) {
        const REAL *mu = (const REAL *)a->input[0] + s * d, *y = (const REAL *)a->target + s * d;
        const REAL *L = (const REAL *)a->input[1] + s * d * d;
        REAL *grad[2] = {element_of(a->grad[0], s * d), element_of(a->grad[1], s * d * d)};
        REAL *hess[2] = {element_of(a->hess[0], s * d), element_of(a->hess[1], s * d * d)};
        REAL weight = vector_weight(a, s);
        if (weight == 0) {
            if (a->loss)
                ((REAL *)a->loss)[s] = 0;
            for (int k = 0; k < 2; k++) {
                if (a->want >= WANT_GRAD)
                    memset(grad[k], 0, (k ? d * d : d) * sizeof(REAL));
                if (a->want >= WANT_HESS)
                    memset(hess[k], 0, (k ? d * d : d) * sizeof(REAL));
            }
            continue;
        }
        const double factor = a->scale * (double)weight;
        for (ptrdiff_t i = 0; i < d; i++) {
            raw[i] = L[i * d + i];
            w[i] = (double)y[i] - (double)mu[i];
        }
        if (grad[1])
            for (ptrdiff_t i = d > ROWS_AHEAD ? d - ROWS_AHEAD : 0; i < d; i++)
                fetch(grad[1] + i * d, d, 1);
        link_diagonal(a->link, raw, d, &t);
        forward_rows(L, d, &t, w);
        const double value = gaussian_value(a, 0.5 * dot_squares(w, d), sum_logs(t.log, d), weight);
        sum += value;
        if (a->loss)
            ((REAL *)a->loss)[s] = (REAL)value;
        if (a->want < WANT_GRAD)
            continue;
        if (a->want >= WANT_HESS)
            column_norms(0, L, d, d, &t, n);
        /* From the last rows up: when those of L are used up, an output may lie over them. */
        memcpy(b, w, d * sizeof *b);
        for (ptrdiff_t end_rows = d; end_rows > 0;) {
            const ptrdiff_t begin_rows = (end_rows - 1) & ~(ptrdiff_t)3;
            double g[4];
            backward_rows(L, d, &t, begin_rows, end_rows, b, g);
            for (ptrdiff_t i = begin_rows - ROWS_AHEAD; i < end_rows - ROWS_AHEAD && i >= 0; i++)
                fetch(grad[1] + i * d, d, 1);
            for (ptrdiff_t i = begin_rows; i < end_rows; i++) {
                const double gi = g[i - begin_rows], bw = b[i] * w[i];
                REAL *to = grad[1] + i * d, *h = element_of(hess[1], i * d);
                if (a->want >= WANT_HESS) {
                    double precision = over_theta_double(n[i], t.inverse[i], t.again[i]);
                    precision = over_theta_double(precision, t.inverse[i], t.again[i]) + nan_of(value);
                    hess[0][i] = (REAL)(factor * precision);
                    for (ptrdiff_t j = 0; j < i; j++)
                        h[j] = (REAL)(factor * (precision * w[j] * w[j]));
                    h[i] = (REAL)(factor * diagonal_hess(n[i] * w[i] * w[i], bw, 1 - bw, 1, &t, i));
                    memset(h + i + 1, 0, (d - i - 1) * sizeof *h);
                }
                for (ptrdiff_t j = 0; j < i; j++)
                    to[j] = (REAL)(factor * (-gi * w[j]));
                to[i] = (REAL)(factor * diagonal_grad(1 - bw, &t, i));
                memset(to + i + 1, 0, (d - i - 1) * sizeof *to);
                grad[0][i] = (REAL)(factor * -gi);
            }
            end_rows = begin_rows;
        }
    }
    return sum;
}

static double multivariate_gaussian_nll(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    double sum = 0;
    if (!a->shared)
        return a->dimension <= GAUSSIAN_LANES_MAX ? gaussian_lanes(a, begin, end) : gaussian_rows(a, begin, end);
    if (a->step == NLLK_PREPARE)
        prepare_shared(a);
    else if (a->step == NLLK_FINISH)
        finish_shared(a);
    else
        for (ptrdiff_t k = begin; k < end; k++)
            sum += gaussian_part(a, k);
    return sum;
}
