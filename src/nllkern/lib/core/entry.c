/* The C interface: what nllkern.h says, over call.h. */
#include "build_config.h"
#include "validate.h"

#include <float.h>
#include <math.h>
#include <string.h>

const char *nllk_version(void) { return NLLK_VERSION; }

const char *nllk_message(int status)
{
    static const char *const messages[NLLK_STATUS_COUNT] = {
        [NLLK_OK] = "no error",
        [NLLK_BAD_OPTIONS] = "options or results are NULL, their size is not set, or there is no such loss",
        [NLLK_BAD_SIZE] = "a negative number of samples, no classes, or a dimension out of range",
        [NLLK_NULL_POINTER] = "an input is NULL, or the place of a derivative that is asked for",
        [NLLK_BAD_REDUCTION] = "no such reduction, or a normalizer that is not positive or goes with no mean",
        [NLLK_BAD_WANT] = "want is none of NLLK_VALUE, NLLK_GRADIENT, NLLK_HESSIAN",
        [NLLK_BAD_LINK] = "the parameter has no such link",
        [NLLK_BAD_TARGET] = "the loss takes no such target",
        [NLLK_BAD_OPTION] = "an option out of its range, or one that the loss does not have",
        [NLLK_BAD_EDGES] = "edges that are not finite or do not increase",
        [NLLK_BAD_INDEX] = "a class index is out of range",
        [NLLK_BAD_RANGE] = "the samples are not whole blocks",
        [NLLK_BAD_VALUE] = "an input is outside its domain",
        [NLLK_BAD_WEIGHT] = "the weights of a mean do not sum to a positive number",
        [NLLK_NO_MEMORY] = "out of memory",
        [NLLK_NO_LEVEL] = "the library was built for other processors",
        [NLLK_INTERRUPTED] = "the call was interrupted",
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

/* ---- run ---- */

static int set_results(nllk_work *w, nllk_results *results)
{
    nllk_sums sums;
    const int status = nllk_close_call(w, results ? &sums : NULL);
    if (!results || status != NLLK_OK)
        return status;
    results->value = sums.value;
    results->denominator = w->denominator;
    memcpy(results->grad_sum, sums.grad, sizeof sums.grad);
    memcpy(results->hess_sum, sums.hess, sizeof sums.hess);
    return NLLK_OK;
}

/* The caller's own workers are as many as it says; OpenMP's depend on more. */
static int workers(const nllk_options *o)
{
    return o->parallel && o->num_threads > 0 ? o->num_threads : nllk_thread_count(o->num_threads);
}

/* Check a call and open it. */
static int open_work(nllk_work *w, int loss, int is_double, ptrdiff_t samples, ptrdiff_t size,
                     const void *const *inputs, const nllk_options *options, nllk_results *results, int alone,
                     nllk_team *team)
{
    nllk_options o;
    int status = nllk_validate(w, loss, is_double, samples, size, inputs, options, results, &o);
    if (status != NLLK_OK)
        return status;
    if (nllk_level_in_use() < 0)
        return NLLK_NO_LEVEL;
    *team = (nllk_team){alone ? 1 : workers(&o), o.parallel, o.context, o.interrupted};
    status = nllk_open_call(w, team);
    if (status == NLLK_BAD_INDEX) {
        results->argument = "target";
        results->bad = w->bad;
    }
    return status;
}

int nllk_compute(int loss, int is_double, ptrdiff_t samples, ptrdiff_t size, const void *const *inputs,
                 const nllk_options *options, nllk_results *results)
{
    nllk_work w;
    nllk_team team;
    const int status = open_work(&w, loss, is_double, samples, size, inputs, options, results, 0, &team);
    if (status != NLLK_OK)
        return status;
    nllk_run_call(&w, &team);
    return set_results(&w, results);
}

int nllk_open(int loss, int is_double, ptrdiff_t samples, ptrdiff_t size, const void *const *inputs,
              const nllk_options *options, nllk_results *results, nllk_call *call)
{
    nllk_team team;
    return open_work((nllk_work *)call, loss, is_double, samples, size, inputs, options, results, 1, &team);
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
    return set_results((nllk_work *)call, results);
}
