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
 * or where the derivative does not exist.  Schroff, Kalenichenko & Philbin (2015), with the distance itself, not its square.
 *
 * Where the same entry i dominates x and y, u(x)_i - u(y)_i = (1 - |u(y)_i|) - (1 - |u(x)_i|) up to the sign, of complements
 * that are sums over the other entries: the numbers next to 1 would cancel. */
#include "triplet_power.h"

enum { NORM_1, NORM_2, NORM_INF, NORM_ANY, NORM_MOST }; /* the last: a first pass that finds the largest */

/* A vector's norm, and what its derivatives need. */
typedef struct {
    double norm, inverse; /* 1 / norm, in the scale: t_i = |x_i| scale inverse; 0 where the norm is 0 */
    double scale;         /* NORM_2: a power of two that keeps squares in range */
    double share;         /* NORM_INF: 1 / how many |x_i| are the largest */
    ptrdiff_t at;         /* NORM_2, where find_rest was called: where |x_i| is the largest, and 1 - t_i^2 there */
    double rest;
} vector_norm;

typedef struct {
    double sum[LANES], not_a_number[LANES];
} norm_lanes;

NLLK_INLINE double norm_term(int kind, double x, const vector_norm *v)
{
    double size = __builtin_fabs(x), in_scale = NLLK_BITS == 64 ? x * v->scale : x;
    if (kind == NORM_2)
        return in_scale * in_scale;
    if (kind == NORM_INF)
        return size == v->norm ? 1 : 0;
    return size;
}

NLLK_INLINE void add_to_norm(int kind, double x, const vector_norm *v, norm_lanes *s, int k)
{
    double term = norm_term(kind, x, v);
    if (kind == NORM_MOST) {
        s->sum[k] = term > s->sum[k] ? term : s->sum[k];
        s->not_a_number[k] = term == term ? s->not_a_number[k] : term;
    } else {
        s->sum[k] += term;
    }
}

/* The terms of both norms, with the scales and the largest that they have by then. */
NLLK_INLINE void norm_pass(int kind, const triplet *x, const vector_norm *norms, norm_lanes *to)
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
            add_to_norm(kind, near_difference(&v, i + k), &near, &s, k);
            add_to_norm(kind, far_difference(&v, i + k), &far, &t, k);
        }
    }
    for (int k = 0; k < v.d - i; k++) {
        add_to_norm(kind, near_difference(&v, i + k), &near, &s, k);
        add_to_norm(kind, far_difference(&v, i + k), &far, &t, k);
    }
#pragma omp simd
    for (int k = 0; k < LANES; k++) { /* not as structs, which the compiler would copy by 16 bytes and wait for */
        to[0].sum[k] = s.sum[k];
        to[1].sum[k] = t.sum[k];
        to[0].not_a_number[k] = s.not_a_number[k];
        to[1].not_a_number[k] = t.not_a_number[k];
    }
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

/* The sum of the lanes, by halves, which stay. */
NLLK_INLINE double total_of(const norm_lanes *s)
{
    double sum[LANES / 2];
    for (int k = 0; k < LANES / 2; k++)
        sum[k] = s->sum[k] + s->sum[k + LANES / 2];
    for (int half = LANES / 4; half; half /= 2)
        for (int k = 0; k < half; k++)
            sum[k] += sum[k + half];
    return sum[0];
}

/* What the first pass says; returns whether there must be a second. */
NLLK_INLINE int open_norm(int kind, const norm_lanes *s, vector_norm *v)
{
    if (kind == NORM_INF) {
        v->norm = largest_entry(s);
        return v->norm > 0;
    }
    v->norm = total_of(s);
#if NLLK_BITS == 64
    if (kind == NORM_2 && v->norm == v->norm && !(v->norm > 0x1p-800 && v->norm < 0x1p1000)) {
        v->scale = v->norm > 1 ? 0x1p-600 : 0x1p600;
        return 1;
    }
#endif
    return 0;
}

/* What the second says, or the only one of NORM_2. */
NLLK_INLINE void close_norm(int kind, int again, const norm_lanes *s, vector_norm *v)
{
    const double total = again ? total_of(s) : v->norm;
    if (kind == NORM_2) {
        double root = __builtin_sqrt(total);
        v->norm = root / v->scale;
        v->inverse = root == 0 ? 0 : 1 / root;
    }
    v->share = kind == NORM_INF && v->norm > 0 ? 1 / total : 0;
}

/* Whether the same lane holds more than half of both sums; elsewhere no entry dominates both. */
NLLK_INLINE int share_a_lane(const norm_lanes *s, const vector_norm *norms)
{
    const double near = norms[0].inverse * norms[0].inverse, far = norms[1].inverse * norms[1].inverse;
    double most = 0;
#pragma omp simd reduction(max : most)
    for (int k = 0; k < LANES; k++) {
        double u = s[0].sum[k] * near, w = s[1].sum[k] * far, least = u < w ? u : w;
        most = least > most ? least : most;
    }
    return most > 0.5;
}

NLLK_INLINE void find_norms(int kind, const triplet *x, vector_norm *norms, norm_lanes *s)
{
    const int first = kind == NORM_INF ? NORM_MOST : kind;
    memset(norms, 0, 2 * sizeof *norms);
    norms[0].scale = norms[1].scale = 1;
    norm_pass(first, x, norms, s);
    int again = open_norm(kind, &s[0], &norms[0]) | open_norm(kind, &s[1], &norms[1]);
    if (again)
        norm_pass(kind, x, norms, s);
    close_norm(kind, again, &s[0], &norms[0]);
    close_norm(kind, again, &s[1], &norms[1]);
}

/* u_i and h_i of the difference x. */
NLLK_INLINE double norm_slope(int kind, const vector_norm *v, double x)
{
    double sign = x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0;
    if (kind == NORM_1)
        return sign;
    if (kind == NORM_2)
        return (NLLK_BITS == 64 ? x * v->scale : x) * v->inverse;
    return __builtin_fabs(x) == v->norm ? sign * v->share : 0.0;
}

/* h_i / scale: 1 / |x| itself may overflow. */
NLLK_INLINE double norm_curve(const vector_norm *v, double x, ptrdiff_t i)
{
    double t = x * v->scale * v->inverse, rest = i == v->at ? v->rest : mul_add_double(-t, t, 1.0);
    return rest * v->inverse;
}

/* The largest of x - y, for which 1 - t^2 may cancel, so that it is the sum of the others' squares. */
static void find_rest(const REAL *x, const REAL *y, ptrdiff_t d, vector_norm *v)
{
    double largest = -1, rest = 0;
    for (ptrdiff_t i = 0; i < d; i++) {
        double size = __builtin_fabs((double)x[i] - (double)y[i]);
        v->at = size > largest ? i : v->at;
        largest = size > largest ? size : largest;
    }
    for (ptrdiff_t i = 0; i < d; i++) {
        double t = ((double)x[i] - (double)y[i]) * v->scale * v->inverse;
        rest += i == v->at ? 0 : t * t;
    }
    v->rest = rest;
}

NLLK_INLINE void write_derivatives(int kind, int hessian, const triplet *x, const vector_norm *norms, double factor,
                                   REAL *const *grad, REAL *const *hess)
{
    enum { BLOCK = 256 }; /* before it is written, the next one is fetched: in this sample or in the next */
    const vector_norm near = norms[0], far = norms[1];
    const triplet v = *x;
    REAL *g0 = grad[0], *g1 = grad[1], *g2 = grad[2], *h0 = hess[0], *h1 = hess[1], *h2 = hess[2];
    for (ptrdiff_t begin = 0, end; begin < v.d; begin = end) {
        end = begin + BLOCK < v.d ? begin + BLOCK : v.d;
        for (int k = 0; k < 3; k++)
            fetch(grad[k] + end, end - begin, 1);
#pragma omp simd
        for (ptrdiff_t i = begin; i < end; i++) {
            double s = near_difference(&v, i), t = far_difference(&v, i);
            double u = factor * norm_slope(kind, &near, s), w = factor * norm_slope(kind, &far, t);
            g0[i] = (REAL)(u - w);
            g1[i] = (REAL)-u;
            g2[i] = (REAL)w;
            if (hessian) {
                double k = factor * norm_curve(&near, s, i), l = factor * norm_curve(&far, t, i);
                double h = k * near.scale, other = l * far.scale;
                h0[i] = (REAL)(near.scale == far.scale ? (k - l) * near.scale : h - other); /* not inf - inf */
                h1[i] = (REAL)h;
                h2[i] = (REAL)-other;
            }
        }
    }
}

/* The largest entries of both differences, and u(x)_i - u(y)_i where they are the same entry of the same sign (NORM_2).
 * Not inline: the loops of other samples shall have the registers. */
NLLK_NOINLINE double complement_difference(const triplet *x, vector_norm *near, vector_norm *far)
{
    find_rest(x->anchor, x->positive, x->d, near);
    find_rest(x->anchor, x->negative, x->d, far);
    const double u = norm_slope(NORM_2, near, near_difference(x, near->at));
    const double w = norm_slope(NORM_2, far, far_difference(x, near->at));
    const double size = far->rest / (1 + __builtin_fabs(w)) - near->rest / (1 + __builtin_fabs(u));
    return near->at != far->at || !(u * w > 0) ? REAL_NAN : u > 0 ? size : -size;
}

static void fill(REAL *const *x, ptrdiff_t n, REAL value)
{
    for (int k = 0; k < 3; k++)
        for (ptrdiff_t i = 0; i < n; i++)
            x[k][i] = value;
}

/* The derivatives of a sample with z > 0. */
NLLK_INLINE void derive(int kind, int want, const triplet *x, vector_norm *norms, const norm_lanes *lanes,
                        double factor, REAL *const *grad, REAL *const *hess)
{
    const int curves = kind == NORM_2 && want >= WANT_HESS, dominated = kind == NORM_2 && share_a_lane(lanes, norms);
    double difference = REAL_NAN;
    if (curves || dominated) /* before grad is written, which may lie over x */
        difference = factor * complement_difference(x, &norms[0], &norms[1]);
    if (curves)
        write_derivatives(kind, 1, x, norms, factor, grad, hess);
    else if (NLLK_BITS == 32 && kind == NORM_2) { /* one product for two, which cannot overflow */
        norms[0].inverse *= factor;
        norms[1].inverse *= factor;
        write_derivatives(kind, 0, x, norms, 1, grad, hess);
    } else
        write_derivatives(kind, 0, x, norms, factor, grad, hess);
    if (dominated && difference == difference)
        grad[0][norms[0].at] = (REAL)difference;
    if (want >= WANT_HESS && !curves) /* last: it may lie over the inputs */
        fill(hess, x->d, 0);
}

NLLK_INLINE double triplet_samples(int kind, const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t d = a->dimension;
    double sum = 0;
    for (ptrdiff_t s = begin; s < end; s++) {
        const triplet x = {(const REAL *)a->input[0] + s * d, (const REAL *)a->input[1] + s * d,
                           (const REAL *)a->input[2] + s * d, d};
        REAL *grad[3], *hess[3], weight = vector_weight(a, s);
        for (int k = 0; k < 3; k++) {
            grad[k] = element_of(a->grad[k], s * d);
            hess[k] = element_of(a->hess[k], s * d);
        }
        vector_norm norms[2];
        power_norm powers[2];
        double z = 0;
        norm_lanes lanes[2];
        if (weight != 0 && kind == NORM_ANY) {
            powers[0] = find_power_norm(x.anchor, x.positive, d, a->norm);
            powers[1] = find_power_norm(x.anchor, x.negative, d, a->norm);
            z = a->margin + powers[0].norm - powers[1].norm;
        } else if (weight != 0) {
            find_norms(kind, &x, norms, lanes);
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
            fill(grad, d, rest);
            if (a->want >= WANT_HESS)
                fill(hess, d, rest);
        } else if (kind == NORM_ANY) {
            derive_power(&x, powers, factor, grad, a->want >= WANT_HESS ? hess : NULL);
        } else {
            derive(kind, a->want, &x, norms, lanes, factor, grad, hess);
        }
    }
    return sum;
}

#define TRIPLET_OF(KIND)                                                                                               \
    NLLK_NOINLINE double triplet_##KIND(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)                         \
    {                                                                                                                  \
        return triplet_samples(KIND, a, begin, end);                                                                   \
    }
TRIPLET_OF(NORM_1)
TRIPLET_OF(NORM_2)
TRIPLET_OF(NORM_INF)
TRIPLET_OF(NORM_ANY)

static double triplet_margin(const nllk_vectors *a, ptrdiff_t begin, ptrdiff_t end)
{
    if (a->norm == 1 || a->dimension == 1) /* where all norms are |x| */
        return triplet_NORM_1(a, begin, end);
    if (a->norm == 2)
        return triplet_NORM_2(a, begin, end);
    return a->norm == (double)REAL_INF ? triplet_NORM_INF(a, begin, end) : triplet_NORM_ANY(a, begin, end);
}
