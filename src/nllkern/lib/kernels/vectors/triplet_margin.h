/* Triplet margin loss of an anchor a, a positive p and a negative n, with x = a - p, y = a - n and a q-norm, q >= 1:
 *
 *   z     = margin + |x| - |y|         value = max(0, z)
 *   dL/da = u(x) - u(y)                dL/dp = -u(x)              dL/dn = u(y)            where z > 0, else 0
 *   d2    = h(x) - h(y)                        h(x)                      -h(y)
 *
 *   u_i = d|x|/dx_i    = sign(x_i) t_i^(q-1),                       t_i = |x_i| / |x|
 *   h_i = d2|x|/dx_i^2 = (q - 1) t_i^(q-2) (1 - t_i^q) / |x|
 *
 * q = 1 and q = inf: u is the sign, of the largest |x_i| only (shared by those that tie), and h = 0.  Both are 0 where x is 0
 * or where the derivative does not exist.  Schroff, Kalenichenko & Philbin (2015), with the distance itself, not its square. */
#include "vectors.h"

enum { NORM_1, NORM_2, NORM_INF, NORM_ANY, NORM_MOST }; /* the last: a first pass that finds the largest */

/* log(x) = high + low, |low| < high's last digit or so: its error is some 0.1 eps where x is near 1. */
typedef struct {
    double high, low;
} long_log;

NLLK_INLINE long_log long_log_(REAL x)
{
    log_reduction u = log_reduce_any(x);
    REAL q = log1pmx_poly(u.f, R(1.0) / (R(2.0) + u.f));
#if NLLK_BITS == 32
    return (long_log){(double)u.e * 0x1.62e42fefa39efp-1 + ((double)u.f + (double)q), 0};
#else
    double first = u.e * LN2_HIGH, sum = first + u.f;
    double low = ((first - sum) + u.f) + mul_add(u.e, LN2_LOW, q), high = sum + low;
    return (long_log){high, low - (high - sum)};
#endif
}

/* (x / y)^c from their logarithms. */
NLLK_INLINE REAL power_of_ratio(long_log x, long_log y, double c)
{
#if NLLK_BITS == 32
    double all = c * (x.high - y.high);
    REAL high = (REAL)all, low = (REAL)(all - (double)high);
#else
    double difference = x.high - y.high, v = difference - x.high;
    double low = (x.high - (difference - v)) - (y.high + v) + (x.low - y.low), high = c * difference;
    low = mul_add_exact(c, difference, -high) + c * low;
#endif
    low = fabs_(high) < R(800.0) ? low : R(0.0);
    REAL e = exp_(high);
    return mul_add(e, low, e);
}

/* A vector's norm, and what its derivatives need. */
typedef struct {
    double norm, inverse; /* 1 / norm, in the scale: t_i = |x_i| scale inverse; 0 where the norm is 0 */
    double scale;         /* NORM_2: a power of two that keeps squares in range */
    long_log top, total;  /* NORM_ANY: logarithms of the largest |x_i|, and of the sum of (|x_i| / it)^q */
    REAL unit_1, unit_2;  /* total^(-(q-1)/q), total^(-(q-2)/q) */
    double share;         /* 1 / total; NORM_INF: 1 / how many |x_i| are the largest */
} vector_norm;

/* The vectors of a sample. */
typedef struct {
    const REAL *anchor, *positive, *negative;
    ptrdiff_t d;
} triplet;

NLLK_INLINE double near_difference(const triplet *x, ptrdiff_t i)
{
    return (double)x->anchor[i] - (double)x->positive[i];
}

NLLK_INLINE double far_difference(const triplet *x, ptrdiff_t i)
{
    return (double)x->anchor[i] - (double)x->negative[i];
}

typedef struct {
    double sum[LANES], not_a_number[LANES];
} norm_lanes;

NLLK_INLINE double norm_term(int kind, double x, const vector_norm *v, double q)
{
    double size = __builtin_fabs(x), scaled = NLLK_BITS == 64 ? x * v->scale : x;
    if (kind == NORM_2)
        return scaled * scaled;
    if (kind == NORM_INF)
        return size == v->norm ? 1 : 0;
    if (kind == NORM_ANY) {
        REAL part = power_of_ratio(long_log_((REAL)size), v->top, q);
        return (REAL)size == R(0.0) ? 0 : (double)part;
    }
    return size;
}

NLLK_INLINE void add_to_norm(int kind, double x, const vector_norm *v, double q, norm_lanes *s, int k)
{
    double term = norm_term(kind, x, v, q);
    if (kind == NORM_MOST) {
        s->sum[k] = term > s->sum[k] ? term : s->sum[k];
        s->not_a_number[k] = term == term ? s->not_a_number[k] : term;
    } else {
        s->sum[k] += term;
    }
}

/* The terms of both norms, with the scales and the tops that they have by then. */
NLLK_INLINE void norm_pass(int kind, const triplet *x, const vector_norm *norms, double q, norm_lanes *to)
{
    const vector_norm near = norms[0], far = norms[1];
    const triplet v = *x;
    norm_lanes s, t;
    ptrdiff_t i = 0;
    for (int k = 0; k < LANES; k++)
        s.sum[k] = t.sum[k] = s.not_a_number[k] = t.not_a_number[k] = 0;
    for (; i + LANES <= v.d; i += LANES) {
#pragma omp simd
        for (int k = 0; k < LANES; k++) {
            add_to_norm(kind, near_difference(&v, i + k), &near, q, &s, k);
            add_to_norm(kind, far_difference(&v, i + k), &far, q, &t, k);
        }
    }
    for (int k = 0; k < v.d - i; k++) {
        add_to_norm(kind, near_difference(&v, i + k), &near, q, &s, k);
        add_to_norm(kind, far_difference(&v, i + k), &far, q, &t, k);
    }
    to[0] = s;
    to[1] = t;
}

NLLK_INLINE double largest_entry(const norm_lanes *s)
{
    double most = 0, not_a_number = 0;
    for (int k = 0; k < LANES; k++) {
        most = s->sum[k] > most ? s->sum[k] : most;
        not_a_number += s->not_a_number[k];
    }
    return not_a_number == 0 ? most : not_a_number;
}

/* What the first pass says; returns whether there must be a second. */
NLLK_INLINE int open_norm(int kind, norm_lanes *s, vector_norm *v)
{
    if (kind == NORM_INF || kind == NORM_ANY) {
        v->norm = largest_entry(s);
        v->top = long_log_((REAL)v->norm);
        return v->norm > 0 && (kind == NORM_INF || v->norm < (double)REAL_INF);
    }
    v->norm = sum_lanes(s->sum);
#if NLLK_BITS == 64
    if (kind == NORM_2 && v->norm == v->norm && !(v->norm > 0x1p-800 && v->norm < 0x1p1000)) {
        v->scale = v->norm > 1 ? 0x1p-600 : 0x1p600;
        return 1;
    }
#endif
    return 0;
}

/* What the second says, or the only one of NORM_2. */
NLLK_INLINE void close_norm(int kind, int again, norm_lanes *s, double q, vector_norm *v)
{
    const long_log none = {0, 0};
    const double total = again ? sum_lanes(s->sum) : v->norm;
    if (kind == NORM_2) {
        double root = __builtin_sqrt(total);
        v->norm = root / v->scale;
        v->inverse = root == 0 ? 0 : 1 / root;
    }
    v->share = kind == NORM_INF && v->norm > 0 ? 1 / total : 0;
    if (kind == NORM_ANY && v->norm > 0 && v->norm < (double)REAL_INF) {
        v->total = long_log_((REAL)total);
        v->norm *= (double)power_of_ratio(v->total, none, 1 / q);
        v->unit_1 = power_of_ratio(v->total, none, -(q - 1) / q);
        v->unit_2 = power_of_ratio(v->total, none, -(q - 2) / q);
        v->share = 1 / total;
        v->inverse = 1 / v->norm;
    }
}

NLLK_INLINE void find_norms(int kind, const triplet *x, double q, vector_norm *norms)
{
    const int first = kind == NORM_INF || kind == NORM_ANY ? NORM_MOST : kind;
    norm_lanes s[2];
    memset(norms, 0, 2 * sizeof *norms);
    norms[0].scale = norms[1].scale = 1;
    norm_pass(first, x, norms, q, s);
    int again = open_norm(kind, &s[0], &norms[0]) | open_norm(kind, &s[1], &norms[1]);
    if (again)
        norm_pass(kind, x, norms, q, s);
    close_norm(kind, again, &s[0], q, &norms[0]);
    close_norm(kind, again, &s[1], q, &norms[1]);
}

/* u_i and h_i of the difference x. */
NLLK_INLINE double norm_slope(int kind, const vector_norm *v, double x, double q)
{
    double sign = x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0;
    if (kind == NORM_1)
        return sign;
    if (kind == NORM_2)
        return (NLLK_BITS == 64 ? x * v->scale : x) * v->inverse;
    if (kind == NORM_INF)
        return __builtin_fabs(x) == v->norm ? sign * v->share : 0.0;
    REAL size = fabs_((REAL)x);
    REAL u = power_of_ratio(long_log_(size), v->top, q - 1) * v->unit_1;
    return size == R(0.0) ? 0.0 : sign * (double)u;
}

NLLK_INLINE double norm_bend(int kind, const vector_norm *v, double x, double q)
{
    if (kind == NORM_1 || kind == NORM_INF)
        return 0;
    if (kind == NORM_2) {
        double t = x * v->scale * v->inverse, h = mul_add_double(-t, t, 1.0) * v->inverse * v->scale;
        return h;
    }
    REAL size = fabs_((REAL)x);
    long_log log_size = long_log_(size);
    double share = (double)power_of_ratio(log_size, v->top, q) * v->share;
    double h =
        (q - 1) * ((double)power_of_ratio(log_size, v->top, q - 2) * (double)v->unit_2) * (1 - share) * v->inverse;
    return size == R(0.0) ? 0.0 : h;
}

NLLK_INLINE void write_slopes(int kind, int want, const triplet *x, const vector_norm *norms, double q, double factor,
                              REAL *const *grad, REAL *const *hess)
{
    enum { BLOCK = 256 }; /* before it is written, the next one is asked for: in this sample or in the next */
    const vector_norm near = norms[0], far = norms[1];
    const triplet v = *x;
    REAL *g0 = grad[0], *g1 = grad[1], *g2 = grad[2], *h0 = hess[0], *h1 = hess[1], *h2 = hess[2];
    for (ptrdiff_t begin = 0, end; begin < v.d; begin = end) {
        end = begin + BLOCK < v.d ? begin + BLOCK : v.d;
        for (int k = 0; k < 3; k++)
            fetch_to_write(grad[k] + end, end - begin);
#pragma omp simd
        for (ptrdiff_t i = begin; i < end; i++) {
            double s = near_difference(&v, i), t = far_difference(&v, i);
            double u = factor * norm_slope(kind, &near, s, q), w = factor * norm_slope(kind, &far, t, q);
            g0[i] = (REAL)(u - w);
            g1[i] = (REAL)-u;
            g2[i] = (REAL)w;
            if (want >= WANT_HESS) {
                double k = factor * norm_bend(kind, &near, s, q), l = factor * norm_bend(kind, &far, t, q);
                h0[i] = (REAL)(k - l);
                h1[i] = (REAL)k;
                h2[i] = (REAL)-l;
            }
        }
    }
}

NLLK_INLINE void fill(REAL *x, ptrdiff_t n, REAL value)
{
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = value;
}

NLLK_INLINE double triplet_samples(int kind, const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t d = a->dimension;
    const double q = a->norm;
    double sum = 0;
    for (ptrdiff_t s = begin; s < end; s++) {
        const triplet x = {(const REAL *)a->input[0] + s * d, (const REAL *)a->input[1] + s * d,
                           (const REAL *)a->input[2] + s * d, d};
        REAL *grad[3], *hess[3], weight = vector_weight(a, s);
        for (int k = 0; k < 3; k++) {
            grad[k] = (REAL *)a->grad[k] + s * d;
            hess[k] = (REAL *)a->hess[k] + s * d;
        }
        vector_norm norms[2];
        double z = 0;
        if (weight != 0) {
            find_norms(kind, &x, q, norms);
            z = a->margin + norms[0].norm - norms[1].norm;
        }
        const REAL rest = z == z ? R(0.0) : REAL_NAN;
        double value = z > 0 ? z : (double)rest;
        value = weight == 0 ? 0 : weight * value;
        sum += value;
        if (a->loss)
            ((REAL *)a->loss)[s] = (REAL)value;
        if (a->want < WANT_GRAD)
            continue;
        double factor = a->scale * (double)weight;
        if (!(z > 0)) { /* the hinge is at rest, or there is a NaN */
            for (int k = 0; k < 3; k++) {
                fill(grad[k], d, rest);
                if (a->want >= WANT_HESS)
                    fill(hess[k], d, rest);
            }
        } else if (a->want >= WANT_HESS) {
            write_slopes(kind, WANT_HESS, &x, norms, q, factor, grad, hess);
        } else if (NLLK_BITS == 32 && kind == NORM_2) { /* one product for two, which cannot overflow */
            norms[0].inverse *= factor;
            norms[1].inverse *= factor;
            write_slopes(kind, WANT_GRAD, &x, norms, q, 1, grad, hess);
        } else {
            write_slopes(kind, WANT_GRAD, &x, norms, q, factor, grad, hess);
        }
    }
    return sum;
}

static double triplet_norm_1(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    return triplet_samples(NORM_1, a, begin, end);
}

static double triplet_norm_2(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    return triplet_samples(NORM_2, a, begin, end);
}

static double triplet_norm_inf(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    return triplet_samples(NORM_INF, a, begin, end);
}

static double triplet_norm_any(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    return triplet_samples(NORM_ANY, a, begin, end);
}

static double triplet_margin(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    if (a->norm == 1 || a->dimension == 1) /* where all norms are |x| */
        return triplet_norm_1(a, begin, end);
    if (a->norm == 2)
        return triplet_norm_2(a, begin, end);
    return a->norm == (double)REAL_INF ? triplet_norm_inf(a, begin, end) : triplet_norm_any(a, begin, end);
}
