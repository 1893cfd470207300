/* The one loop of all pointwise losses: links, the loss's own function, weights, sums.
 *
 * A loss is an inline function  NAME(parameters, &target, extra, full, &point)  of one sample.  It is compiled into one
 * tile function for each of its links and for each of: value; value and gradient; all with second derivatives.
 * A tile function only sees plain arrays of one tile; `run_pointwise` makes a tile out of anything else (a single number
 * for all samples, no weights, the last samples of the batch) in buffers of its own. */
#ifndef NLLK_POINTWISE_H
#define NLLK_POINTWISE_H

#include "functions/lanes.h"
#include "kernels.h"
#include "links.h"

#define TILE PICK(128, 64) /* 512 bytes: what hardware fetches ahead of a stream; padded to a multiple of LANES */

/* What a loss says about one sample.  Parameter j on the real line: slope = dL/dp, bend = d2L/dp2.
 * A positive parameter theta:
 *     slope = share theta dL/dtheta,  bend = theta^2 d2L/dtheta2,  log_bend = share^2 d2L/d(log theta)2,
 * or, where the parameter `divides`, since these products might overflow alone:
 *     slope = dL/dtheta,  bend = d2L/dtheta2 / unit^2,  log_bend = dL/dtheta / unit^3 (if it has a variance link).
 * `unit` and `share` are 1 but for the variance links. */
typedef struct {
    REAL value;
    REAL slope[NLLK_MAX_PARAMETERS], bend[NLLK_MAX_PARAMETERS], log_bend[NLLK_MAX_PARAMETERS];
} point;

/* One tile: `n` samples, a multiple of LANES.  Values are multiplied by `weight`, derivatives by scale * weight. */
typedef struct {
    const REAL *raw[NLLK_MAX_PARAMETERS], *target, *extra, *weight;
    REAL *loss, *grad[NLLK_MAX_PARAMETERS], *hess[NLLK_MAX_PARAMETERS];
    REAL scale;
    int full, shared; /* bit j: parameter j is one number for all samples */
} tile;

typedef void (*tile_function)(const tile *t, ptrdiff_t n);
typedef void (*point_function)(const parameter *p, const target *y, REAL extra, int full, point *out);
typedef functions (*parameter_function)(const parameter *p);

/* What is known of the linked parameters and of the target before the loss's own loop: e of links.h, and of ordinary samples
 * also the rest.  Each step has a loop of its own: a processor holds some 100 instructions that wait for their operands, so
 * it overlaps the samples of several short loops where it would wait in one long one. */
typedef struct {
    struct {
        REAL e[TILE], value[TILE], inverse[TILE], rate[TILE], curve[TILE], log[TILE];
    } parameter[NLLK_MAX_PARAMETERS];
    struct {
        REAL normalizer[TILE], slope[TILE], curve[TILE];
    } of_own;
    REAL log_target[TILE];
} prepared;

/* The functions below are given constants: how many parameters, which of them are positive and go through `link`, and so on.
 * Parameter j = 0, 1, 2 is written out, not looped over: what does not apply is gone before the compiler looks for vectors. */
typedef struct {
    point_function loss;
    int count, linked, logs, link, own_link, own, positive_target,
        want;  /* the parameters of set `own` have `own_link` */
    int plain; /* every weight and every extra input is 1 */
    int ordinary;
    parameter_function of_own; /* or NULL */
} variant;

NLLK_INLINE int is_linked(variant v, int j) { return j < v.count && (v.linked >> j & 1); }
NLLK_INLINE int link_of(variant v, int j) { return v.own >> j & 1 ? v.own_link : v.link; }

NLLK_INLINE parameter read_parameter(variant v, int j, const tile *t, const prepared *known, ptrdiff_t i)
{
    if (j >= v.count)
        return (parameter){.raw = 0};
    if (!is_linked(v, j))
        return (parameter){.raw = t->raw[j][i]};
    const int link = link_of(v, j);
    parameter p =
        apply_link(link, t->raw[j][i], link_has_exponential(link) ? known->parameter[j].e[i] : R(0.0), v.ordinary);
    if (v.ordinary) {
        p.log = known->parameter[j].log[i];
        p.value = known->parameter[j].value[i];
        p.inverse = known->parameter[j].inverse[i];
        p.rate = known->parameter[j].rate[i];
        if (v.want >= WANT_HESS)
            p.curve = known->parameter[j].curve[i];
        if (v.of_own && v.own >> j & 1)
            p.of = (functions){known->of_own.normalizer[i], known->of_own.slope[i], known->of_own.curve[i]};
    }
    return p;
}

NLLK_INLINE void write_derivatives(variant v, int j, const tile *t, ptrdiff_t i, const parameter *p, const point *out,
                                   REAL weight)
{
    if (j >= v.count || v.want < WANT_GRAD)
        return;
    REAL slope = out->slope[j], bend = out->bend[j];
    if (is_linked(v, j)) {
        slope = chain_first(link_of(v, j), &p[j], out->slope[j]);
        bend = chain_second(link_of(v, j), &p[j], out->slope[j], out->bend[j], out->log_bend[j]);
    }
    REAL factor = t->scale * weight;
    t->grad[j][i] = weight == R(0.0) ? R(0.0) : factor * slope;
    if (v.want >= WANT_HESS)
        t->hess[j][i] = weight == R(0.0) ? R(0.0) : factor * bend;
}

NLLK_INLINE void run_sample(variant v, const tile *t, const prepared *known, ptrdiff_t i)
{
    _Static_assert(NLLK_MAX_PARAMETERS == 3, "parameters are written out");
    const parameter p[] = {read_parameter(v, 0, t, known, i), read_parameter(v, 1, t, known, i),
                           read_parameter(v, 2, t, known, i)};
    const target y = {t->target[i], v.ordinary, v.ordinary && v.positive_target ? known->log_target[i] : R(0.0)};
    point out;
    REAL weight = v.plain ? R(1.0) : t->weight[i], extra = v.plain ? R(1.0) : t->extra[i];
    v.loss(p, &y, extra, t->full, &out);
    t->loss[i] = weight == R(0.0) ? R(0.0) : weight * out.value;
    write_derivatives(v, 0, t, i, p, &out, weight);
    write_derivatives(v, 1, t, i, p, &out, weight);
    write_derivatives(v, 2, t, i, p, &out, weight);
}

NLLK_INLINE void repeat_first(REAL *x, ptrdiff_t n)
{
    const REAL first = x[0];
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = first;
}

/* Of a parameter that all samples share, one step of samples is worked out and repeated. */
NLLK_INLINE void prepare_parameter(variant v, int j, const tile *t, prepared *known, ptrdiff_t whole)
{
    if (!is_linked(v, j))
        return;
    const REAL *raw = t->raw[j];
    const int link = link_of(v, j), shared = t->shared >> j & 1, own = v.of_own && v.own >> j & 1;
    const ptrdiff_t n = shared ? LANES : whole;
    REAL *e = known->parameter[j].e, *value = known->parameter[j].value, *inverse = known->parameter[j].inverse,
         *rate = known->parameter[j].rate, *log = known->parameter[j].log, *curve = known->parameter[j].curve;
    if (link_has_exponential(link))
        for (ptrdiff_t i = 0; i < n; i++)
            e[i] = link_exponential(link, raw[i], v.ordinary);
    if (v.ordinary) {
        for (ptrdiff_t i = 0; i < n; i++) {
            parameter p = apply_link(link, raw[i], link_has_exponential(link) ? e[i] : R(0.0), 1);
            value[i] = p.value;
            inverse[i] = p.inverse;
            rate[i] = p.rate;
            log[i] = p.log_of;
            if (v.want >= WANT_HESS)
                curve[i] = p.curve;
        }
        if (v.logs >> j & 1)
            for (ptrdiff_t i = 0; i < n; i++)
                log[i] = log_ordinary_(log[i]) + apply_link(link, raw[i], R(0.0), 1).log_plus;
        if (own)
            for (ptrdiff_t i = 0; i < n; i++) {
                parameter p = {.value = value[i], .log = log[i], .down = 1, .ordinary = 1};
                functions of = v.of_own(&p);
                known->of_own.normalizer[i] = of.normalizer;
                known->of_own.slope[i] = of.slope;
                if (v.want >= WANT_HESS)
                    known->of_own.curve[i] = of.curve;
            }
    }
    if (!shared)
        return;
    if (link_has_exponential(link))
        repeat_first(e, whole);
    if (!v.ordinary)
        return;
    repeat_first(value, whole);
    repeat_first(inverse, whole);
    repeat_first(rate, whole);
    repeat_first(log, whole);
    if (v.want >= WANT_HESS)
        repeat_first(curve, whole);
    if (!own)
        return;
    repeat_first(known->of_own.normalizer, whole);
    repeat_first(known->of_own.slope, whole);
    if (v.want >= WANT_HESS)
        repeat_first(known->of_own.curve, whole);
}

NLLK_INLINE void run_samples(variant v, const tile *t, ptrdiff_t n)
{
    prepared known;
    prepare_parameter(v, 0, t, &known, n);
    prepare_parameter(v, 1, t, &known, n);
    prepare_parameter(v, 2, t, &known, n);
    if (v.ordinary && v.positive_target)
        for (ptrdiff_t i = 0; i < n; i++)
            known.log_target[i] = log_ordinary_(t->target[i]);
    /* Outputs may be the inputs themselves: sample i is read before it is written, which is all that `simd` asks for. */
    tile local = *t;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        run_sample(v, &local, &known, i);
}

/* Whether all the samples of a tile are ordinary (links.h). */
NLLK_INLINE int is_ordinary_tile(variant v, const tile *t, ptrdiff_t n)
{
    UBITS beyond = 0;
    for (int j = 0; j < v.count; j++)
        if (is_linked(v, j)) {
            const REAL *raw = t->raw[j];
            const int link = link_of(v, j);
#pragma omp simd reduction(| : beyond)
            for (ptrdiff_t i = 0; i < n; i++)
                beyond |= beyond_ordinary(link, raw[i]);
        }
    if (v.positive_target) {
        const REAL *y = t->target;
#pragma omp simd reduction(| : beyond)
        for (ptrdiff_t i = 0; i < n; i++)
            beyond |= beyond_range(y[i], ORDINARY_TARGET);
    }
    return (BITS)beyond >= 0;
}

/* A tile by the function that computes all there is, with weights: what is not wanted goes nowhere.  Tiles that are not ordinary are
 * so rare that a function for each thing wanted would not pay for the time to compile it. */
NLLK_INLINE void run_all(variant v, tile_function all, const tile *t, ptrdiff_t n)
{
    REAL ones[TILE], nowhere[2 * NLLK_MAX_PARAMETERS][TILE];
    tile whole = *t;
    if (v.plain) {
        for (ptrdiff_t i = 0; i < TILE; i++)
            ones[i] = 1;
        whole.weight = whole.extra = ones;
    }
    for (int j = 0; j < v.count; j++) {
        whole.grad[j] = v.want >= WANT_GRAD ? t->grad[j] : nowhere[2 * j];
        whole.hess[j] = v.want >= WANT_HESS ? t->hess[j] : nowhere[2 * j + 1];
    }
    all(&whole, n);
}

NLLK_INLINE void run_tile(variant v, tile_function all, const tile *t, ptrdiff_t n)
{
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
    int links = v.linked && v.link != LINK_LOGIT;
    if (links && !is_ordinary_tile(v, t, n)) {
        run_all(v, all, t, n);
    } else {
        v.ordinary = links; /* a constant */
        run_samples(v, t, n);
    }
}

/* Samples [begin, begin + n) of an array with stride 1, as they lie or copied and padded; or one number repeated. */
NLLK_INLINE const REAL *tile_input(const void *x, int stride, ptrdiff_t begin, ptrdiff_t n, REAL *room)
{
    const REAL *from = x;
    if (stride && n == TILE)
        return from + begin;
    for (ptrdiff_t i = 0; i < TILE; i++)
        room[i] = stride ? from[begin + (i < n ? i : 0)] : from[0];
    return room;
}

/* lanes[j] += the sum of x[j], x[j + LANES] ...; where n is a constant, in registers. */
NLLK_INLINE void add_columns(double *restrict lanes, const REAL *restrict x, ptrdiff_t n)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        double sum = x[j];
        for (ptrdiff_t i = LANES; i < n; i += LANES)
            sum += x[i + j];
        lanes[j] += sum;
    }
}

NLLK_INLINE void add_lanes(double *lanes, const REAL *x, ptrdiff_t n)
{
    if (n == TILE)
        add_columns(lanes, x, TILE);
    else
        add_columns(lanes, x, n);
}

/* An output of the loss: where its samples go, or the lanes that sum them. */
typedef struct {
    REAL *array; /* or NULL */
    int summed;
    double lanes[LANES];
    REAL room[TILE];
} output;

/* The further input of a tile: one number for all samples stands in `room` already, and one per sample is read where it lies. */
NLLK_INLINE const REAL *tile_extra(const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t n, REAL *room)
{
    const REAL *from = a->extra;
    if (!from || a->extra_period == 1)
        return room;
    ptrdiff_t k = begin % a->extra_period;
    if (n == TILE && k + TILE <= a->extra_period)
        return from + k;
    for (ptrdiff_t i = 0; i < TILE; i++) {
        room[i] = from[k];
        k = k + 1 < a->extra_period ? k + 1 : 0;
    }
    return room;
}

/* Ask for what will be written FETCH_TILES tiles from now: hardware fetches ahead what is read, but a write waits for its
 * line to come (4 million squared errors, Sapphire Rapids, two threads: 1.3 ms without, 0.9 with, the time that adding two
 * arrays takes). */
#define FETCH_TILES 4

/* `tiles[0]` is the general function, `tiles[1]` the plain one. */
static void run_pointwise(const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t end, int count,
                          const tile_function *tiles, nllk_sums *sums)
{
    const int want = a->want, plain = !a->weight && !a->extra;
    REAL room[NLLK_MAX_PARAMETERS + 3][TILE];
    output out[1 + 2 * NLLK_MAX_PARAMETERS];
    int outputs = 1 + want * count, shared = 0;
    for (int j = 0; j < count; j++)
        shared |= !a->parameter_stride[j] << j;
    const REAL one = 1, *extra = a->extra;
    for (ptrdiff_t i = 0; i < TILE; i++)
        room[count + 1][i] = extra ? extra[0] : one;
    for (int k = 0; k < outputs; k++) {
        int j = (k - 1) % count;
        out[k].array = k == 0 ? a->loss : k <= count ? a->grad[j] : a->hess[j];
        out[k].summed = k == 0 || !a->parameter_stride[j];
        memset(out[k].lanes, 0, sizeof out[k].lanes);
    }
    for (ptrdiff_t first = begin; first < end; first += TILE) {
        ptrdiff_t n = end - first < TILE ? end - first : TILE;
        tile t = {.full = a->full, .shared = shared, .scale = (REAL)a->scale};
        for (int j = 0; j < count; j++)
            t.raw[j] = tile_input(a->parameter[j], a->parameter_stride[j], first, n, room[j]);
        t.target = tile_input(a->target, a->target_stride, first, n, room[count]);
        if (!plain || n < TILE) {
            t.extra = tile_extra(a, first, n, room[count + 1]);
            t.weight = tile_input(a->weight ? a->weight : &one, a->weight != NULL, first, n, room[count + 2]);
            for (ptrdiff_t i = n; i < TILE; i++) /* samples past the end do not count */
                room[count + 2][i] = 0;
        }
        REAL *to[1 + 2 * NLLK_MAX_PARAMETERS];
        for (int k = 0; k < outputs; k++) {
            if (out[k].array)
                fetch_to_write(out[k].array + first + FETCH_TILES * TILE, TILE);
            to[k] = out[k].array && n == TILE ? out[k].array + first : out[k].room;
        }
        t.loss = to[0];
        for (int j = 0; j < count; j++) {
            t.grad[j] = want >= WANT_GRAD ? to[1 + j] : NULL;
            t.hess[j] = want >= WANT_HESS ? to[1 + count + j] : NULL;
        }
        tiles[plain && n == TILE](&t, (n + LANES - 1) & ~(ptrdiff_t)(LANES - 1));
        for (int k = 0; k < outputs; k++) {
            if (out[k].summed)
                add_lanes(out[k].lanes, to[k], (n + LANES - 1) & ~(ptrdiff_t)(LANES - 1));
            if (out[k].array && n < TILE)
                memcpy(out[k].array + first, out[k].room, n * sizeof(REAL));
        }
    }
    for (int k = 0; k < outputs; k++) {
        double *sum = k == 0 ? &sums->value : k <= count ? &sums->grad[k - 1] : &sums->hess[k - 1 - count];
        *sum = out[k].summed ? sum_lanes(out[k].lanes) : 0;
    }
}

#endif
