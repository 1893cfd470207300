/* What a call says, checked against the row of its loss. */
#include "validate.h"

#include <math.h>
#include <string.h>

/* The status of an error, and where it is. */
static int fail(nllk_results *results, int status, const char *argument)
{
    results->argument = argument;
    return status;
}

static int validate_common(const nllk_options *o, nllk_results *results)
{
    if (o->reduction < NLLK_MEAN || o->reduction > NLLK_NONE)
        return fail(results, NLLK_BAD_REDUCTION, "reduction");
    if (!(o->normalizer >= 0 && o->normalizer <= DBL_MAX) || (o->normalizer != 0 && o->reduction != NLLK_MEAN))
        return fail(results, NLLK_BAD_REDUCTION, "normalizer");
    if (o->want < NLLK_VALUE || o->want > NLLK_HESSIAN)
        return fail(results, NLLK_BAD_WANT, "want");
    if (o->num_threads < 0)
        return fail(results, NLLK_BAD_OPTION, "num_threads");
    return NLLK_OK;
}

static int validate_links(const nllk_loss_info *info, const nllk_options *o, nllk_results *results)
{
    for (int k = 0; k < NLLK_MAX_PARAMETERS; k++) {
        const int link = o->link[k];
        if (k < info->count && link == 0) /* the default: identity, or the only link that there is */
            continue;
        if (k >= info->count ? link != 0
                             : link < 0 || link >= NLLK_LINK_COUNT || !(info->parameter[k].links >> link & 1))
            return fail(results, NLLK_BAD_LINK, k < info->count ? info->parameter[k].name : "link");
    }
    return NLLK_OK;
}

static double number_of(const nllk_options *o, size_t offset)
{
    double x;
    memcpy(&x, (const char *)o + offset, sizeof x);
    return x;
}

/* Numbers are in range if the loss has them, and what they are by default if it has not. */
static int validate_numbers(const nllk_loss_info *info, const nllk_options *o, nllk_results *results)
{
    for (int k = 0; k < nllk_number_count; k++) {
        const nllk_number_info *n = &nllk_numbers[k];
        const double x = number_of(o, n->offset);
        int shares = 0; /* another row that the loss has is of the same member */
        for (int j = 0; j < nllk_number_count; j++)
            shares |= info->numbers >> j & (nllk_numbers[j].offset == n->offset);
        const int good =
            info->numbers >> k & 1 ? (x >= n->low && x <= n->high) || x == n->nothing : shares || x == n->value;
        if (!good)
            return fail(results, NLLK_BAD_OPTION, n->name);
    }
    return NLLK_OK;
}

/* Other options, which a loss has or has not. */
static int validate_presence(const nllk_loss_info *info, const nllk_options *o, nllk_results *results)
{
    if (o->variant < 0 || o->variant >= info->variants)
        return fail(results, NLLK_BAD_OPTION, "variant");
    if (o->class_weight && !info->has_class_weight)
        return fail(results, NLLK_BAD_OPTION, "class_weight");
    if (o->has_ignore_index && !info->has_ignore_index)
        return fail(results, NLLK_BAD_OPTION, "ignore_index");
    if ((o->extra || o->extra_value != 1) && !info->extra)
        return fail(results, NLLK_BAD_OPTION, "extra");
    if (o->extra_period < 0)
        return fail(results, NLLK_BAD_OPTION, "extra_period");
    return NLLK_OK;
}

/* Whether all inputs are there, and a place for each derivative that is asked for but of `shared` parameters. */
static int validate_pointers(const nllk_loss_info *info, const nllk_options *o, ptrdiff_t samples,
                             const void *const *inputs, int shared, nllk_results *results)
{
    for (int k = 0; k < info->count + info->has_target && samples > 0; k++)
        if (!inputs[k])
            return fail(results, NLLK_NULL_POINTER, k < info->count ? info->parameter[k].name : "target");
    for (int k = 0; k < info->count && samples > 0; k++)
        if (!(shared >> k & 1) &&
            ((o->want >= NLLK_GRADIENT && !results->grad[k]) || (o->want >= NLLK_HESSIAN && !results->hess[k])))
            return fail(results, NLLK_NULL_POINTER, info->parameter[k].name);
    return NLLK_OK;
}

static void *gradient(const nllk_options *o, const nllk_results *r, int k)
{
    return o->want >= NLLK_GRADIENT ? r->grad[k] : NULL;
}

static void *hessian(const nllk_options *o, const nllk_results *r, int k)
{
    return o->want >= NLLK_HESSIAN ? r->hess[k] : NULL;
}

static int set_points(nllk_work *w, const nllk_loss_info *info, const nllk_options *o, const void *const *inputs,
                      nllk_results *r)
{
    nllk_pointwise *a = &w->a.points;
    const int count = info->count;
    if (o->shared < 0 || o->shared >> (count + 1))
        return fail(r, NLLK_BAD_OPTION, "shared");
    a->want = o->want;
    a->full = !o->drop_constants;
    a->weight = o->sample_weight;
    a->extra = o->extra;
    a->extra_period = o->extra_period ? o->extra_period : w->samples;
    a->extra_value = o->extra_value;
    a->target = inputs[count];
    a->target_stride = !(o->shared >> count & 1);
    a->loss = r->loss;
    for (int k = 0; k < count; k++) {
        a->link[k] = o->link[k] || info->parameter[k].links & 1 ? o->link[k] : __builtin_ctz(info->parameter[k].links);
        a->parameter[k] = inputs[k];
        a->parameter_stride[k] = !(o->shared >> k & 1);
        a->grad[k] = a->parameter_stride[k] ? gradient(o, r, k) : NULL;
        a->hess[k] = a->parameter_stride[k] ? hessian(o, r, k) : NULL;
    }
    return NLLK_OK;
}

static int set_rows(nllk_work *w, const nllk_loss_info *info, const nllk_options *o, ptrdiff_t classes,
                    const void *const *inputs, nllk_results *r)
{
    const int takes_index = info->targets & (NLLK_TAKES_INDEX | NLLK_TAKES_REAL);
    const int target = o->target != NLLK_TARGET_DEFAULT ? o->target
                       : takes_index                    ? NLLK_TARGET_INT64
                                                        : NLLK_TARGET_PROBABILITIES;
    nllk_rowwise *a = &w->a.rows;
    if (classes < 1)
        return fail(r, NLLK_BAD_SIZE, info->parameter[0].name);
    if (target == NLLK_TARGET_PROBABILITIES ? !(info->targets & NLLK_TAKES_PROBABILITIES)
                                            : !takes_index || target < 0 || target > NLLK_TARGET_INT32)
        return fail(r, NLLK_BAD_TARGET, "target");
    if (o->shared & ~1)
        return fail(r, NLLK_BAD_OPTION, "shared");
    a->want = o->want;
    a->logits = inputs[0];
    a->row_stride = o->shared ? 0 : o->row_stride ? o->row_stride : classes;
    a->classes = classes;
    a->prob = target == NLLK_TARGET_PROBABILITIES ? inputs[1] : NULL;
    a->index = target == NLLK_TARGET_PROBABILITIES ? NULL : inputs[1];
    a->index_is_64 = target == NLLK_TARGET_INT64;
    a->class_weight = o->class_weight;
    a->weight = o->sample_weight;
    a->has_ignore = o->has_ignore_index != 0;
    a->ignore_index = o->ignore_index;
    a->smoothing = o->label_smoothing;
    a->z_loss = o->z_loss;
    a->softcap = o->softcap;
    a->margin = o->margin;
    a->variant = o->variant;
    a->loss = r->loss;
    a->grad = gradient(o, r, 0);
    a->hess = hessian(o, r, 0);
    return NLLK_OK;
}

static int set_vectors(nllk_work *w, const nllk_loss_info *info, const nllk_options *o, ptrdiff_t dimension,
                       const void *const *inputs, nllk_results *r)
{
    nllk_vectors *a = &w->a.vectors;
    int matrices = 0;
    for (int k = 0; k < info->count; k++)
        matrices |= info->parameter[k].is_matrix << k;
    if (dimension < 1 || (matrices && dimension > NLLK_VECTOR_MAX))
        return fail(r, NLLK_BAD_SIZE, info->parameter[0].name);
    if (o->shared & ~matrices || (o->factor && !o->shared))
        return fail(r, NLLK_BAD_OPTION, "shared");
    w->shared_factor = o->shared;
    a->want = o->want;
    a->full = !o->drop_constants;
    a->samples = w->samples;
    a->dimension = dimension;
    a->weight = o->sample_weight;
    a->margin = o->margin;
    a->norm = o->p;
    a->loss = r->loss;
    a->target = info->has_target ? inputs[info->count] : NULL;
    for (int k = 0; k < info->count; k++) {
        a->link = matrices >> k & 1 ? o->link[k] : a->link;
        a->input[k] = inputs[k];
        a->grad[k] = gradient(o, r, k);
        a->hess[k] = hessian(o, r, k);
    }
    a->factor = o->factor;
    for (ptrdiff_t i = 0; o->factor && i < dimension; i++)
        a->log_sum += log(o->factor[i * (dimension + 1)]);
    return NLLK_OK;
}

int nllk_validate(nllk_work *w, int loss, int is_double, ptrdiff_t samples, ptrdiff_t size, const void *const *inputs,
                  const nllk_options *given, nllk_results *results, nllk_options *o)
{
    if (!given || !results || given->size != sizeof *given || results->size != sizeof *results || loss < 0 ||
        loss >= NLLK_LOSS_COUNT)
        return NLLK_BAD_OPTIONS;
    const nllk_loss_info *info = &nllk_losses[loss];
    *o = *given;
    results->bad = -1;
    results->argument = NULL;
    memset(w, 0, offsetof(nllk_work, batch));
    w->loss = loss;
    w->is_double = is_double;
    w->samples = samples;
    w->reduction = o->reduction;
    w->normalizer = o->normalizer;
    if (samples < 0)
        return NLLK_BAD_SIZE;
    /* A factor that is given apart is fixed: it has no derivatives. */
    int shared = info->kind == NLLK_KIND_POINTWISE || o->factor ? o->shared : 0, status;
    if ((status = validate_common(o, results)) != NLLK_OK || (status = validate_links(info, o, results)) != NLLK_OK ||
        (status = validate_numbers(info, o, results)) != NLLK_OK ||
        (status = validate_presence(info, o, results)) != NLLK_OK ||
        (status = validate_pointers(info, o, samples, inputs, shared, results)) != NLLK_OK)
        return status;
    status = info->kind == NLLK_KIND_POINTWISE ? set_points(w, info, o, inputs, results)
             : info->kind == NLLK_KIND_ROWS    ? set_rows(w, info, o, size, inputs, results)
                                               : set_vectors(w, info, o, size, inputs, results);
    return status == NLLK_OK && o->check ? nllk_check(w, o, inputs, results) : status;
}
