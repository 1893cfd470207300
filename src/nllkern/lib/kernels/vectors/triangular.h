/* Lower-triangular systems L x = y and L^T x = y by substitution, in doubles: with LANES right-hand sides side by
 * side, or with one, along its rows.  The diagonal theta > 0 comes from raw numbers through a link. */
#ifndef NLLK_TRIANGULAR_H
#define NLLK_TRIANGULAR_H

#include "vectors.h"

/* The diagonal of one factor, or of LANES of them. */
typedef struct {
    double inverse[NLLK_VECTOR_MAX],
        again[NLLK_VECTOR_MAX];                        /* 1 / theta = again inverse again, none of which overflows */
    double rate[NLLK_VECTOR_MAX];                      /* dlog(theta)/du */
    REAL log[NLLK_VECTOR_MAX], curve[NLLK_VECTOR_MAX]; /* log(theta); curve and in_log of links.h */
    REAL in_log[NLLK_VECTOR_MAX];
} diagonal;

#if NLLK_BITS == 32
/* x^2, at most 2^1000 and at least 2^-1000: float needs no more of 1 / theta. */
static double limited_square(double x)
{
    const double most = 0x1p500, least = 0x1p-500, limited = x > most ? most : x < least ? least : x;
    return limited * limited;
}
#endif

/* At most TILE numbers.  The loop of the link gets 1 in place of those that are not ordinary; these follow one by one. */
static void link_tile(int link, const REAL *raw, ptrdiff_t n, diagonal *to, ptrdiff_t at)
{
    const link_row *row = &SYMBOL(links)[link];
    const range ordinary = row->range(ORDINARY_THETA_BITS);
    const int is_identity = link == LINK_IDENTITY, is_softplus = link == LINK_SOFTPLUS;
    const REAL one_rate = row->one_rate, in_log = link == LINK_LOG ? R(1.0) : R(0.0);
    ALIGNED REAL u[TILE];
    prepared p;
    UBITS apart = 0;
    for (ptrdiff_t i = n; i < TILE; i++)
        u[i] = 1;
#pragma omp simd reduction(| : apart)
    for (ptrdiff_t i = 0; i < n; i++) {
        u[i] = raw[i] >= ordinary.low && raw[i] <= ordinary.high ? raw[i] : R(1.0);
        apart |= u[i] == raw[i] ? 0 : 1;
    }
    row->prepare(u, (n + LANES - 1) & ~(ptrdiff_t)(LANES - 1), WANT_HESS, 1, &p);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        const double inverse = 1.0 / (double)p.value[i];
        const REAL curve = is_softplus ? p.curve[i] : R(0.0);
        to->inverse[at + i] = inverse;
        to->again[at + i] = 1;
        to->rate[at + i] = is_identity ? inverse : one_rate != R(0.0) ? one_rate : (double)p.rate[i];
        to->log[at + i] = p.log[i];
        to->curve[at + i] = curve;
        to->in_log[at + i] = curve < 0 ? R(1.0) : in_log;
    }
    for (ptrdiff_t i = 0; apart && i < n; i++) {
        if (raw[i] >= ordinary.low && raw[i] <= ordinary.high)
            continue;
        const link_numbers x = CONCAT(link_numbers, f, 64, NLLK_LEVEL)(link, raw[i]);
        to->inverse[at + i] = x.inverse;
        to->again[at + i] = x.again;
#if NLLK_BITS == 32
        to->inverse[at + i] = x.inverse * limited_square(x.again);
#endif
        to->rate[at + i] = x.rate;
        to->log[at + i] = (REAL)x.log;
        to->curve[at + i] = (REAL)x.curve;
        to->in_log[at + i] = (REAL)x.in_log;
    }
}

static void link_diagonal(int link, const REAL *raw, ptrdiff_t n, diagonal *to)
{
    for (ptrdiff_t i = 0; i < n; i += TILE)
        link_tile(link, raw + i, n - i < TILE ? n - i : TILE, to, i);
}

NLLK_INLINE double over_theta_double(double x, double inverse, double again)
{
    return NLLK_BITS == 32 ? x * inverse : x * again * inverse * again;
}

/* Rows go by four: those past the end of L, and what they are applied to, are 0. */
#define FACTOR_ROWS(d) (((d) + 3) & ~(ptrdiff_t)3)

/* L_ij and the diagonal of lane r: one number for all lanes or, if `each`, one a lane. */
#define ELEMENT(I, J) (each ? L[((I) * pitch + (J)) * LANES + r] : L[(I) * pitch + (J)])
#define AT(X, I) (each ? (X)[(I) * LANES + r] : (X)[I])

/* Four sums side by side: unrolled, so that they stay in registers. */
#define FOUR _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++)

/* w := L^-1 w, four rows at a time. */
NLLK_INLINE void forward_lanes(int each, const double *restrict L, ptrdiff_t pitch, ptrdiff_t rows, const diagonal *t,
                               double *restrict w)
{
    for (ptrdiff_t i = 0; i < rows; i += 4) {
        double *restrict to = w + i * LANES;
        double s[4][LANES];
        for (int r = 0; r < LANES; r++)
            FOUR s[q][r] = to[q * LANES + r];
        for (ptrdiff_t j = 0; j < i; j++) {
            const double *x = w + j * LANES;
#pragma omp simd
            for (int r = 0; r < LANES; r++)
                FOUR s[q][r] = mul_add_double(-ELEMENT(i + q, j), x[r], s[q][r]);
        }
#pragma omp simd
        for (int r = 0; r < LANES; r++) {
            double x0 = over_theta_double(s[0][r], AT(t->inverse, i), AT(t->again, i));
            double y1 = mul_add_double(-ELEMENT(i + 1, i), x0, s[1][r]);
            double y2 = mul_add_double(-ELEMENT(i + 2, i), x0, s[2][r]);
            double y3 = mul_add_double(-ELEMENT(i + 3, i), x0, s[3][r]);
            double x1 = over_theta_double(y1, AT(t->inverse, i + 1), AT(t->again, i + 1));
            y2 = mul_add_double(-ELEMENT(i + 2, i + 1), x1, y2);
            y3 = mul_add_double(-ELEMENT(i + 3, i + 1), x1, y3);
            double x2 = over_theta_double(y2, AT(t->inverse, i + 2), AT(t->again, i + 2));
            y3 = mul_add_double(-ELEMENT(i + 3, i + 2), x2, y3);
            to[r] = x0;
            to[LANES + r] = x1;
            to[2 * LANES + r] = x2;
            to[3 * LANES + r] = over_theta_double(y3, AT(t->inverse, i + 3), AT(t->again, i + 3));
        }
    }
}

/* g = L^-T w and b = diagonal(theta) g, four rows at a time, from the last. */
NLLK_INLINE void backward_lanes(int each, const double *restrict L, ptrdiff_t pitch, ptrdiff_t rows, const diagonal *t,
                                const double *restrict w, double *restrict b, double *restrict g)
{
    for (ptrdiff_t i = rows - 4; i >= 0; i -= 4) {
        double *restrict to_b = b + i * LANES, *restrict to = g + i * LANES;
        double s[4][LANES];
        for (int r = 0; r < LANES; r++)
            FOUR s[q][r] = w[(i + q) * LANES + r];
        for (ptrdiff_t j = i + 4; j < rows; j++) {
            const double *y = g + j * LANES;
#pragma omp simd
            for (int r = 0; r < LANES; r++)
                FOUR s[q][r] = mul_add_double(-ELEMENT(j, i + q), y[r], s[q][r]);
        }
#pragma omp simd
        for (int r = 0; r < LANES; r++) {
            double y3 = s[3][r], x3 = over_theta_double(y3, AT(t->inverse, i + 3), AT(t->again, i + 3));
            double y2 = mul_add_double(-ELEMENT(i + 3, i + 2), x3, s[2][r]);
            double y1 = mul_add_double(-ELEMENT(i + 3, i + 1), x3, s[1][r]);
            double y0 = mul_add_double(-ELEMENT(i + 3, i), x3, s[0][r]);
            double x2 = over_theta_double(y2, AT(t->inverse, i + 2), AT(t->again, i + 2));
            y1 = mul_add_double(-ELEMENT(i + 2, i + 1), x2, y1);
            y0 = mul_add_double(-ELEMENT(i + 2, i), x2, y0);
            double x1 = over_theta_double(y1, AT(t->inverse, i + 1), AT(t->again, i + 1));
            y0 = mul_add_double(-ELEMENT(i + 1, i), x1, y0);
            to_b[r] = y0;
            to_b[LANES + r] = y1;
            to_b[2 * LANES + r] = y2;
            to_b[3 * LANES + r] = y3;
            to[r] = over_theta_double(y0, AT(t->inverse, i), AT(t->again, i));
            to[LANES + r] = x1;
            to[2 * LANES + r] = x2;
            to[3 * LANES + r] = x3;
        }
    }
}

/* The products of four rows of L, `pitch` apart, with the n numbers of w; `readable` numbers can be read at the last row. */
NLLK_INLINE void dot_four(const REAL *L, ptrdiff_t pitch, const double *w, ptrdiff_t n, ptrdiff_t readable, double *dot)
{
    double s[4][LANES] = {0};
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const REAL *x = L + j;
#pragma omp simd
        for (int k = 0; k < LANES; k++)
            FOUR s[q][k] = mul_add_double((double)x[q * pitch + k], w[j + k], s[q][k]);
    }
    const int rest = (int)(n - j), all = j + LANES <= readable;
    const REAL *x = L + j;
#pragma omp simd
    for (int k = 0; k < (all ? LANES : rest); k++) {
        double y = k < rest ? w[j + k] : 0;
        FOUR
        {
            double z = (double)x[q * pitch + k];
            s[q][k] = mul_add_double(k < rest ? z : 0, y, s[q][k]);
        }
    }
    FOUR dot[q] = sum_lanes(s[q]);
}

/* Rows of a triangle are read and written in part, which the processor does not foresee: so many rows ahead are asked for. */
#define ROWS_AHEAD 32

/* Four rows of a triangle, up to the diagonal, the first of which is row i. */
NLLK_INLINE void fetch_four(const REAL *L, ptrdiff_t d, ptrdiff_t i)
{
    for (ptrdiff_t q = 0; q < 4; q++)
        for (ptrdiff_t j = 0; j <= i + q; j += 64 / sizeof(REAL))
            __builtin_prefetch(L + (i + q) * d + j, 0, 3);
}

/* w := L^-1 w; rows of L are d numbers, w has LANES more. */
NLLK_INLINE void forward_rows(const REAL *L, ptrdiff_t d, const diagonal *t, double *w)
{
    for (ptrdiff_t i = 0; i < d; i += 4) {
        const ptrdiff_t end = i + 4 < d ? i + 4 : d, ahead = i + ROWS_AHEAD;
        double dot[4];
        fetch_four(ahead < d ? L : L + d * d, d,
                   ahead < d ? ahead : ahead - d); /* this factor's, then the next one's */
        if (end - i == 4)
            dot_four(L + i * d, d, w, i, (d - i - 3) * d, dot);
        else
            for (ptrdiff_t k = i; k < end; k++)
                dot[k - i] = dot_double(L + k * d, w, i, (d - k) * d);
        for (ptrdiff_t k = i; k < end; k++) {
            double s = w[k] - dot[k - i];
            for (ptrdiff_t j = i; j < k; j++)
                s = mul_add_double(-(double)L[k * d + j], w[j], s);
            w[k] = over_theta_double(s, t->inverse[k], t->again[k]);
        }
    }
}

/* Rows [first, end), at most four, of the back substitution L^T g = w.  It makes b final in these rows and subtracts their
 * part from those above. */
NLLK_INLINE void backward_rows(const REAL *L, ptrdiff_t d, const diagonal *t, ptrdiff_t first, ptrdiff_t end, double *b,
                               double *g)
{
    for (ptrdiff_t k = end - 1; k >= first; k--) {
        g[k - first] = over_theta_double(b[k], t->inverse[k], t->again[k]);
        for (ptrdiff_t j = first; j < k; j++)
            b[j] = mul_add_double(-(double)L[k * d + j], g[k - first], b[j]);
    }
    const REAL *x = L + first * d;
    if (end - first == 4)
        for (ptrdiff_t j = 0; j < first; j++) {
            double s = mul_add_double(-(double)x[3 * d + j], g[3], b[j]);
            s = mul_add_double(-(double)x[2 * d + j], g[2], s);
            s = mul_add_double(-(double)x[d + j], g[1], s);
            b[j] = mul_add_double(-(double)x[j], g[0], s);
        }
    else
        for (ptrdiff_t k = end - 1; k >= first; k--)
            for (ptrdiff_t j = 0; j < first; j++)
                b[j] = mul_add_double(-(double)L[k * d + j], g[k - first], b[j]);
}

/* N_i = |v|^2, L v = theta_i e_i, for every i: LANES columns side by side.  The rows of L, doubles or REAL, are `pitch`
 * apart. */
NLLK_INLINE void column_norms(int in_double, const void *L, ptrdiff_t pitch, ptrdiff_t d, const diagonal *t, double *n)
{
    double v[NLLK_VECTOR_MAX * LANES];
    for (ptrdiff_t first = 0; first < d; first += LANES) {
        double norm[LANES] = {0};
        for (ptrdiff_t k = first; k < d; k++) {
            double s[LANES] = {0};
            for (ptrdiff_t j = first; j < k; j++) {
                const ptrdiff_t at = k * pitch + j;
                const double l = in_double ? ((const double *)L)[at] : (double)((const REAL *)L)[at];
#pragma omp simd
                for (int r = 0; r < LANES; r++)
                    s[r] = mul_add_double(-l, v[j * LANES + r], s[r]);
            }
            for (int r = 0; r < LANES; r++) {
                double x = over_theta_double(s[r], t->inverse[k], t->again[k]);
                x = k < first + r ? 0 : k == first + r ? 1 : x;
                v[k * LANES + r] = x;
                norm[r] = mul_add_double(x, x, norm[r]);
            }
        }
        for (int r = 0; r < LANES && first + r < d; r++)
            n[first + r] = norm[r];
    }
}

#endif
