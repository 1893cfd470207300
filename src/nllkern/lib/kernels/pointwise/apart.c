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

static int is_possible(int support, double y)
{
    return support == NLLK_REAL_NUMBER || nllk_is_inside(support, y); /* an infinite error is one */
}

/* Whether a raw parameter is no number, or not in the domain of its link. */
static int is_meaningless(const pointwise_loss *loss, int j, int link, double raw)
{
    const int positive = loss->linked >> j & 1 && (link == LINK_IDENTITY || link == LINK_VARIANCE);
    const int zero = loss->zero >> j & 1 && raw == 0;
    return raw != raw || (positive && !(raw > 0) && !zero);
}

/* The formula for ordinary samples, where a loss has no other: theta may have left the range of double. */
static void use_formula(const pointwise_loss *loss, const scaled_sample *s, scaled_result *to)
{
    double target[LANES], log_target[LANES], extra[LANES], raw[NLLK_MAX_PARAMETERS][LANES];
    double value[LANES], results[NLLK_MAX_PARAMETERS][3][LANES];
    prepared p[NLLK_MAX_PARAMETERS];
    alone_arrays alone;
    tile t = {
        .target = target, .log_target = log_target, .extra = extra, .full = s->full, .value = value, .alone = &alone};
    for (int i = 0; i < LANES; i++) {
        target[i] = s->target;
        log_target[i] = log_(s->target);
        extra[i] = s->extra;
    }
    for (int j = 0; j < loss->count; j++) {
        const scaled_parameter *from = &s->p[j];
        t.raw[j] = raw[j];
        t.linked[j] = &p[j];
        t.to[j] = (derivatives){results[j][0], results[j][1], results[j][2]};
        for (int i = 0; i < LANES; i++) {
            raw[j][i] = from->raw;
            p[j].e[i] = exp_nonpositive_(-fabs_(from->raw));
            p[j].value[i] = scaled_to_double(from->value);
            p[j].inverse[i] = scaled_to_double(scaled_div(scaled_of(1), from->value));
            p[j].log[i] = from->log;
        }
    }
    if (loss->alone >= 0)
        loss->compute_alone(&p[loss->alone], &alone, WANT_HESS, LANES);
    loss->samples[WANT_HESS][0](&t, LANES);
    to->value = value[0];
    for (int j = 0; j < loss->count; j++) {
        to->d1[j] = scaled_of(results[j][0][0]);
        to->d2[j] = scaled_of(results[j][1][0]);
        to->d2_log[j] = scaled_of(results[j][2][0]);
    }
}

/* d2L/du2 (links.h). */
static double second_scaled(const scaled_parameter *p, scaled d1, scaled d2)
{
    if (p->curve.m != 0) /* d1 may be infinite */
        d2 = scaled_add(d2, scaled_mul(d1, p->curve));
    return scaled_to_double(scaled_mul(scaled_mul(d2, p->rate), p->rate));
}

static void compute_sample(const pointwise_loss *loss, const nllk_pointwise *a, apart *list, ptrdiff_t i)
{
    scaled_sample s = {.target = list->target[i], .extra = list->extra[i], .full = a->full};
    int meaningless = s.target != s.target;
    for (int j = 0; j < loss->count; j++)
        meaningless |= is_meaningless(loss, j, a->link[j], list->parameter[j][i]);
    if (meaningless || !is_possible(loss->target, s.target)) {
        list->loss[i] = meaningless ? REAL_NAN : REAL_INF;
        for (int j = 0; j < loss->count; j++)
            list->grad[j][i] = list->hess[j][i] = REAL_NAN;
        return;
    }
    for (int j = 0; j < loss->count; j++)
        s.p[j] = SYMBOL(scaled_link)(loss->linked >> j & 1 ? a->link[j] : LINK_NONE, list->parameter[j][i]);
    scaled_result r;
    if (loss->in_scaled)
        loss->in_scaled(&s, a->want, &r);
    else
        use_formula(loss, &s, &r);
    list->loss[i] = r.value;
    for (int j = 0; j < loss->count && a->want >= WANT_GRAD; j++) {
        const scaled_parameter *p = &s.p[j];
        list->grad[j][i] = scaled_to_double(scaled_mul(r.d1[j], p->rate));
        if (a->want >= WANT_HESS)
            list->hess[j][i] = second_scaled(p, r.d1[j], p->in_log ? r.d2_log[j] : r.d2[j]);
    }
}

void SYMBOL(compute_apart)(const pointwise_loss *loss, const nllk_pointwise *a, apart *list)
{
    for (ptrdiff_t i = 0; i < list->count; i++)
        compute_sample(loss, a, list, i);
}

#endif
