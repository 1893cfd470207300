/* Samples that are not ordinary: those of float32 by the same loss in double precision, those of float64 in scaled
 * numbers. */
#include "apart.h"

#if NLLK_BITS == 32

void SYMBOL(compute_apart)(const pointwise_loss *loss, const nllk_pointwise *a, apart *list)
{
    nllk_pointwise b = {.want = a->want,
                        .target = list->target,
                        .target_stride = 1,
                        .extra = list->extra,
                        .extra_period = APART_MAX,
                        .scale = 1,
                        .full = a->full,
                        .loss = list->loss};
    for (int j = 0; j < loss->count; j++) {
        b.link[j] = a->link[j];
        b.parameter[j] = list->parameter[j];
        b.parameter_stride[j] = 1;
        b.grad[j] = a->want >= WANT_GRAD ? list->grad[j] : NULL;
        b.hess[j] = a->want >= WANT_HESS ? list->hess[j] : NULL;
    }
    nllk_sums unused;
    loss->in_double(&b, 0, list->count, NULL, &unused);
}

#else

/* The formula for ordinary samples, where a loss has no other: theta may have left the range of double. */
static void use_formula(const pointwise_loss *loss, const scaled_samples *x, ptrdiff_t begin, ptrdiff_t n)
{
    ALIGNED double log_target[TILE], factor[TILE], derivative[NLLK_MAX_PARAMETERS][3][TILE];
    prepared p[NLLK_MAX_PARAMETERS];
    alone_arrays alone;
    tile t = {.target = x->target + begin,
              .log_target = log_target,
              .extra = x->extra + begin,
              .alone = &alone,
              .full = x->full,
              .value = x->value + begin,
              .factor = factor};
    for (ptrdiff_t i = 0; i < n; i++) {
        log_target[i] = log_(t.target[i]);
        factor[i] = 1;
    }
    for (int j = 0; j < loss->count; j++) {
        t.raw[j] = x->raw[j] + begin;
        t.linked[j] = &p[j];
        t.to[j] = (derivatives){derivative[j][0], derivative[j][1], derivative[j][2]};
        for (ptrdiff_t i = 0; i < n; i++) {
            const scaled theta = read_scaled(&x->p[j].value, begin + i);
            p[j].e[i] = exp_nonpositive_(-fabs_(t.raw[j][i]));
            p[j].value[i] = scaled_to_double(theta);
            p[j].inverse[i] = scaled_to_double(scaled_div(scaled_of(1), theta));
            p[j].log[i] = x->p[j].log[begin + i];
        }
    }
    if (loss->alone >= 0)
        loss->compute_alone(loss->alone == TARGET_ALONE ? t.target : p[loss->alone].value, &alone, WANT_HESS, n);
    loss->samples[WANT_HESS][1](&t, n);
    for (int j = 0; j < loss->count; j++) {
        const int is_result = loss->direct || !(loss->linked >> j & 1);
        for (ptrdiff_t i = 0; i < n; i++) {
            const scaled_parameter q = read_scaled_parameter(&x->p[j], t.raw[j][i], begin + i);
            const double d1 = t.to[j].d1[i], d2 = t.to[j].d2[i];
            x->grad[j][begin + i] = is_result ? d1 : scaled_first(&q, scaled_of(d1));
            x->hess[j][begin + i] =
                is_result ? d2 : scaled_second(&q, scaled_of(d1), scaled_of(d2), scaled_of(t.to[j].d2_log[i]));
        }
    }
}

/* Mark what is not above `least`, nor, where `or_equal`, equal to it; NaN is neither. */
static void mark_below(UBITS *mark, const double *x, double least, int or_equal, ptrdiff_t n)
{
    const UBITS equal = or_equal ? 0 : 1;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        mark[i] |= x[i] > least ? 0 : x[i] == least ? equal : 1;
}

/* Mark what is not in the domain of a parameter.  0 is compared with itself: a host may take subnormal numbers for 0. */
static void mark_raw(UBITS *mark, const pointwise_loss *loss, int j, int link, const double *x, ptrdiff_t n)
{
    const int is_positive = loss->linked >> j & 1 && (link == LINK_IDENTITY || link == LINK_VARIANCE);
    mark_below(mark, x, is_positive ? 0 : -REAL_INF, !is_positive || loss->zero >> j & 1, n);
}

/* Where a parameter is no number, or not in its domain, all is NaN; elsewhere the loss of an impossible target is
 * infinite and its derivatives are NaN. */
static void replace_meaningless(const pointwise_loss *loss, const nllk_pointwise *a, apart *list, ptrdiff_t n)
{
    ALIGNED UBITS mark[APART_MAX] = {0};
    mark_below(mark, list->target, -REAL_INF, 1, n);
    for (int j = 0; j < loss->count; j++)
        mark_raw(mark, loss, j, a->link[j], list->parameter[j], n);
    for (ptrdiff_t i = 0; i < list->count; i++) {
        const double y = list->target[i]; /* infinite where it is any real number: an error of that size is one */
        if (!mark[i] && (loss->direct || loss->target == NLLK_REAL_NUMBER || nllk_is_inside(loss->target, y)))
            continue;
        list->loss[i] = mark[i] ? REAL_NAN : REAL_INF;
        for (int j = 0; j < loss->count; j++)
            list->grad[j][i] = list->hess[j][i] = REAL_NAN;
    }
}

void SYMBOL(compute_apart)(const pointwise_loss *loss, const nllk_pointwise *a, apart *list)
{
    const ptrdiff_t whole = (list->count + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    scaled_parameters p[NLLK_MAX_PARAMETERS];
    scaled_samples x = {.target = list->target, .extra = list->extra, .p = p, .full = a->full, .value = list->loss};
    for (ptrdiff_t i = list->count; i < whole; i++)
        list->target[i] = list->extra[i] = 1;
    for (int j = 0; j < loss->count; j++) {
        const int link = loss->linked >> j & 1 ? a->link[j] : LINK_NONE;
        for (ptrdiff_t i = list->count; i < whole; i++)
            list->parameter[j][i] = 1;
        SYMBOL(links)[link].prepare_scaled(list->parameter[j], whole, &p[j]);
        x.raw[j] = list->parameter[j];
        x.grad[j] = list->grad[j];
        x.hess[j] = list->hess[j];
    }
    for (ptrdiff_t i = 0; i < whole && !loss->in_scaled[a->want]; i += TILE)
        use_formula(loss, &x, i, whole - i < TILE ? whole - i : TILE);
    if (loss->in_scaled[a->want])
        loss->in_scaled[a->want](&x, whole);
    replace_meaningless(loss, a, list, whole);
}

#endif
