/* nllkern from C: negative log-likelihoods and their gradients.
 *
 * For each loss of losses.inc, which lies beside this file, and for T = float (f32) and double (f64) there are
 *
 *     int nllk_NAME_f32(inputs, const nllk_options *options, nllk_results *results);
 *     int nllk_NAME_f32_open(inputs, const nllk_options *options, nllk_results *results, nllk_call *call);
 *
 * with these inputs:
 *
 *     pointwise  ptrdiff_t samples, const T *parameter (one to three of them), const T *target
 *     rowwise    ptrdiff_t samples, ptrdiff_t classes, const T *logits, const void *target
 *     vectors    ptrdiff_t samples, ptrdiff_t dimension, and three const T *, as Python's arguments
 *
 * For example
 *
 *     int nllk_gaussian_nll_f32(ptrdiff_t samples, const float *mean, const float *scale, const float *target,
 *                               const nllk_options *options, nllk_results *results);
 *
 * The first form computes all samples, on several threads if that pays.  The second starts no thread: the caller runs
 * the blocks of the call where and in what order it likes (nllk_run), and nllk_close gives the results.  The bits are the
 * same either way.
 *
 * All functions return NLLK_OK, or what is wrong, and then they have written no array.  Formulas, domains and defaults
 * are those of the Python functions of the same name, with two differences: arrays must not overlap unless a gradient is
 * the very input that it belongs to, which is not checked; and the targets of binned_cross_entropy are indices of bins, which
 * nllk_encode_f32 and nllk_encode_f64 find. */
#ifndef NLLKERN_H
#define NLLKERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NLLK_ABI 1 /* changes only with what would break a program that was compiled before */

#ifdef NLLK_API /* set by who reads this header with a program */
#elif defined(_WIN32)
#define NLLK_API
#else
#define NLLK_API __attribute__((visibility("default")))
#endif

typedef enum {
    NLLK_OK,
    NLLK_BAD_OPTIONS,   /* options or results are NULL, or of an unknown size */
    NLLK_BAD_SIZE,      /* a negative number of samples, no classes, a dimension out of range */
    NLLK_NULL_POINTER,  /* an input, or an output that is wanted, is NULL */
    NLLK_BAD_REDUCTION, /* not one of those below, or a normalizer that is not positive or goes with no mean */
    NLLK_BAD_WANT,
    NLLK_BAD_LINK,   /* the loss has no such link */
    NLLK_BAD_TARGET, /* the loss takes no such kind of target */
    NLLK_BAD_OPTION, /* a number out of its range, an option that the loss does not have, edges that do not increase */
    NLLK_BAD_INDEX,  /* a class index out of range: results->bad is its sample */
    NLLK_BAD_RANGE,  /* begin is not the start of a block, or end not the end of one */
    NLLK_NO_MEMORY,
    NLLK_STATUS_COUNT
} nllk_status;

/* What a status means, in a few words. */
NLLK_API const char *nllk_message(int status);

enum { NLLK_MEAN, NLLK_SUM, NLLK_NONE };          /* reduction */
enum { NLLK_VALUE, NLLK_GRADIENT, NLLK_HESSIAN }; /* want; each includes those before it */
enum { NLLK_IDENTITY, NLLK_SOFTPLUS, NLLK_LOG, NLLK_VARIANCE, NLLK_LOG_VARIANCE };             /* link */
enum { NLLK_TARGET_DEFAULT, NLLK_TARGET_INT64, NLLK_TARGET_INT32, NLLK_TARGET_PROBABILITIES }; /* target */
enum { NLLK_FROM_SOFTMAX, NLLK_FROM_LOG, NLLK_CRAMMER_SINGER = 0, NLLK_WESTON_WATKINS };       /* variant */

/* How `count` workers are set to work: call work(task, k) once for each k from 0 to count - 1, on threads or one after the
 * other, and return when all of them have returned. */
typedef void (*nllk_parallel)(void *context, int count, void (*work)(void *task, int k), void *task);

/* What else a call says.  Start from NLLK_OPTIONS: all that is 0 or NULL there is as good as not given. */
typedef struct {
    size_t size;   /* sizeof(nllk_options) */
    int want;      /* NLLK_VALUE ... */
    int reduction; /* NLLK_MEAN ... */
    int link;      /* of the linked parameters, or of the factor's diagonal */
    int own_link;  /* of the last parameter where it has one for itself (student_t_nll) */
    int target;    /* of rows: NLLK_TARGET_INT64 ...; default: int64 indices, or probabilities if it takes no indices */
    int variant;   /* of kl_divergence and of multiclass_hinge */
    int shared;    /* bit j: input j is one number (or factor) for all samples; bit 3: so is the target */
    int num_threads;      /* at most; 0: nllk_get_num_threads() */
    int drop_constants;   /* leave out the terms that depend on no parameter */
    int has_ignore_index; /* rows whose index is ignore_index do not count */
    int64_t ignore_index;
    double normalizer;         /* the mean's denominator; 0: the weight of the samples that count */
    const void *sample_weight; /* T, one a sample */
    const void *class_weight;  /* T, one a class */
    const void *extra;         /* T: pos_weight of binary_cross_entropy, delta of huber */
    ptrdiff_t extra_period;    /* how many there are before they repeat; 0: one a sample */
    ptrdiff_t row_stride;      /* from one row of logits to the next; 0: the rows are contiguous */
    double label_smoothing, z_loss;
    double softcap;         /* 0: none */
    double margin;          /* of the hinge and of the triplet loss */
    double p;               /* the norm of the triplet loss */
    nllk_parallel parallel; /* NULL: OpenMP */
    void *context;          /* its first argument */
} nllk_options;

#define NLLK_OPTIONS {sizeof(nllk_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0}

/* Where results go, T each; NULL: not wanted.  Derivatives are those of the reduced value, by input; second ones by each
 * number alone (the Hessian's diagonal). */
typedef struct {
    size_t size; /* sizeof(nllk_results) */
    void *loss;  /* of each sample, weighted */
    void *grad[3], *hess[3];
    /* Set by the call: */
    double value; /* of the reduction; for NLLK_NONE the sum */
    double denominator;
    double grad_sum[3], hess_sum[3]; /* of pointwise parameters that are shared */
    ptrdiff_t bad;                   /* NLLK_BAD_INDEX: the sample */
} nllk_results;

#define NLLK_RESULTS {sizeof(nllk_results), 0, {0, 0, 0}, {0, 0, 0}, 0, 0, {0, 0, 0}, {0, 0, 0}, -1}

/* The same for languages without initializers. */
NLLK_API void nllk_default_options(nllk_options *options);
NLLK_API void nllk_empty_results(nllk_results *results);

/* A call whose blocks the caller runs.  It must not be copied, and what it was opened with must live until it is closed. */
typedef struct {
    uint64_t room[96];
} nllk_call;

/* Samples in a block; the last one may have fewer. */
NLLK_API ptrdiff_t nllk_block(const nllk_call *call);
/* Compute samples begin to end, which are whole blocks (end may be the end of all).  It starts no thread.  Any thread may call
 * it, several at the same time, for samples of their own. */
NLLK_API int nllk_run(nllk_call *call, ptrdiff_t begin, ptrdiff_t end);
/* After all samples have been run: add up what the blocks have left, in their order, into results, and free what the call
 * holds.  With results NULL, only that. */
NLLK_API int nllk_close(nllk_call *call, nllk_results *results);

/* The bins that numbers fall into, as binned_cross_entropy takes them: bin k is [edge_k, edge_{k+1}).  What lies outside goes
 * to the bin at that end, and NaN to -1.  `edges` are bins + 1 increasing numbers; or NULL, and all bins from low to high
 * are of one width. */
NLLK_API int nllk_encode_f32(ptrdiff_t samples, const float *numbers, ptrdiff_t bins, const double *edges, double low,
                             double high, int64_t *index);
NLLK_API int nllk_encode_f64(ptrdiff_t samples, const double *numbers, ptrdiff_t bins, const double *edges, double low,
                             double high, int64_t *index);

/* Threads of calls that do not say so themselves; at first what OpenMP would use. */
NLLK_API void nllk_set_num_threads(int count);
NLLK_API int nllk_get_num_threads(void);

/* "0.1.0" */
NLLK_API const char *nllk_version(void);

/* Every function by its name, for programs that do not link to the library: Python's capsule "nllkern._C_API" holds a
 * nllk_api.  The list only ever grows. */
typedef struct {
    const char *name, *type; /* as "int (ptrdiff_t samples, ...)" */
    void (*address)(void);
} nllk_function;

typedef struct {
    int abi;     /* NLLK_ABI */
    size_t size; /* sizeof(nllk_api) */
    ptrdiff_t count;
    const nllk_function *functions;
} nllk_api;

NLLK_API const nllk_api *nllk_get_api(void);

#define NLLK_INPUTS_1(T) ptrdiff_t samples, const T *first, const T *target
#define NLLK_INPUTS_2(T) ptrdiff_t samples, const T *first, const T *second, const T *target
#define NLLK_INPUTS_3(T) ptrdiff_t samples, const T *first, const T *second, const T *third, const T *target
#define NLLK_INPUTS_ROWS(T) ptrdiff_t samples, ptrdiff_t classes, const T *logits, const void *target
#define NLLK_INPUTS_VECTORS(T) ptrdiff_t samples, ptrdiff_t dimension, const T *first, const T *second, const T *third

#define NLLK_DECLARE(NAME, INPUTS)                                                                                     \
    NLLK_API int nllk_##NAME##_f32(INPUTS(float), const nllk_options *options, nllk_results *results);                 \
    NLLK_API int nllk_##NAME##_f64(INPUTS(double), const nllk_options *options, nllk_results *results);                \
    NLLK_API int nllk_##NAME##_f32_open(INPUTS(float), const nllk_options *options, nllk_results *results,             \
                                        nllk_call *call);                                                              \
    NLLK_API int nllk_##NAME##_f64_open(INPUTS(double), const nllk_options *options, nllk_results *results,            \
                                        nllk_call *call);
#define NLLK_ROWWISE(NAME, ...) NLLK_DECLARE(NAME, NLLK_INPUTS_ROWS)
#define NLLK_POINTWISE(NAME, NAMES, COUNT, ...) NLLK_DECLARE(NAME, NLLK_INPUTS_##COUNT)
#define NLLK_VECTORS(NAME, ...) NLLK_DECLARE(NAME, NLLK_INPUTS_VECTORS)
#include "losses.inc"
#undef NLLK_ROWWISE
#undef NLLK_POINTWISE
#undef NLLK_VECTORS

#ifdef __cplusplus
}
#endif

#endif
