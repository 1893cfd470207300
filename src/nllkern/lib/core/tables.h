/* The rows of losses and options, as src/nllkern/tables has them: what validation needs to know of them. */
#ifndef NLLK_TABLES_H
#define NLLK_TABLES_H

#include "nllkern/nllkern.h"
#include "nllkern/supports.h"

#define NLLK_LINK(NAME, UPPER) +1
enum {
    NLLK_LINK_COUNT = 0
#include "nllkern/links.inc"
};
#undef NLLK_LINK

enum { NLLK_KIND_POINTWISE, NLLK_KIND_ROWS, NLLK_KIND_VECTORS };
enum { NLLK_TAKES_INDEX = 1, NLLK_TAKES_PROBABILITIES = 2, NLLK_TAKES_REAL = 4 };

typedef struct {
    const char *name, *words; /* "expected ..." */
} nllk_support_info;

typedef struct {
    const char *name;
    int support; /* of the parameter itself, behind its link */
    int links;   /* bit set */
    int is_matrix;
} nllk_parameter_info;

typedef struct {
    const char *name;
    int kind, count, linked; /* how many parameters; the bit set of those behind links */
    nllk_parameter_info parameter[NLLK_MAX_PARAMETERS];
    int has_target, target; /* its support */
    int targets;            /* of rows: bit set of NLLK_TAKES_... */
    int numbers;            /* bit set of the rows of nllk_numbers */
    int variants;           /* how many */
    int has_full, has_class_weight, has_ignore_index;
    const char *extra; /* name of the per-sample option, or NULL */
    int extra_support;
} nllk_loss_info;

/* An option that is a number. */
typedef struct {
    const char *name;
    size_t offset;             /* in nllk_options */
    double low, high, nothing; /* the range, both ends included; and what else stands for none */
    double value;              /* the default */
    const char *words;
} nllk_number_info;

extern const nllk_loss_info nllk_losses[NLLK_LOSS_COUNT];
extern const nllk_number_info nllk_numbers[];
extern const int nllk_number_count;
extern const nllk_support_info nllk_supports[NLLK_SUPPORT_COUNT];
extern const int nllk_raw_supports[NLLK_LINK_COUNT]; /* of the raw number; NLLK_ANY: that of the parameter */

#endif
