/* The C interface: what nllkern.h says, over call.h. */
#include "build_config.h"
#include "call.h"

#include <float.h>
#include <math.h>
#include <string.h>

const char *nllk_version(void) { return NLLK_VERSION; }

const char *nllk_message(int status)
{
    static const char *const messages[NLLK_STATUS_COUNT] = {
        [NLLK_OK] = "no error",
        [NLLK_BAD_OPTIONS] = "options or results are NULL, or their size is not set",
        [NLLK_BAD_SIZE] = "a negative number of samples, no classes, or a dimension out of range",
        [NLLK_NULL_POINTER] = "an input is NULL, or the place of a derivative that is wanted",
        [NLLK_BAD_REDUCTION] = "no such reduction, or a normalizer that is not positive or goes with no mean",
        [NLLK_BAD_WANT] = "want is none of NLLK_VALUE, NLLK_GRADIENT, NLLK_HESSIAN",
        [NLLK_BAD_LINK] = "the loss has no such link",
        [NLLK_BAD_TARGET] = "the loss takes no such target",
        [NLLK_BAD_OPTION] =
            "edges that do not increase, an option out of its range, or one that the loss does not have",
        [NLLK_BAD_INDEX] = "a class index is out of range",
        [NLLK_BAD_RANGE] = "the samples are not whole blocks",
        [NLLK_NO_MEMORY] = "out of memory",
    };
    return status >= 0 && status < NLLK_STATUS_COUNT ? messages[status] : "no such status";
}

void nllk_default_options(nllk_options *options)
{
    const nllk_options defaults = NLLK_OPTIONS;
    *options = defaults;
}

void nllk_empty_results(nllk_results *results)
{
    const nllk_results empty = NLLK_RESULTS;
    *results = empty;
}

/* Whether one of the words of `list`, between spaces, is `word`. */
static int has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return 1;
    return 0;
}

static int count_words(const char *list)
{
    int count = *list != 0;
    for (; *list; list++)
        count += *list == ' ';
    return count;
}

/* What all losses have in common; `o` is the caller's options with the defaults of what its header did not know. */
static int begin(nllk_work *w, int loss, int is_double, ptrdiff_t samples, const nllk_options *given,
                 nllk_results *results, nllk_options *o)
{
    const nllk_options defaults = NLLK_OPTIONS;
    *o = defaults;
    if (!given || !results || given->size < offsetof(nllk_options, parallel) || given->size > sizeof *o ||
        results->size != sizeof *results)
        return NLLK_BAD_OPTIONS;
    memcpy(o, given, given->size);
    memset(w, 0, sizeof *w);
    w->loss = loss;
    w->is_double = is_double;
    w->samples = samples;
    w->reduction = o->reduction;
    w->normalizer = o->normalizer;
    results->bad = -1;
    if (samples < 0)
        return NLLK_BAD_SIZE;
    if (o->reduction < NLLK_MEAN || o->reduction > NLLK_NONE || !(o->normalizer >= 0 && o->normalizer <= DBL_MAX) ||
        (o->normalizer != 0 && o->reduction != NLLK_MEAN))
        return NLLK_BAD_REDUCTION;
    if (o->want < NLLK_VALUE || o->want > NLLK_HESSIAN)
        return NLLK_BAD_WANT;
    if (o->num_threads < 0)
        return NLLK_BAD_OPTION;
    return NLLK_OK;
}

static int is_between(double x, double low, double high) { return x >= low && x <= high; }

/* The options of the loss itself: in range, and 0 where it does not have them. */
static int check_own(const nllk_loss_info *info, const nllk_options *o)
{
    const int rows = info->kind[0] == 'r', links = rows ? 0 : count_words(info->links);
    const char *own = info->extra;
    if (o->link < 0 || o->own_link < 0 || (o->link > 0 && (o->link >= links || o->link > NLLK_LOG_VARIANCE)) ||
        (o->own_link > 0 && (!info->own[0] || o->own_link > NLLK_LOG)))
        return NLLK_BAD_LINK;
    if (!is_between(o->label_smoothing, 0, has_word(own, "label_smoothing")) ||
        !is_between(o->z_loss, 0, has_word(own, "z_loss") ? DBL_MAX : 0) ||
        !is_between(o->softcap, 0, has_word(own, "softcap") ? DBL_MAX : 0) ||
        !is_between(o->variant, 0, has_word(own, "variant") || has_word(own, "link")) ||
        (o->class_weight && !has_word(own, "class_weight")) ||
        (o->has_ignore_index && !has_word(own, "ignore_index")) || (o->extra && (rows || !*own)) || o->extra_period < 0)
        return NLLK_BAD_OPTION;
    if (info->kind[0] == 'v' ? !(fabs(o->margin) <= DBL_MAX && o->p >= 1) : !is_between(o->margin, 0, DBL_MAX))
        return NLLK_BAD_OPTION;
    return NLLK_OK;
}

/* Whether the derivatives that are wanted have a place. */
static int has_places(const nllk_options *o, const nllk_results *r, int count, int shared)
{
    for (int k = 0; k < count; k++)
        if (!(shared >> k & 1) &&
            ((o->want >= NLLK_GRADIENT && !r->grad[k]) || (o->want >= NLLK_HESSIAN && !r->hess[k])))
            return 0;
    return 1;
}

static int open_points(nllk_work *w, const nllk_options *o, const nllk_results *r, int count, const void *const *inputs)
{
    nllk_pointwise *a = &w->a.points;
    for (int k = 0; k <= count; k++)
        if (!inputs[k] && w->samples > 0)
            return NLLK_NULL_POINTER;
    a->want = o->want;
    for (int k = 0; k < count; k++)
        a->link[k] = k == 2 ? o->own_link : o->link;
    a->full = !o->drop_constants;
    a->weight = o->sample_weight;
    a->extra = o->extra;
    a->extra_period = o->extra_period ? o->extra_period : w->samples;
    a->extra_value = 1;
    a->target = inputs[count];
    a->target_stride = !(o->shared >> 3 & 1);
    a->loss = r->loss;
    for (int k = 0; k < count; k++) {
        a->parameter[k] = inputs[k];
        a->parameter_stride[k] = !(o->shared >> k & 1);
        a->grad[k] = a->parameter_stride[k] && o->want >= NLLK_GRADIENT ? r->grad[k] : NULL;
        a->hess[k] = a->parameter_stride[k] && o->want >= NLLK_HESSIAN ? r->hess[k] : NULL;
    }
    return has_places(o, r, count, w->samples > 0 ? o->shared : ~0) ? NLLK_OK : NLLK_NULL_POINTER;
}

static int open_rows(nllk_work *w, const nllk_options *o, const nllk_results *r, ptrdiff_t classes, const void *logits,
                     const void *target)
{
    const char *targets = nllk_losses[w->loss].support;
    const int index = has_word(targets, "index") || has_word(targets, "real");
    const int kind = o->target != NLLK_TARGET_DEFAULT ? o->target
                     : index                          ? NLLK_TARGET_INT64
                                                      : NLLK_TARGET_PROBABILITIES;
    nllk_rowwise *a = &w->a.rows;
    if (classes < 1)
        return NLLK_BAD_SIZE;
    if (w->samples > 0 && (!logits || !target))
        return NLLK_NULL_POINTER;
    if (kind == NLLK_TARGET_PROBABILITIES ? !has_word(targets, "prob") : !index || kind < 0 || kind > NLLK_TARGET_INT32)
        return NLLK_BAD_TARGET;
    a->want = o->want;
    a->logits = logits;
    a->row_stride = o->row_stride ? o->row_stride : classes;
    a->classes = classes;
    if (kind == NLLK_TARGET_PROBABILITIES)
        a->prob = target;
    else
        a->index = target;
    a->index_is_64 = kind == NLLK_TARGET_INT64;
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
    a->grad = o->want >= NLLK_GRADIENT ? r->grad[0] : NULL;
    a->hess = o->want >= NLLK_HESSIAN ? r->hess[0] : NULL;
    return has_places(o, r, w->samples > 0, 0) ? NLLK_OK : NLLK_NULL_POINTER;
}

static int open_vectors(nllk_work *w, const nllk_options *o, const nllk_results *r, ptrdiff_t dimension,
                        const void *const *inputs)
{
    const nllk_loss_info *info = &nllk_losses[w->loss];
    const int has_target = strcmp(info->support, "none") != 0, count = has_target ? 2 : 3;
    nllk_vectors *a = &w->a.vectors;
    if (dimension < 1 || (info->linked && dimension > NLLK_VECTOR_MAX))
        return NLLK_BAD_SIZE;
    for (int k = 0; k < 3; k++)
        if (!inputs[k] && w->samples > 0)
            return NLLK_NULL_POINTER;
    if (o->shared & ~info->linked)
        return NLLK_BAD_OPTION;
    if (o->link > NLLK_LOG)
        return NLLK_BAD_LINK;
    w->shared_factor = o->shared;
    a->want = o->want;
    a->link = o->link;
    a->full = !o->drop_constants;
    a->samples = w->samples;
    a->dimension = dimension;
    a->weight = o->sample_weight;
    a->margin = o->margin;
    a->norm = o->p;
    a->target = has_target ? inputs[2] : NULL;
    a->loss = r->loss;
    for (int k = 0; k < count; k++) {
        a->input[k] = inputs[k];
        a->grad[k] = o->want >= NLLK_GRADIENT ? r->grad[k] : NULL;
        a->hess[k] = o->want >= NLLK_HESSIAN ? r->hess[k] : NULL;
    }
    return has_places(o, r, count, w->samples > 0 ? 0 : ~0) ? NLLK_OK : NLLK_NULL_POINTER;
}

/* ---- run ---- */

static void set_results(nllk_work *w, nllk_results *results)
{
    nllk_sums sums;
    nllk_close_call(w, results ? &sums : NULL);
    if (!results)
        return;
    results->value = sums.value;
    results->denominator = w->denominator;
    memcpy(results->grad_sum, sums.grad, sizeof sums.grad);
    memcpy(results->hess_sum, sums.hess, sizeof sums.hess);
}

/* The caller's own workers are as many as it says; OpenMP's depend on more. */
static int workers(const nllk_options *o)
{
    return o->parallel && o->num_threads > 0 ? o->num_threads : nllk_thread_count(o->num_threads);
}

/* A call that is as good as open, run on threads (`alone` = 0) or left to the caller. */
static int complete(int status, nllk_work *w, const nllk_options *o, nllk_results *results, int alone)
{
    const nllk_team team = {alone ? 1 : workers(o), o->parallel, o->context};
    if (status == NLLK_OK)
        status = check_own(&nllk_losses[w->loss], o);
    if (status == NLLK_OK)
        status = nllk_open_call(w, &team);
    if (status == NLLK_BAD_INDEX)
        results->bad = w->bad;
    if (status != NLLK_OK || alone)
        return status;
    nllk_run_call(w, &team);
    set_results(w, results);
    return NLLK_OK;
}

_Static_assert(sizeof(nllk_work) <= sizeof(nllk_call), "nllk_call has too little room");

ptrdiff_t nllk_block(const nllk_call *call)
{
    const nllk_work *w = (const nllk_work *)call;
    return w->batch.block * w->unit;
}

int nllk_run(nllk_call *call, ptrdiff_t begin, ptrdiff_t end)
{
    nllk_work *w = (nllk_work *)call;
    const ptrdiff_t block = nllk_block(call);
    if (begin < 0 || end < begin || end > w->samples || begin % block != 0 || (end % block != 0 && end != w->samples))
        return NLLK_BAD_RANGE;
    if (w->denominator == 0)
        return NLLK_OK;
    nllk_batch_run_blocks(&w->batch, begin / block, (end + block - 1) / block);
    return NLLK_OK;
}

int nllk_close(nllk_call *call, nllk_results *results)
{
    if (results && results->size != sizeof *results)
        return NLLK_BAD_OPTIONS;
    set_results((nllk_work *)call, results);
    return NLLK_OK;
}

#define NAMES_1 first
#define NAMES_2 first, second
#define NAMES_3 first, second, third
#define POINTS_OPEN(COUNT) open_points(w, &o, results, COUNT, (const void *const[]){NAMES_##COUNT, target})
#define ROWS_OPEN(COUNT) open_rows(w, &o, results, classes, logits, target)
#define VECTORS_OPEN(COUNT) open_vectors(w, &o, results, dimension, (const void *const[]){first, second, third})

#define DEFINE_(NAME, INPUTS, OPEN, SUFFIX, IS_DOUBLE)                                                                 \
    int nllk_##NAME##_##SUFFIX(INPUTS, const nllk_options *options, nllk_results *results)                             \
    {                                                                                                                  \
        nllk_work work, *w = &work;                                                                                    \
        nllk_options o;                                                                                                \
        int status = begin(w, NLLK_LOSS_##NAME, IS_DOUBLE, samples, options, results, &o);                             \
        return complete(status == NLLK_OK ? OPEN : status, w, &o, results, 0);                                         \
    }                                                                                                                  \
    int nllk_##NAME##_##SUFFIX##_open(INPUTS, const nllk_options *options, nllk_results *results, nllk_call *call)     \
    {                                                                                                                  \
        nllk_work *w = (nllk_work *)call;                                                                              \
        nllk_options o;                                                                                                \
        int status = begin(w, NLLK_LOSS_##NAME, IS_DOUBLE, samples, options, results, &o);                             \
        return complete(status == NLLK_OK ? OPEN : status, w, &o, results, 1);                                         \
    }
#define DEFINE(NAME, INPUTS, OPEN)                                                                                     \
    DEFINE_(NAME, INPUTS(float), OPEN, f32, 0)                                                                         \
    DEFINE_(NAME, INPUTS(double), OPEN, f64, 1)
#define NLLK_ROWWISE(NAME, ...) DEFINE(NAME, NLLK_INPUTS_ROWS, ROWS_OPEN())
#define NLLK_POINTWISE(NAME, NAMES, COUNT, ...) DEFINE(NAME, NLLK_INPUTS_##COUNT, POINTS_OPEN(COUNT))
#define NLLK_VECTORS(NAME, ...) DEFINE(NAME, NLLK_INPUTS_VECTORS, VECTORS_OPEN())
#include "losses.inc"
#undef NLLK_ROWWISE
#undef NLLK_POINTWISE
#undef NLLK_VECTORS

/* ---- the table of functions ---- */

#define TEXT_(...) #__VA_ARGS__
#define TEXT(...) TEXT_(__VA_ARGS__)
#define ENTRY(RETURNS, NAME, ...) {#NAME, #RETURNS " " TEXT((__VA_ARGS__)), (void (*)(void))NAME}
#define ENTRIES(NAME, INPUTS)                                                                                          \
    ENTRY(int, nllk_##NAME##_f32, INPUTS(float), const nllk_options *options, nllk_results *results),                  \
        ENTRY(int, nllk_##NAME##_f64, INPUTS(double), const nllk_options *options, nllk_results *results),             \
        ENTRY(int, nllk_##NAME##_f32_open, INPUTS(float), const nllk_options *options, nllk_results *results,          \
              nllk_call *call),                                                                                        \
        ENTRY(int, nllk_##NAME##_f64_open, INPUTS(double), const nllk_options *options, nllk_results *results,         \
              nllk_call *call),
#define NLLK_ROWWISE(NAME, ...) ENTRIES(NAME, NLLK_INPUTS_ROWS)
#define NLLK_POINTWISE(NAME, NAMES, COUNT, ...) ENTRIES(NAME, NLLK_INPUTS_##COUNT)
#define NLLK_VECTORS(NAME, ...) ENTRIES(NAME, NLLK_INPUTS_VECTORS)
static const nllk_function functions[] = {
#include "losses.inc"
    ENTRY(const char *, nllk_version, void),
    ENTRY(const char *, nllk_message, int status),
    ENTRY(void, nllk_default_options, nllk_options *options),
    ENTRY(void, nllk_empty_results, nllk_results *results),
    ENTRY(ptrdiff_t, nllk_block, const nllk_call *call),
    ENTRY(int, nllk_run, nllk_call *call, ptrdiff_t begin, ptrdiff_t end),
    ENTRY(int, nllk_close, nllk_call *call, nllk_results *results),
    ENTRY(int, nllk_encode_f32, ptrdiff_t samples, const float *numbers, ptrdiff_t bins, const double *edges,
          double low, double high, int64_t *index),
    ENTRY(int, nllk_encode_f64, ptrdiff_t samples, const double *numbers, ptrdiff_t bins, const double *edges,
          double low, double high, int64_t *index),
    ENTRY(void, nllk_set_num_threads, int count),
    ENTRY(int, nllk_get_num_threads, void),
};

const nllk_api *nllk_get_api(void)
{
    static const nllk_api api = {NLLK_ABI, sizeof api, sizeof functions / sizeof *functions, functions};
    return &api;
}
