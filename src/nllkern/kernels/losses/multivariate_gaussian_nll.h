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

/* x, a number for every lane, to element `at` of `count` samples of `size` numbers; 0 where the factor is. */
NLLK_INLINE void write_lanes(void *out, ptrdiff_t first, ptrdiff_t count, ptrdiff_t size, ptrdiff_t at, const double *x,
                             const double *factor)
{
    REAL *to = (REAL *)out + first * size + at;
    for (ptrdiff_t r = 0; r < count; r++)
        to[r * size] = factor[r] == 0 ? R(0.0) : (REAL)(factor[r] * x[r]);
}

/* N_i of every lane. */
static void lane_norms(const double *L, ptrdiff_t pitch, ptrdiff_t d, const diagonal *t, ptrdiff_t i, double *n)
{
    double v[GAUSSIAN_LANES_MAX * VECTOR_LANES];
    for (int r = 0; r < VECTOR_LANES; r++)
        v[i * VECTOR_LANES + r] = n[r] = 1;
    for (ptrdiff_t k = i + 1; k < d; k++) {
        double s[VECTOR_LANES] = {0};
        for (ptrdiff_t j = i; j < k; j++) {
#pragma omp simd
            for (int r = 0; r < VECTOR_LANES; r++)
                s[r] = mul_add_double(-L[(k * pitch + j) * VECTOR_LANES + r], v[j * VECTOR_LANES + r], s[r]);
        }
        for (int r = 0; r < VECTOR_LANES; r++) {
            const ptrdiff_t at = k * VECTOR_LANES + r;
            v[at] = over_theta_double(s[r], t->inverse[at], t->again[at]);
            n[r] = mul_add_double(v[at], v[at], n[r]);
        }
    }
}

/* The derivatives of `count` samples with a factor each. */
static void write_lane_derivatives(const nllk_vectors *a, ptrdiff_t first, ptrdiff_t count, const double *L,
                                   const diagonal *t, const lanes_work *m)
{
    const ptrdiff_t d = a->dimension, pitch = FACTOR_ROWS(d);
    double x[VECTOR_LANES], n[VECTOR_LANES];
    const double zero[VECTOR_LANES] = {0};
    for (ptrdiff_t i = 0; i < d; i++) {
        const ptrdiff_t at = i * VECTOR_LANES;
        const double *g = m->g + at, *b = m->b + at, *w = m->w + at;
        for (int r = 0; r < VECTOR_LANES; r++)
            x[r] = -g[r];
        write_lanes(a->grad[0], first, count, d, i, x, m->factor);
        for (ptrdiff_t j = 0; j < i; j++) {
            for (int r = 0; r < VECTOR_LANES; r++)
                x[r] = -g[r] * m->w[j * VECTOR_LANES + r];
            write_lanes(a->grad[1], first, count, d * d, i * d + j, x, m->factor);
        }
        for (int r = 0; r < VECTOR_LANES; r++)
            x[r] = diagonal_grad(1 - b[r] * w[r], t, at + r);
        write_lanes(a->grad[1], first, count, d * d, i * d + i, x, m->factor);
        for (ptrdiff_t j = i + 1; j < d; j++)
            write_lanes(a->grad[1], first, count, d * d, i * d + j, x, zero);
        if (a->want < WANT_HESS)
            continue;
        lane_norms(L, pitch, d, t, i, n);
        for (int r = 0; r < VECTOR_LANES; r++) {
            double bw = b[r] * w[r], nww = n[r] * w[r] * w[r];
            x[r] = diagonal_hess(nww, bw, 1 - bw, 1, t, at + r);
            n[r] = over_theta_double(over_theta_double(n[r], t->inverse[at + r], t->again[at + r]), t->inverse[at + r],
                                     t->again[at + r]);
        }
        write_lanes(a->hess[0], first, count, d, i, n, m->factor);
        write_lanes(a->hess[1], first, count, d * d, i * d + i, x, m->factor);
        for (ptrdiff_t j = 0; j < i; j++) {
            const double *wj = m->w + j * VECTOR_LANES;
            for (int r = 0; r < VECTOR_LANES; r++)
                x[r] = n[r] * wj[r] * wj[r];
            write_lanes(a->hess[1], first, count, d * d, i * d + j, x, m->factor);
        }
        for (ptrdiff_t j = i + 1; j < d; j++)
            write_lanes(a->hess[1], first, count, d * d, i * d + j, x, zero);
    }
}

static double gaussian_lanes(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    enum { MOST = GAUSSIAN_LANES_MAX * VECTOR_LANES };
    _Static_assert(MOST <= NLLK_VECTOR_MAX, "the diagonals of all lanes");
    const ptrdiff_t d = a->dimension, pitch = FACTOR_ROWS(d);
    double L[GAUSSIAN_LANES_MAX * MOST], log_sum[VECTOR_LANES];
    REAL raw[MOST];
    diagonal t;
    lanes_work m;
    memset(m.sum, 0, sizeof m.sum);
    memset(L, 0, pitch * pitch * VECTOR_LANES * sizeof *L);
    for (ptrdiff_t i = 0; i < pitch * VECTOR_LANES; i++)
        t.inverse[i] = t.again[i] = 1;
    for (ptrdiff_t first = begin; first < end; first += VECTOR_LANES) {
        ptrdiff_t count = end - first < VECTOR_LANES ? end - first : VECTOR_LANES;
        read_differences(a, first, count, &m);
        for (ptrdiff_t r = 0; r < VECTOR_LANES; r++) {
            int counts = m.weight[r] != 0;
            const REAL *from = (const REAL *)a->input[1] + (first + r) * d * d;
            for (ptrdiff_t i = 0; i < d; i++) {
                for (ptrdiff_t j = 0; j < i; j++)
                    L[(i * pitch + j) * VECTOR_LANES + r] = counts ? (double)from[i * d + j] : 0;
                raw[i * VECTOR_LANES + r] = counts ? from[i * d + i] : R(1.0);
            }
        }
        link_diagonal(a->link, raw, d * VECTOR_LANES, &t);
        memset(log_sum, 0, sizeof log_sum);
        for (ptrdiff_t i = 0; i < d; i++)
            for (int r = 0; r < VECTOR_LANES; r++)
                log_sum[r] += (double)t.log[i * VECTOR_LANES + r];
        forward_lanes(1, L, pitch, pitch, &t, m.w);
        add_lane_values(a, first, count, log_sum, &m);
        if (a->want >= WANT_GRAD) {
            backward_lanes(1, L, pitch, pitch, &t, m.w, m.b, m.g);
            write_lane_derivatives(a, first, count, L, &t, &m);
        }
    }
    return sum_vector_lanes(m.sum);
}

/* ---- one sample after the other ---- */

static double gaussian_rows(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t d = a->dimension;
    double w[NLLK_VECTOR_MAX + VECTOR_LANES], b[NLLK_VECTOR_MAX], n[NLLK_VECTOR_MAX], sum = 0;
    REAL raw[NLLK_VECTOR_MAX];
    diagonal t;
    memset(w, 0, sizeof w);
    for (ptrdiff_t s = begin; s < end; s++) {
        const REAL *mu = (const REAL *)a->input[0] + s * d, *y = (const REAL *)a->target + s * d;
        const REAL *L = (const REAL *)a->input[1] + s * d * d;
        REAL *grad[2] = {(REAL *)a->grad[0] + s * d, (REAL *)a->grad[1] + s * d * d};
        REAL *hess[2] = {(REAL *)a->hess[0] + s * d, (REAL *)a->hess[1] + s * d * d};
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
        double log_sum = 0;
        for (ptrdiff_t i = 0; i < d; i++)
            raw[i] = L[i * d + i];
        link_diagonal(a->link, raw, d, &t);
        for (ptrdiff_t i = 0; i < d; i++) {
            log_sum += (double)t.log[i];
            w[i] = (double)y[i] - (double)mu[i];
        }
        w[0] = over_theta_double(w[0], t.inverse[0], t.again[0]);
        forward_rows(L, d, &t, 0, w);
        const REAL value = gaussian_value(a, 0.5 * dot_squares(w, d), log_sum, weight);
        sum += value;
        if (a->loss)
            ((REAL *)a->loss)[s] = value;
        if (a->want < WANT_GRAD)
            continue;
        if (a->want >= WANT_HESS)
            column_norms(0, L, d, d, &t, n);
        /* From the last row up: a row of L is used up, and an output may lie over it. */
        memcpy(b, w, d * sizeof *b);
        for (ptrdiff_t i = d - 1; i >= 0; i--) {
            const double g = over_theta_double(b[i], t.inverse[i], t.again[i]), bw = b[i] * w[i];
            const REAL *row = L + i * d;
            REAL *to = grad[1] + i * d;
            for (ptrdiff_t j = 0; j < i; j++)
                b[j] = mul_add_double(-(double)row[j], g, b[j]);
            if (a->want >= WANT_HESS) {
                REAL *h = hess[1] + i * d;
                double precision =
                    over_theta_double(over_theta_double(n[i], t.inverse[i], t.again[i]), t.inverse[i], t.again[i]);
                hess[0][i] = (REAL)(factor * precision);
                for (ptrdiff_t j = 0; j < i; j++)
                    h[j] = (REAL)(factor * (precision * w[j] * w[j]));
                h[i] = (REAL)(factor * diagonal_hess(n[i] * w[i] * w[i], bw, 1 - bw, 1, &t, i));
                for (ptrdiff_t j = i + 1; j < d; j++)
                    h[j] = 0;
            }
            for (ptrdiff_t j = 0; j < i; j++)
                to[j] = (REAL)(factor * (-g * w[j]));
            to[i] = (REAL)(factor * diagonal_grad(1 - bw, &t, i));
            for (ptrdiff_t j = i + 1; j < d; j++)
                to[j] = 0;
            grad[0][i] = (REAL)(factor * -g);
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
