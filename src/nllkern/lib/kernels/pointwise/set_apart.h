/* One call of the kernel, and how the samples that are not ordinary leave its loop: found in a tile before it
 * writes anything, put into a list, and, when there are enough of them, computed and written. */
#ifndef NLLK_SET_APART_H
#define NLLK_SET_APART_H

#include "apart.h"
#include "tile.h"

enum { INPUTS = NLLK_MAX_PARAMETERS + 2, TARGET = NLLK_MAX_PARAMETERS, EXTRA, OUTPUTS = 1 + 2 * NLLK_MAX_PARAMETERS };

/* An output: the array that it goes to, or the lanes that sum it. */
typedef struct {
    ALIGNED double lanes[LANES];
    REAL buffer[LONG_TILE];
    REAL *array; /* or NULL */
    int summed;
} output;

/* One call of the kernel.  Output 0 is the loss; the gradients follow, then the second derivatives. */
typedef struct {
    const pointwise_loss *loss;
    const nllk_pointwise *a;
    int count, outputs;
    int link[NLLK_MAX_PARAMETERS];
    int shared;     /* bit j: parameter j is one number for all samples */
    int scale_fits; /* in REAL */
    int checks;     /* not every number is ordinary */
    int all_apart;  /* what all samples share is not ordinary */
    range ordinary[INPUTS];
    ptrdiff_t length; /* samples in a whole tile */
    /* The tile at hand: samples [first, first + n), padded to `whole`. */
    ptrdiff_t first, n, whole;
    const REAL *input[INPUTS];
    tile at_hand;
    void (*samples)(const tile *t, ptrdiff_t n); /* the loss's own loop */
    ALIGNED REAL input_buffer[INPUTS][LONG_TILE], weight[LONG_TILE], factor[LONG_TILE];
    prepared linked[NLLK_MAX_PARAMETERS];
    alone_arrays alone;
    ALIGNED REAL log_target[TILE], derivative[NLLK_MAX_PARAMETERS][3][TILE];
    output out[OUTPUTS];
    int set_apart_count;
    unsigned char set_apart[LONG_TILE];
    apart list;
} run;

_Static_assert(LONG_TILE <= 256, "places in a tile are kept in bytes");

static int is_shared(const run *r, int j) { return r->shared >> j & 1; }

/* Put the samples that were found, set_apart[] from number `first` on, into the list. */
static void list_set_apart(run *r, int first)
{
    const nllk_pointwise *a = r->a;
    apart *list = &r->list;
    const int count = r->set_apart_count - first;
    const unsigned char *at = r->set_apart + first;
    const ptrdiff_t k = list->count;
    if (count == r->n) { /* all of the tile, in their order: plain copies */
        for (int j = 0; j < r->count; j++)
            widen(r->input[j], count, list->parameter[j] + k);
        widen(r->input[TARGET], count, list->target + k);
        widen(r->weight, count, list->weight + k);
    }
    for (int i = 0; i < count; i++) {
        list->sample[k + i] = r->first + at[i];
        list->extra[k + i] = a->extra ? r->input[EXTRA][at[i]] : a->extra_value;
    }
    for (int i = 0; i < count && count < r->n; i++) {
        for (int j = 0; j < r->count; j++)
            list->parameter[j][k + i] = r->input[j][at[i]];
        list->target[k + i] = r->input[TARGET][at[i]];
        list->weight[k + i] = r->weight[at[i]];
    }
    list->count += count;
}

static void set_apart_all(run *r)
{
    r->set_apart_count = (int)r->n;
    for (ptrdiff_t i = 0; i < r->n; i++)
        r->set_apart[i] = (unsigned char)i;
}

/* Set apart what is not ordinary, and put an ordinary number in the place of those that are not. */
NLLK_NOINLINE void set_apart_outside(run *r)
{
    uint64_t mark[MARK_WORDS] = {0};
    int to_replace = 0;
    for (int k = 0; k <= TARGET; k++)
        if (k == TARGET || (k < r->count && !is_shared(r, k)))
            to_replace |= mark_outside(mark, r->input[k], r->ordinary[k], r->whole) ? 1 << k : 0;
    const int all = count_marks(mark) == r->whole;
    if (all)
        set_apart_all(r);
    for (int w = 0; w < MARK_WORDS && !all; w++)
        for (; mark[w]; mark[w] &= mark[w] - 1) {
            const int bit = __builtin_ctzll(mark[w]), i = 8 * w + bit / 8 + bit % 8 * LANES;
            r->set_apart[r->set_apart_count] = (unsigned char)i;
            r->set_apart_count += i < r->n; /* padding is not */
        }
    list_set_apart(r, 0);
    if (r->set_apart_count == r->n)
        return;
    for (int k = 0; k <= TARGET; k++)
        if (to_replace >> k & 1)
            r->input[k] = replaced(r->input[k], r->ordinary[k], r->whole, r->input_buffer[k]);
}

static void find_apart(run *r)
{
    r->set_apart_count = 0;
    if (r->all_apart) {
        set_apart_all(r);
        list_set_apart(r, 0);
    }
    if (r->all_apart || !r->checks)
        return;
    ALIGNED UBITS found[LANES] = {0};
    for (int j = 0; j < r->count; j++)
        if (!is_shared(r, j))
            find_outside(found, r->input[j], r->ordinary[j], r->whole);
    find_outside(found, r->input[TARGET], r->ordinary[TARGET], r->whole);
    if (any_of(found))
        set_apart_outside(r);
}

/* The same of samples whose loss is so large that what goes with it may have overflowed.  Their results are in
 * buffers: no input has been written over. */
static void set_apart_large(run *r, REAL *value)
{
    const int before = r->set_apart_count;
    const REAL most = real_power_of_2(r->loss->value_bits);
    ALIGNED UBITS found[LANES] = {0};
    for (int i = 0; i < before; i++) /* not twice */
        value[r->set_apart[i]] = 0;
    find_outside(found, value, (range){-most, most}, r->whole);
    if (!any_of(found))
        return;
    for (ptrdiff_t i = 0; i < r->n; i++)
        if (outside(value[i], (range){-most, most}))
            r->set_apart[r->set_apart_count++] = (unsigned char)i;
    list_set_apart(r, before);
}

NLLK_INLINE double weighted_result(double weight, double scale, double x)
{
    return weight == 0 ? 0 : scale * weight * x;
}

/* Write an output of the samples in the list, or add it. */
static void write_apart(const apart *list, const double *from, double scale, output *to)
{
    ALIGNED double x[APART_MAX];
#pragma omp simd
    for (ptrdiff_t i = 0; i < list->count; i++)
        x[i] = weighted_result(list->weight[i], scale, from[i]);
    if (to->array)
        for (ptrdiff_t i = 0; i < list->count; i++)
            to->array[list->sample[i]] = (REAL)x[i];
    if (!to->summed)
        return;
    for (ptrdiff_t i = list->count; i % LANES; i++)
        x[i] = 0;
    for (ptrdiff_t i = 0; i < list->count; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            to->lanes[j] += x[i + j];
    }
}

/* Compute the samples of the list and write their results. */
static void finish_apart(run *r)
{
    apart *list = &r->list;
    if (!list->count)
        return;
    SYMBOL(compute_apart)(r->loss, r->a, list);
    write_apart(list, list->loss, 1, &r->out[0]);
    for (int j = 0; j < r->count && r->a->want >= WANT_GRAD; j++)
        write_apart(list, list->grad[j], r->a->scale, &r->out[1 + j]);
    for (int j = 0; j < r->count && r->a->want >= WANT_HESS; j++)
        write_apart(list, list->hess[j], r->a->scale, &r->out[1 + r->count + j]);
    list->count = 0;
}

#endif
