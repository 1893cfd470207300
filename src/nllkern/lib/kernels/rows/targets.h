/* The target and the weight of a row. */
#ifndef NLLK_TARGETS_H
#define NLLK_TARGETS_H

#include "functions/real.h"
#include "kernels.h"

NLLK_INLINE int64_t index_of(const nllk_rowwise *a, ptrdiff_t i)
{
    return a->index_is_64 ? ((const int64_t *)a->index)[i] : ((const int32_t *)a->index)[i];
}

/* Whether row i with a class index counts: it is not ignored and its weight is not 0.  If not, its index may be anything. */
NLLK_INLINE int index_counts(const nllk_rowwise *a, ptrdiff_t i)
{
    return !(a->has_ignore && index_of(a, i) == a->ignore_index) && !(a->weight && ((const REAL *)a->weight)[i] == 0);
}

/* The target's column of row i, or -1 where the row does not count. */
NLLK_INLINE ptrdiff_t target_of(const nllk_rowwise *a, ptrdiff_t i)
{
    return index_counts(a, i) ? (ptrdiff_t)index_of(a, i) : -1;
}

/* A probability row whose whole mass lies on the ignored class. */
static int ignored_row(const nllk_rowwise *a, const REAL *t)
{
    if (!a->has_ignore || a->ignore_index < 0 || a->ignore_index >= a->classes || t[a->ignore_index] == 0)
        return 0;
    for (ptrdiff_t k = 0; k < a->classes; k++)
        if (t[k] != 0 && k != a->ignore_index)
            return 0;
    return 1;
}

typedef struct {
    ptrdiff_t column; /* -1 for none */
    REAL weight;      /* 0: the row does not count */
} row_target;

NLLK_INLINE row_target read_target(const nllk_rowwise *a, ptrdiff_t i)
{
    const REAL *class_weight = a->class_weight;
    REAL weight = a->weight ? ((const REAL *)a->weight)[i] : 1;
    if (!a->index)
        return (row_target){-1, ignored_row(a, (const REAL *)a->prob + i * a->classes) ? 0 : weight};
    int64_t t = index_of(a, i);
    if (weight == 0 || (a->has_ignore && t == a->ignore_index))
        return (row_target){-1, 0};
    int no_mass = class_weight && class_weight[t] == 0 && a->smoothing == 0 && a->z_loss == 0;
    return (row_target){(ptrdiff_t)t, no_mass ? 0 : weight};
}

#endif
