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

enum { NORM_1, NORM_2, NORM_INF, NORM_ANY };

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
    double share;         /* 1 / total */
} vector_norm;

typedef struct {
    double sum[VECTOR_LANES], most[VECTOR_LANES], not_a_number[VECTOR_LANES];
} norm_lanes;

NLLK_INLINE void add_to_norm(int kind, double x, double scale, double q, long_log top, norm_lanes *s, int k)
{
    double size = __builtin_fabs(x);
    if (kind == NORM_1)
        s->sum[k] += size;
    if (kind == NORM_2)
        s->sum[k] = mul_add_double(x * scale, x * scale, s->sum[k]);
    if (kind == NORM_INF) {
        s->most[k] = size > s->most[k] ? size : s->most[k];
        s->not_a_number[k] = size == size ? s->not_a_number[k] : size;
    }
    if (kind == NORM_ANY) {
        REAL part = power_of_ratio(long_log_((REAL)size), top, q);
        s->sum[k] += (REAL)size == R(0.0) ? 0 : (double)part;
    }
}

NLLK_INLINE void norm_pass(int kind, const REAL *a, const REAL *b, ptrdiff_t d, double scale, double q, long_log top,
                           norm_lanes *to)
{
    norm_lanes s = {0};
    ptrdiff_t i = 0;
    for (; i + VECTOR_LANES <= d; i += VECTOR_LANES) {
#pragma omp simd
        for (int k = 0; k < VECTOR_LANES; k++)
            add_to_norm(kind, (double)a[i + k] - (double)b[i + k], scale, q, top, &s, k);
    }
    for (int k = 0; k < d - i; k++)
        add_to_norm(kind, (double)a[i + k] - (double)b[i + k], scale, q, top, &s, k);
    *to = s;
}

NLLK_INLINE double largest_entry(const norm_lanes *s)
{
    double most = 0, not_a_number = 0;
    for (int k = 0; k < VECTOR_LANES; k++) {
        most = s->most[k] > most ? s->most[k] : most;
        not_a_number += s->not_a_number[k];
    }
    return not_a_number == 0 ? most : not_a_number;
}

NLLK_INLINE vector_norm norm_of_difference(int kind, const REAL *a, const REAL *b, ptrdiff_t d, double q)
{
    vector_norm v = {.scale = 1};
    const long_log none = {0, 0};
    norm_lanes s;
    norm_pass(kind == NORM_ANY ? NORM_INF : kind, a, b, d, 1, q, none, &s);
    double sum = sum_vector_lanes(s.sum);
    if (kind == NORM_1) {
        v.norm = sum;
    } else if (kind == NORM_2) {
#if NLLK_BITS == 64
        if (!(sum > 0x1p-800 && sum < 0x1p1000) && sum == sum) {
            v.scale = sum > 1 ? 0x1p-600 : 0x1p600;
            norm_pass(kind, a, b, d, v.scale, q, none, &s);
            sum = sum_vector_lanes(s.sum);
        }
#endif
        double root = __builtin_sqrt(sum);
        v.norm = root / v.scale;
        v.inverse = root == 0 ? 0 : 1 / root;
    } else {
        v.norm = largest_entry(&s);
    }
    if (kind == NORM_INF) {
        double count = 0;
        for (ptrdiff_t i = 0; i < d; i++)
            count += __builtin_fabs((double)a[i] - (double)b[i]) == v.norm ? 1 : 0;
        v.share = v.norm > 0 ? 1 / count : 0;
    } else if (kind == NORM_ANY && v.norm > 0 && v.norm < (double)REAL_INF) {
        REAL top = (REAL)v.norm;
        v.top = long_log_(top);
        norm_pass(kind, a, b, d, 1, q, v.top, &s);
        double total = sum_vector_lanes(s.sum);
        v.total = long_log_((REAL)total);
        v.norm = (double)top * (double)power_of_ratio(v.total, none, 1 / q);
        v.unit_1 = power_of_ratio(v.total, none, -(q - 1) / q);
        v.unit_2 = power_of_ratio(v.total, none, -(q - 2) / q);
        v.share = 1 / total;
        v.inverse = 1 / v.norm;
    }
    return v;
}

/* u_i and h_i of the difference x. */
NLLK_INLINE double norm_slope(int kind, const vector_norm *v, double x, double q)
{
    double sign = x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0;
    if (kind == NORM_1)
        return sign;
    if (kind == NORM_2)
        return x * v->scale * v->inverse;
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

NLLK_INLINE double triplet_samples(int kind, const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t d = a->dimension;
    const double q = a->norm;
    double sum = 0;
    for (ptrdiff_t s = begin; s < end; s++) {
        const REAL *anchor = (const REAL *)a->input[0] + s * d, *positive = (const REAL *)a->input[1] + s * d;
        const REAL *negative = (const REAL *)a->input[2] + s * d;
        REAL *grad[3], *hess[3], weight = vector_weight(a, s);
        for (int k = 0; k < 3; k++) {
            grad[k] = (REAL *)a->grad[k] + s * d;
            hess[k] = (REAL *)a->hess[k] + s * d;
        }
        vector_norm near = {0}, far = {0};
        double z = 0;
        if (weight != 0) {
            near = norm_of_difference(kind, anchor, positive, d, q);
            far = norm_of_difference(kind, anchor, negative, d, q);
            z = a->margin + near.norm - far.norm;
        }
        REAL value = z > 0 ? (REAL)z : z == z ? R(0.0) : REAL_NAN;
        value = weight == 0 ? R(0.0) : weight * value;
        sum += value;
        if (a->loss)
            ((REAL *)a->loss)[s] = value;
        if (a->want < WANT_GRAD)
            continue;
        if (!(z > 0)) { /* the hinge is at rest, or there is a NaN */
            REAL all = z == z ? R(0.0) : REAL_NAN;
            for (int k = 0; k < 3; k++) {
                for (ptrdiff_t i = 0; i < d; i++)
                    grad[k][i] = all;
                for (ptrdiff_t i = 0; a->want >= WANT_HESS && i < d; i++)
                    hess[k][i] = all;
            }
            continue;
        }
        const double factor = a->scale * (double)weight;
        REAL *g0 = grad[0], *g1 = grad[1], *g2 = grad[2], *h0 = hess[0], *h1 = hess[1], *h2 = hess[2];
        if (a->want == WANT_GRAD) {
            for (int k = 0; k < 3; k++)
                fetch_to_write(grad[k] + d, d); /* the next sample's */
#pragma omp simd
            for (ptrdiff_t i = 0; i < d; i++) {
                double x = (double)anchor[i] - (double)positive[i], y = (double)anchor[i] - (double)negative[i];
                double u = norm_slope(kind, &near, x, q), v = norm_slope(kind, &far, y, q);
                g0[i] = (REAL)(factor * (u - v));
                g1[i] = (REAL)(factor * -u);
                g2[i] = (REAL)(factor * v);
            }
        } else {
#pragma omp simd
            for (ptrdiff_t i = 0; i < d; i++) {
                double x = (double)anchor[i] - (double)positive[i], y = (double)anchor[i] - (double)negative[i];
                double u = norm_slope(kind, &near, x, q), v = norm_slope(kind, &far, y, q);
                double k = norm_bend(kind, &near, x, q), l = norm_bend(kind, &far, y, q);
                g0[i] = (REAL)(factor * (u - v));
                g1[i] = (REAL)(factor * -u);
                g2[i] = (REAL)(factor * v);
                h0[i] = (REAL)(factor * (k - l));
                h1[i] = (REAL)(factor * k);
                h2[i] = (REAL)(factor * -l);
            }
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
