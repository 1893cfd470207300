/* options->check: every input inside its domain, but for the samples that do not count. */
#include "validate.h"

#include <math.h>

typedef struct {
    const nllk_work *w;
    nllk_results *results;
    const nllk_options *o;
    const void *weight;
    ptrdiff_t read; /* elements since the caller was asked whether to go on */
} check;

static double element(const check *c, const void *x, ptrdiff_t i)
{
    return c->w->is_double ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static int outside(const check *c, const char *argument, ptrdiff_t position)
{
    c->results->argument = argument;
    c->results->bad = position;
    return NLLK_BAD_VALUE;
}

/* NLLK_INTERRUPTED if the caller gives up; it is asked once in READ_ELEMENTS. */
static int go_on(check *c, ptrdiff_t elements)
{
    enum { READ_ELEMENTS = 1 << 18 };
    c->read += elements;
    if (!c->o->interrupted || c->read < READ_ELEMENTS)
        return NLLK_OK;
    c->read = 0;
    return c->o->interrupted(c->o->context) ? NLLK_INTERRUPTED : NLLK_OK;
}

/* Whether n numbers, the first of which is element `first` of the argument, are inside. */
static int check_numbers(check *c, const char *argument, int support, const void *x, ptrdiff_t first, ptrdiff_t n)
{
    for (ptrdiff_t i = first; i < first + n; i++)
        if (!nllk_is_inside(support, element(c, x, i)))
            return outside(c, argument, i);
    return go_on(c, n);
}

static int counts(const check *c, ptrdiff_t i) { return !c->weight || element(c, c->weight, i) != 0; }

/* The support of the raw number behind parameter k. */
static int raw_support(const nllk_parameter_info *p, int link)
{
    return nllk_raw_supports[link] != NLLK_ANY ? nllk_raw_supports[link] : p->support;
}

/* An argument with `size` numbers a sample; stride 0: the same for all of them. */
static int check_samples(check *c, const char *argument, int support, const void *x, int stride, ptrdiff_t size)
{
    int status = NLLK_OK;
    for (ptrdiff_t i = 0; i < c->w->samples && status == NLLK_OK; i++)
        if (counts(c, i)) {
            status = check_numbers(c, argument, support, x, stride * i * size, size);
            if (!stride)
                break;
        }
    return status;
}

static int check_points(check *c, const nllk_options *o)
{
    const nllk_loss_info *info = &nllk_losses[c->w->loss];
    const nllk_pointwise *a = &c->w->a.points;
    int status = NLLK_OK;
    for (int k = 0; k < info->count && status == NLLK_OK; k++)
        status = check_samples(c, info->parameter[k].name, raw_support(&info->parameter[k], a->link[k]),
                               a->parameter[k], a->parameter_stride[k], 1);
    if (status == NLLK_OK)
        status = check_samples(c, "target", info->target, a->target, a->target_stride, 1);
    if (status != NLLK_OK || !info->extra)
        return status;
    if (!a->extra)
        return nllk_is_inside(info->extra_support, o->extra_value) ? NLLK_OK : outside(c, info->extra, 0);
    for (ptrdiff_t i = 0; i < c->w->samples && status == NLLK_OK; i++)
        if (counts(c, i))
            status = check_numbers(c, info->extra, info->extra_support, a->extra, i % a->extra_period, 1);
    return status;
}

/* A class index that is ignored, or probabilities whose whole mass lies on that class. */
static int is_ignored(const check *c, const nllk_rowwise *a, ptrdiff_t i)
{
    if (!a->has_ignore)
        return 0;
    if (a->index) {
        const int64_t t = a->index_is_64 ? ((const int64_t *)a->index)[i] : ((const int32_t *)a->index)[i];
        return t == a->ignore_index;
    }
    if (a->ignore_index < 0 || a->ignore_index >= a->classes ||
        element(c, a->prob, i * a->classes + a->ignore_index) == 0)
        return 0;
    for (ptrdiff_t k = 0; k < a->classes; k++)
        if (k != a->ignore_index && element(c, a->prob, i * a->classes + k) != 0)
            return 0;
    return 1;
}

static int check_rows(check *c)
{
    const nllk_loss_info *info = &nllk_losses[c->w->loss];
    const nllk_rowwise *a = &c->w->a.rows;
    const nllk_parameter_info *p = &info->parameter[0];
    int status = NLLK_OK;
    if (a->class_weight)
        status = check_numbers(c, "class_weight", NLLK_NONNEGATIVE_NUMBER, a->class_weight, 0, a->classes);
    for (ptrdiff_t i = 0; i < c->w->samples && status == NLLK_OK; i++) {
        int is_any = 0; /* a row of -inf has no softmax */
        if (!counts(c, i) || is_ignored(c, a, i))
            continue;
        if (a->prob)
            status = check_numbers(c, "target", info->target, a->prob, i * a->classes, a->classes);
        for (ptrdiff_t k = 0; k < a->classes && status == NLLK_OK; k++) {
            const double z = element(c, a->logits, i * a->row_stride + k);
            is_any |= z > -INFINITY;
            if (!nllk_is_inside(p->support, z) || (k == a->classes - 1 && !is_any))
                status = outside(c, p->name, i * a->classes + k);
        }
        if (status == NLLK_OK)
            status = go_on(c, a->classes);
    }
    return status;
}

/* The lower triangle of a matrix; its diagonal goes through the link. */
static int check_matrix(check *c, const nllk_parameter_info *p, int link, const void *x, ptrdiff_t first, ptrdiff_t d)
{
    int status = NLLK_OK;
    for (ptrdiff_t i = 0; i < d && status == NLLK_OK; i++) {
        status = check_numbers(c, p->name, p->support, x, first + i * d, i);
        if (status == NLLK_OK)
            status = check_numbers(c, p->name, link == NLLK_IDENTITY ? NLLK_POSITIVE_NUMBER : raw_support(p, link), x,
                                   first + i * d + i, 1);
    }
    return status;
}

static int check_vectors(check *c)
{
    const nllk_loss_info *info = &nllk_losses[c->w->loss];
    const nllk_vectors *a = &c->w->a.vectors;
    const ptrdiff_t d = a->dimension;
    int status = NLLK_OK;
    for (int k = 0; k < info->count && status == NLLK_OK; k++) {
        const nllk_parameter_info *p = &info->parameter[k];
        if (!p->is_matrix)
            status = check_samples(c, p->name, p->support, a->input[k], 1, d);
        else if (c->w->shared_factor)
            status = a->factor ? NLLK_OK : check_matrix(c, p, a->link, a->input[k], 0, d);
        else
            for (ptrdiff_t i = 0; i < c->w->samples && status == NLLK_OK; i++)
                if (counts(c, i))
                    status = check_matrix(c, p, a->link, a->input[k], i * d * d, d);
    }
    if (status == NLLK_OK && info->has_target)
        status = check_samples(c, "target", info->target, a->target, 1, d);
    return status;
}

int nllk_check(const nllk_work *w, const nllk_options *o, const void *const *inputs, nllk_results *results)
{
    check c = {w, results, o, o->sample_weight, 0};
    const int kind = nllk_losses[w->loss].kind;
    int status = NLLK_OK;
    (void)inputs;
    if (o->sample_weight)
        status = check_numbers(&c, "sample_weight", NLLK_NONNEGATIVE_NUMBER, o->sample_weight, 0, w->samples);
    if (status != NLLK_OK)
        return status;
    return kind == NLLK_KIND_POINTWISE ? check_points(&c, o)
           : kind == NLLK_KIND_ROWS    ? check_rows(&c)
                                       : check_vectors(&c);
}
