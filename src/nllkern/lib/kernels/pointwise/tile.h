/* The loops of pointwise.c over the numbers of one tile: copies, ranges, weights, sums.  n is a multiple of LANES
 * but where it is said to be any number. */
#ifndef NLLK_TILE_H
#define NLLK_TILE_H

#include "functions/lanes.h"
#include "links.h"

#define WHOLE_LANES(n) ((n) & ~(ptrdiff_t)(LANES - 1)) /* n itself: tells the compiler that there is no remainder */

/* ---- inputs ---- */

/* Ask for the numbers of a tile, of which TILE at a time need no loop. */
NLLK_INLINE void fetch_tile(const REAL *x, ptrdiff_t length, int to_write)
{
    for (ptrdiff_t i = 0; i < length; i += TILE)
        fetch(x + i, TILE, to_write);
}

/* The first of n numbers, in all their places. */
static void repeat_first(REAL *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 1; i < n; i++)
        x[i] = x[0];
}

/* Copy any number n of numbers and repeat the first up to `whole`. */
static void copy_padded(const REAL *x, ptrdiff_t n, ptrdiff_t whole, REAL *to)
{
    for (ptrdiff_t i = 0; i < whole; i++)
        to[i] = x[i < n ? i : 0];
}

/* found[j] becomes nonzero if any of x[j], x[j + LANES] ... is not in the range; NaN is. */
NLLK_INLINE void find_columns(UBITS *restrict found, const REAL *restrict x, range r, ptrdiff_t n)
{
    REAL least[LANES], most[LANES];
    for (int j = 0; j < LANES; j++)
        least[j] = r.low, most[j] = r.high;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++) {
            least[j] = x[i + j] < least[j] ? x[i + j] : least[j];
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
        }
    }
#pragma omp simd
    for (int j = 0; j < LANES; j++)
        found[j] |= (UBITS)(bits_of(least[j]) ^ bits_of(r.low)) | (UBITS)(bits_of(most[j]) ^ bits_of(r.high));
}

static void find_outside(UBITS *found, const REAL *x, range r, ptrdiff_t n)
{
    if (n == TILE)
        find_columns(found, x, r, TILE);
    else
        find_columns(found, x, r, n);
}

static UBITS any_of(const UBITS *x)
{
    UBITS any = 0;
#pragma omp simd reduction(| : any)
    for (int j = 0; j < LANES; j++)
        any |= x[j];
    return any;
}

/* Samples of a tile as bits: sample j + k LANES is bit 8 (j % 8) + k of word j / 8. */
enum { MARK_WORDS = LANES / 8 };
_Static_assert(TILE / LANES <= 8, "a lane has 8 bits");

/* Mark what is not in the range.  Returns whether there is anything. */
NLLK_INLINE uint64_t mark_columns(uint64_t *restrict mark, const REAL *restrict x, range r, ptrdiff_t n)
{
    ALIGNED UBITS lane[LANES] = {0};
    uint64_t any = 0;
    UBITS bit = 1;
    for (ptrdiff_t i = 0; i < n; i += LANES, bit += bit) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            lane[j] |= outside(x[i + j], r) ? bit : 0;
    }
    for (int w = 0; w < MARK_WORDS; w++) {
        uint64_t word = 0;
#pragma omp simd reduction(| : word)
        for (int j = 0; j < 8; j++)
            word |= (uint64_t)lane[8 * w + j] << 8 * j;
        mark[w] |= word;
        any |= word;
    }
    return any;
}

static uint64_t mark_outside(uint64_t *mark, const REAL *x, range r, ptrdiff_t n)
{
    return n == TILE ? mark_columns(mark, x, r, TILE) : mark_columns(mark, x, r, n);
}

static int count_marks(const uint64_t *mark)
{
    int count = 0;
    for (int w = 0; w < MARK_WORDS; w++)
        count += __builtin_popcountll(mark[w]);
    return count;
}

static void widen(const REAL *x, ptrdiff_t n, double *to)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to[i] = x[i];
}

/* x with 1 in the place of what is not in the range; `to` may be x. */
static const REAL *replaced(const REAL *x, range r, ptrdiff_t n, REAL *to)
{
    n = WHOLE_LANES(n);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to[i] = outside(x[i], r) ? R(1.0) : x[i];
    return to;
}

static void compute_logs(const REAL *x, ptrdiff_t n, REAL *to)
{
    n = WHOLE_LANES(n);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to[i] = x[i] == x[i] ? log_ordinary_(x[i]) : x[i]; /* a NaN stays one */
}

/* ---- weights ---- */

NLLK_INLINE REAL factor_of(REAL weight, double scale, UBITS *found)
{
    const REAL factor = (REAL)(scale * (double)weight);
    *found |= outside(weight == R(0.0) ? R(1.0) : fabs_(factor), (range){REAL_MIN, REAL_MAX});
    return factor;
}

/* The factors of derivatives, scale weight[i].  Returns whether REAL can hold them. */
static int compute_factors(const REAL *weight, double scale, ptrdiff_t n, REAL *factor)
{
    UBITS found = 0;
    n = WHOLE_LANES(n);
#pragma omp simd reduction(| : found)
    for (ptrdiff_t i = 0; i < n; i++)
        factor[i] = factor_of(weight[i], scale, &found);
    return NLLK_BITS == 64 || !found;
}

/* A sample of weight 0 counts nothing, whatever its data. */
NLLK_INLINE double weighted(REAL weight, REAL x) { return weight == R(0.0) ? 0 : (double)weight * (double)x; }

NLLK_INLINE REAL weighted_real(REAL weight, double scale, REAL x) { return (REAL)(scale * weighted(weight, x)); }

/* to[i] = scale weight[i] x[i], in doubles; any n. */
static void multiply(const REAL *weight, double scale, const REAL *x, ptrdiff_t n, REAL *to)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to[i] = weighted_real(weight[i], scale, x[i]);
}

/* ---- sums ---- */

/* lanes[j] += the sum of x[j], x[j + LANES] ...; where n is a constant, in registers. */
NLLK_INLINE void add_columns(double *restrict lanes, const REAL *restrict x, ptrdiff_t n)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        double sum = x[j];
        for (ptrdiff_t i = LANES; i < n; i += LANES)
            sum += x[i + j];
        lanes[j] += sum;
    }
}

static void add_lanes(double *lanes, const REAL *x, ptrdiff_t n)
{
    if (n == TILE)
        add_columns(lanes, x, TILE);
    else if (n == LONG_TILE)
        add_columns(lanes, x, LONG_TILE);
    else
        add_columns(lanes, x, n);
}

/* The same of weight[i] x[i]. */
static void add_weighted(double *restrict lanes, const REAL *weight, const REAL *x, ptrdiff_t n)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < n; i += LANES)
            sum += weighted(weight[i + j], x[i + j]);
        lanes[j] += sum;
    }
}

#endif
