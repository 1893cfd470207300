/* What a kernel is asked to do, and the table of kernels of one SIMD level.
 *
 * A kernel computes samples [begin, end) and returns nothing else than what it writes: no Python, no threads,
 * no allocation.  Pointers are to float or to double, as the kernel's name says; strides count elements. */
#ifndef NLLK_KERNELS_H
#define NLLK_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "nllkern/nllkern.h"

/* Work on one block of samples: the sums go to the caller, who adds the blocks in their order. */
typedef struct {
    double value;                     /* sum of weight * loss */
    double grad[NLLK_MAX_PARAMETERS]; /* sum of the gradient of each parameter that is one number */
    double hess[NLLK_MAX_PARAMETERS];
    double weight; /* of a survey: the sum of the weights of the samples that count */
    ptrdiff_t bad; /* of a survey: the first class index out of range, or -1 */
} nllk_sums;

/* How much of a loss is wanted. */
enum { WANT_VALUE, WANT_GRAD, WANT_HESS, WANT_COUNT };

typedef struct {
    int want;
    int link[NLLK_MAX_PARAMETERS];              /* of each parameter */
    const void *parameter[NLLK_MAX_PARAMETERS]; /* raw predictions; stride 0: one number for all samples */
    int parameter_stride[NLLK_MAX_PARAMETERS];  /* 1 or 0 */
    const void *target;
    int target_stride;
    const void *weight;     /* per sample, or NULL for 1 */
    const void *extra;      /* a loss's own per-sample input (pos_weight), or NULL for 1 */
    ptrdiff_t extra_period; /* how many there are before they repeat */
    double extra_value;     /* where extra is NULL: the one number of all samples */
    double scale;           /* multiplies gradients and second derivatives: 1 / the mean's denominator */
    int full;               /* keep the constants */
    void *loss;             /* per sample, or NULL */
    void *grad[NLLK_MAX_PARAMETERS];
    void *hess[NLLK_MAX_PARAMETERS];
} nllk_pointwise;

typedef struct {
    int want;
    int want_weight; /* a survey sums the weights */
    const void *logits;
    ptrdiff_t row_stride;
    ptrdiff_t classes;
    const void *index; /* class indices, or NULL */
    int index_is_64;
    const void *prob;         /* target probabilities (rows of `classes`), or NULL */
    const void *class_weight; /* or NULL for 1 */
    const void *weight;       /* per sample, or NULL for 1 */
    int has_ignore;
    int64_t ignore_index;
    double smoothing, z_loss;
    double softcap; /* 0 for none */
    double margin;  /* of a hinge */
    int variant;    /* which of its forms a loss takes, in the order of the names in _rowwise.pyx */
    double scale;
    void *loss, *grad, *hess; /* per sample; rows of `classes`; NULL where not wanted */
    int stream;               /* the gradient is so large that its long rows are better written past the caches */
} nllk_rowwise;

/* Real numbers into bins, and predicted distributions over bins into numbers. */
typedef struct {
    const void *values; /* the numbers, or rows of `bins` logits */
    ptrdiff_t row_stride, bins;
    const double *edges;     /* bins + 1 of them; or NULL: low + k step, the last one high */
    double low, high, step;  /* step only without edges */
    int raise;               /* a number outside [low, high] is reported, not put into an end bin */
    const void *weight;      /* per number, or NULL; one of weight 0 may be anything */
    int64_t *index;          /* the bin of each number */
    const double *points;    /* the centres of the bins, or the quantiles asked for, ascending */
    ptrdiff_t point_count;   /* how many quantiles */
    ptrdiff_t result_stride; /* from the results of one quantile to those of the next */
    void *result;
} nllk_bins;
enum { NLLK_ENCODE, NLLK_EXPECTATION, NLLK_QUANTILE, NLLK_BINS_COUNT };

/* Softmax over the columns of a matrix whose rows come in blocks.  The kernels count columns. */
typedef struct {
    const void *rows; /* `row_count` rows of `columns` numbers, the first of which is row `first` of the matrix */
    ptrdiff_t row_count, columns, first;
    void *top;         /* of each column the largest so far */
    double *others;    /* of each column the sum of exp(element - top) over the rows other than its own */
    const void *scale; /* of each column; with it scale exp(element - top) is added to `result` */
    void *result;
} nllk_columns;
enum { NLLK_ADD_COLUMNS, NLLK_COLUMN_SOFTMAX, NLLK_COLUMNS_COUNT };

/* Rows of `columns` numbers made unit vectors, gradients by unit vectors (`rows`) made those by what they came from, and rows
 * times factor one_factor / divisor.  The kernels count rows. */
typedef struct {
    const void *rows;
    void *result; /* may be the rows; of the gradients they are read too */
    ptrdiff_t columns;
    double *norm, *scale; /* units.h: written by NLLK_UNIT_ROWS, read by NLLK_UNIT_GRADIENTS */
    const double *factor; /* one a row, or NULL for 1 */
    double one_factor, divisor;
} nllk_units;
enum { NLLK_UNIT_ROWS, NLLK_UNIT_GRADIENTS, NLLK_SCALE_ROWS, NLLK_UNITS_COUNT };

/* Losses whose samples are vectors of d numbers.  A matrix that all samples share is prepared once and worked on in parts,
 * whose sums are added at the end: NLLK_PREPARE and NLLK_FINISH are calls of the same kernel. */
#define NLLK_VECTOR_MAX 256 /* d at most, where a matrix is involved */
enum { NLLK_RUN, NLLK_PREPARE, NLLK_FINISH };

typedef struct {
    int want, step, link, full;
    ptrdiff_t samples, dimension;
    const void *input[NLLK_MAX_PARAMETERS];
    const void *target;  /* or NULL */
    const void *weight;  /* per sample, or NULL for 1 */
    double scale;        /* multiplies gradients and second derivatives */
    double margin, norm; /* of the triplet loss */
    void *loss;          /* per sample, or NULL */
    void *grad[NLLK_MAX_PARAMETERS];
    void *hess[NLLK_MAX_PARAMETERS];
    const double *factor; /* the one factor of all samples, in doubles, with its log-determinant; or NULL: input[1] */
    double log_sum;
    double *shared; /* the one factor of all samples, prepared: NLLK_SHARED_SIZE doubles; or NULL */
    double *parts;  /* of each part of the batch, its sums: NLLK_PART_SIZE doubles; NULL without derivatives */
    ptrdiff_t part,
        part_count; /* samples in a part (a whole number of lanes); the kernel then counts parts, not samples */
} nllk_vectors;

#define NLLK_PITCH(d) (((d) + 15) & ~(ptrdiff_t)15)
#define NLLK_SHARED_SIZE(d) (NLLK_PITCH(d) * NLLK_PITCH(d) + 8 * NLLK_VECTOR_MAX)
#define NLLK_PART_SIZE(d) (NLLK_PITCH(d) * (NLLK_PITCH(d) + 33))

/* `scratch`: room for one row of more than NLLK_STAGE logits (shorter rows need none), or NULL, which is slower. */
#define NLLK_STAGE 4096
typedef void (*nllk_kernel)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums);
typedef void (*nllk_vector_function)(const void *x, void *y, ptrdiff_t n);

/* One number per function of functions.inc, in the order of the table. */
#define NLLK_VECFN(NAME, ...) NLLK_VECFN_##NAME,
enum {
#include "functions.inc"
    NLLK_VECFN_COUNT
};
#undef NLLK_VECFN

typedef struct {
    const char *name;
    double low, high, ulp_f32, ulp_f64; /* domain and error bounds */
} nllk_vecfn_info;
extern const nllk_vecfn_info nllk_vecfns[NLLK_VECFN_COUNT];

/* The kernels of one SIMD level and precision. */
typedef struct {
    nllk_kernel loss[NLLK_LOSS_COUNT];
    nllk_kernel survey[2]; /* of row-wise and of pointwise losses: to be run before the loss */
    nllk_kernel bins[NLLK_BINS_COUNT];
    nllk_kernel columns[NLLK_COLUMNS_COUNT];
    nllk_kernel units[NLLK_UNITS_COUNT];
    nllk_vector_function vector[NLLK_VECFN_COUNT];
} nllk_table;

typedef struct {
    const char *name;
    const nllk_table *f32, *f64;
} nllk_level;

/* The levels that this processor can run, baseline first; returns how many. */
int nllk_available_levels(const nllk_level **levels);

#endif
