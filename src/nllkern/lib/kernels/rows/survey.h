/* What has to be known before a kernel writes anything: that every class index is in range, and the weights' sum. */
#ifndef NLLK_SURVEY_H
#define NLLK_SURVEY_H

#include "functions/lanes.h"
#include "targets.h"

/* The sign bit tells that a class index t is out of range: no comparison, no exit, so that a loop of it vectorises. */
NLLK_INLINE uint64_t beyond_classes(int64_t t, ptrdiff_t classes)
{
    return (uint64_t)t | ((uint64_t)classes - 1 - (uint64_t)t);
}

/* First row of [begin, end) that counts and whose class index is out of range, or -1. */
NLLK_INLINE ptrdiff_t first_bad_index(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const int64_t *index64 = a->index;
    const int32_t *index32 = a->index;
    ptrdiff_t classes = a->classes;
    uint64_t beyond = 0;
    if (a->index_is_64)
        for (ptrdiff_t i = begin; i < end; i++)
            beyond |= beyond_classes(index64[i], classes);
    else
        for (ptrdiff_t i = begin; i < end; i++)
            beyond |= beyond_classes(index32[i], classes);
    for (ptrdiff_t i = begin; (int64_t)beyond < 0 && i < end; i++) {
        if ((int64_t)beyond_classes(index_of(a, i), classes) < 0 && index_counts(a, i))
            return i;
    }
    return -1;
}

/* sums->bad and, where the mean wants it, sums->weight: the sum of the weights of the rows that count. */
static void survey_rows(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, nllk_sums *sums)
{
    const REAL *weight = a->weight, *class_weight = a->class_weight, *prob = a->prob;
    sums->bad = a->index ? first_bad_index(a, begin, end) : -1;
    sums->weight = 0;
    if (sums->bad >= 0 || !a->want_weight)
        return;
    double high[LANES] = {0}, low[LANES] = {0};
    for (ptrdiff_t first = begin; first < end; first += LANES) {
        double w[LANES] = {0};
        for (ptrdiff_t i = first; i < end && i < first + LANES; i++) {
            ptrdiff_t t = a->index ? target_of(a, i) : -1;
            if (a->index ? t >= 0 : !ignored_row(a, prob + i * a->classes))
                w[i - first] =
                    (weight ? (double)weight[i] : 1) * (t >= 0 && class_weight ? (double)class_weight[t] : 1);
        }
#pragma omp simd
        for (int j = 0; j < LANES; j++) {
            two_sum s = two_sum_(high[j], w[j]);
            high[j] = s.sum;
            low[j] += s.lost;
        }
    }
    double lost = 0; /* every digit of the sum is right, so that rows left out are as rows ignored */
    for (int j = 0; j < LANES; j++) {
        two_sum t = two_sum_(sums->weight, high[j]);
        sums->weight = t.sum;
        lost += t.lost + low[j];
    }
    sums->weight += lost;
}

static void survey_points(const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t end, nllk_sums *sums)
{
    const REAL *weight = a->weight;
    double high[LANES] = {0}, low[LANES] = {0};
    ptrdiff_t i = begin;
    for (; i + LANES <= end; i += LANES)
        wide_add(high, low, weight + i, LANES);
    if (i < end)
        wide_add(high, low, weight + i, (int)(end - i));
    for (int j = 0; j < LANES; j++)
        high[j] += low[j];
    sums->bad = -1;
    sums->weight = sum_lanes(high);
}

#endif
