/* Multiclass hinge losses of scores s with target class y.
 *
 *   of the largest (Crammer & Singer 2001):  max(0, margin + max_{j != y} s_j - s_y)
 *   of each (Weston & Watkins 1999):         sum_{j != y} max(0, margin + s_j - s_y)
 *
 * The gradient is +1 at each class j whose term is positive (at the first of the largest) and minus their number at y; the
 * second derivative is 0.  A score of -inf is a masked class, which has no term and gradient 0. */
#ifndef NLLK_HINGE_H
#define NLLK_HINGE_H

#include "block.h"

#define HINGE_MARGIN_MAX (REAL_MAX / 64) /* sums of a few terms stay finite */

/* The margin is high + low + rest; the rest is what REAL cannot hold.  A margin > 0 stays so. */
typedef struct {
    REAL high, low;
    double rest;
} hinge_margin;

NLLK_INLINE hinge_margin margin_of(const nllk_rowwise *a)
{
    REAL high = a->margin > HINGE_MARGIN_MAX ? HINGE_MARGIN_MAX : (REAL)a->margin;
    high = a->margin > 0 && high == 0 ? REAL_TINY : high;
    REAL low = high > REAL_TINY && high < HINGE_MARGIN_MAX ? (REAL)(a->margin - high) : 0;
    return (hinge_margin){high, low, a->margin - high - low};
}

/* margin + other - own, to its last digit: its sign is exact, also where the difference or the sum is rounded. */
NLLK_INLINE REAL hinge_of(REAL other, REAL own, hinge_margin margin)
{
    REAL d = other - own, v = d - other;
    REAL lost = (other - (d - v)) - (own + v); /* the rounding of d, exactly (Knuth) */
    return (margin.high + d) + ((lost == lost ? lost : 0) + margin.low);
}

NLLK_INLINE void fill_row(REAL *row, ptrdiff_t n, REAL value)
{
    for (ptrdiff_t k = 0; k < n; k++)
        row[k] = value;
}

/* The weighted loss of row i, and its second derivatives. */
NLLK_INLINE double finish_hinge(const nllk_rowwise *a, ptrdiff_t i, REAL weight, double value)
{
    REAL *hess = a->hess, *loss = a->loss;
    double weighted = weight == 0 ? 0 : (double)weight * value;
    if (hess)
        fill_row(hess + i * a->classes, a->classes, weighted == weighted ? 0 : REAL_NAN);
    if (loss)
        loss[i] = (REAL)weighted;
    return weighted;
}

/* The first of the largest scores other than the target's, and NaN if any score is. */
typedef struct {
    REAL score, odd;
    ptrdiff_t at;
} largest_score;

NLLK_INLINE largest_score largest_other(const REAL *z, ptrdiff_t n, ptrdiff_t t)
{
    REAL top[LANES], odd[LANES];
    BITS group[LANES];
    for (int j = 0; j < LANES; j++) {
        top[j] = -REAL_INF;
        odd[j] = 0;
        group[j] = 0;
    }
    ptrdiff_t whole = n & ~(ptrdiff_t)(LANES - 1);
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        BITS own = (BITS)(t - i), now = (BITS)(i / LANES);
#pragma omp simd
        for (int j = 0; j < LANES; j++) {
            REAL x = z[i + j], y = (BITS)j == own ? -REAL_INF : x;
            odd[j] = x == x ? odd[j] : x;
            group[j] = y > top[j] ? now : group[j];
            top[j] = y > top[j] ? y : top[j];
        }
    }
    for (ptrdiff_t i = whole; i < n; i++) {
        int j = (int)(i - whole);
        odd[j] = z[i] == z[i] ? odd[j] : z[i];
        if (i != t && z[i] > top[j]) {
            top[j] = z[i];
            group[j] = (BITS)(i / LANES);
        }
    }
    largest_score best = {-REAL_INF, 0, n};
    for (int j = 0; j < LANES; j++) {
        ptrdiff_t at = (ptrdiff_t)group[j] * LANES + j;
        best.odd += odd[j];
        if (top[j] > best.score || (top[j] == best.score && at < best.at)) {
            best.score = top[j];
            best.at = at;
        }
    }
    return best;
}

/* The same for ROWS rows of few classes, transposed. */
NLLK_INLINE void largest_others(const REAL *z, ptrdiff_t n, const BITS *target, REAL *top, REAL *odd, BITS *at)
{
    for (int r = 0; r < ROWS; r++) {
        top[r] = -REAL_INF;
        odd[r] = 0;
        at[r] = 0;
    }
    for (ptrdiff_t k = 0; k < n; k++) {
#pragma omp simd
        for (int r = 0; r < ROWS; r++) {
            REAL x = z[k * ROWS + r], y = (BITS)k == target[r] ? -REAL_INF : x;
            odd[r] = x == x ? odd[r] : x;
            at[r] = y > top[r] ? (BITS)k : at[r];
            top[r] = y > top[r] ? y : top[r];
        }
    }
}

/* The gradient of row i, which is 0 so far, from its hinge `term`. */
NLLK_INLINE void largest_gradient(const nllk_rowwise *a, ptrdiff_t i, row_target t, REAL own, REAL term, double value,
                                  ptrdiff_t at)
{
    ptrdiff_t n = a->classes;
    REAL *grad = (REAL *)a->grad + i * n, unit = (REAL)(a->scale * t.weight);
    if (t.weight != 0 && value != value) {
        fill_row(grad, n, REAL_NAN);
    } else if (t.weight != 0 && term > 0) {
        grad[at] = unit;
        grad[t.column] = own == -REAL_INF ? 0 : -unit;
    }
}

#define LARGEST_NARROW 128 /* rows of up to this many classes go in blocks */

static double hinge_of_largest(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL *logits = a->logits;
    const hinge_margin margin = margin_of(a);
    ptrdiff_t n = a->classes, stride = a->row_stride;
    REAL z[LARGEST_NARROW * ROWS], top[ROWS], odd[ROWS], own[ROWS], term[ROWS];
    double value[ROWS], sum = 0;
    row_target t[ROWS];
    BITS target[ROWS], at[ROWS];
    for (ptrdiff_t first = begin; first < end;) {
        ptrdiff_t count = n <= LARGEST_NARROW && end - first >= ROWS ? ROWS : 1;
        const REAL *row = logits + first * stride;
        for (ptrdiff_t r = 0; r < count; r++) {
            t[r] = read_target(a, first + r);
            target[r] = (BITS)t[r].column;
        }
        if (count == ROWS) {
            transpose_in(row, stride, n, ROWS, ROWS, z);
            largest_others(z, n, target, top, odd, at);
        } else {
            largest_score other = largest_other(row, n, t[0].column);
            top[0] = other.score;
            odd[0] = other.odd;
            at[0] = (BITS)other.at;
        }
        for (ptrdiff_t r = 0; r < count; r++) /* only now, when the rows are in cache */
            own[r] = t[r].column < 0 ? 0 : row[r * stride + t[r].column];
#pragma omp simd
        for (ptrdiff_t r = 0; r < count; r++) {
            term[r] = hinge_of(top[r], own[r], margin) + odd[r];
            value[r] = term[r] > 0 ? term[r] + margin.rest : term[r] <= 0 ? 0 : (double)term[r];
        }
        if (a->grad)
            memset((REAL *)a->grad + first * n, 0, count * n * sizeof(REAL));
        for (ptrdiff_t r = 0; r < count; r++) {
            if (a->grad)
                largest_gradient(a, first + r, t[r], own[r], term[r], value[r], (ptrdiff_t)at[r]);
            sum += finish_hinge(a, first + r, t[r].weight, value[r]);
        }
        first += count;
    }
    return sum;
}

/* One class of the sum over all: its term, whether it is positive, NaN if it is nothing.  The target, like a masked class,
 * has none.  Only selects of values: GCC leaves conditions that are stored and combined in scalar code. */
typedef struct {
    REAL value, count, odd;
} class_hinge;

NLLK_INLINE class_hinge hinge_of_class(REAL x, REAL own, hinge_margin margin)
{
    REAL term = hinge_of(x, own, margin), odd = x == -REAL_INF ? R(0.0) : term;
    return (class_hinge){term > 0 ? term : R(0.0), term > 0 ? R(1.0) : R(0.0), odd == odd ? R(0.0) : odd};
}

/* What is left of a row when its `active` terms are summed, and `unit` stands at each of them in the gradient. */
NLLK_INLINE double finish_each(const nllk_rowwise *a, ptrdiff_t i, row_target t, REAL own, double value, double active,
                               REAL odd, double margin_rest)
{
    ptrdiff_t n = a->classes;
    int lone = own == -REAL_INF && active == 0; /* no class is left */
    REAL *grad = element_of(a->grad, i * n);
    double total = odd == 0 && own == own && !lone ? value + active * margin_rest : (double)REAL_NAN;
    if (grad && t.weight == 0)
        memset(grad, 0, n * sizeof *grad);
    else if (grad && total != total)
        fill_row(grad, n, REAL_NAN);
    else if (grad)
        grad[t.column] = own == -REAL_INF ? 0 : (REAL)(a->scale * t.weight * -active);
    return finish_hinge(a, i, t.weight, total);
}

/* `count` rows of few classes. */
static double narrow_hinge_of_each(const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t count)
{
    const REAL *logits = a->logits;
    const hinge_margin margin = margin_of(a);
    ptrdiff_t n = a->classes, stride = a->row_stride;
    row_target t[ROWS];
    REAL z[NARROW * ROWS], own[ROWS], unit[ROWS], odd[ROWS] = {0};
    double sums[2][ROWS], low[2][ROWS], sum = 0;
    BITS target[ROWS];
    memset(sums, 0, sizeof sums);
    memset(low, 0, sizeof low);
    memset(z, 0, n * ROWS * sizeof *z);
    transpose_in(logits + first * stride, stride, n, count, ROWS, z); /* brings the rows into cache */
    for (ptrdiff_t r = 0; r < ROWS; r++) {
        t[r] = r < count ? read_target(a, first + r) : (row_target){-1, 0};
        target[r] = (BITS)t[r].column;
        own[r] = t[r].column < 0 ? 0 : logits[(first + r) * stride + t[r].column];
        unit[r] = (REAL)(a->scale * t[r].weight);
    }
    for (ptrdiff_t k0 = 0; k0 < n; k0 += GROUP) {
        ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
        REAL part[2][ROWS];
        memset(part, 0, sizeof part);
        for (ptrdiff_t k = k0; k < stop; k++) {
#pragma omp simd
            for (int r = 0; r < ROWS; r++) {
                REAL x = (BITS)k == target[r] ? -REAL_INF : z[k * ROWS + r];
                class_hinge c = hinge_of_class(x, own[r], margin);
                part[0][r] += c.value;
                part[1][r] += c.count;
                odd[r] += c.odd;
                z[k * ROWS + r] = c.count * unit[r];
            }
        }
        wide_add(sums[0], low[0], part[0], ROWS);
        wide_add(sums[1], low[1], part[1], ROWS);
    }
    if (a->grad)
        transpose_out(z, n, count, ROWS, (REAL *)a->grad + first * n);
    for (ptrdiff_t r = 0; r < count; r++)
        sum += finish_each(a, first + r, t[r], own[r], sums[0][r] + low[0][r], sums[1][r], odd[r], margin.rest);
    return sum;
}

typedef struct {
    REAL value[LANES], count[LANES], odd[LANES];
} hinge_lanes;

/* LANES classes at x, of which the target is number `at`; their gradient goes to g, which may be x. */
NLLK_INLINE void add_hinges(const REAL *x, BITS at, REAL own, hinge_margin margin, REAL unit, hinge_lanes *s, REAL *g)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        class_hinge h = hinge_of_class((BITS)j == at ? -REAL_INF : x[j], own, margin);
        s->value[j] += h.value;
        s->count[j] += h.count;
        s->odd[j] += h.odd;
        g[j] = h.count * unit;
    }
}

static double wide_hinge_of_each(const nllk_rowwise *a, ptrdiff_t i)
{
    const REAL *z = (const REAL *)a->logits + i * a->row_stride;
    const hinge_margin margin = margin_of(a);
    const ptrdiff_t n = a->classes, whole = n & ~(ptrdiff_t)(LANES - 1);
    const row_target t = read_target(a, i);
    const REAL own = t.column < 0 ? 0 : z[t.column], unit = (REAL)(a->scale * t.weight);
    REAL *grad = element_of(a->grad, i * n), unused[LANES], any = 0;
    double value[LANES] = {0}, count[LANES] = {0}, low[2][LANES] = {{0}}, totals[2] = {0, 0};
    hinge_lanes s = {.odd = {0}};
    for (ptrdiff_t k = 0; k < n; k += CHUNK) {
        for (int j = 0; j < LANES; j++)
            s.value[j] = s.count[j] = 0;
        for (ptrdiff_t c = k; c < whole && c < k + CHUNK; c += LANES)
            add_hinges(z + c, (BITS)(t.column - c), own, margin, unit, &s, grad ? grad + c : unused);
        if (whole < n && whole < k + CHUNK) {
            REAL x[LANES], g[LANES];
            for (int j = 0; j < LANES; j++)
                x[j] = j < n - whole ? z[whole + j] : -REAL_INF;
            add_hinges(x, (BITS)(t.column - whole), own, margin, unit, &s, g);
            for (int j = 0; j < n - whole && grad; j++)
                grad[whole + j] = g[j];
        }
        wide_add(value, low[0], s.value, LANES);
        wide_add(count, low[1], s.count, LANES);
    }
    for (int j = 0; j < LANES; j++) {
        totals[0] += value[j] + low[0][j];
        totals[1] += count[j] + low[1][j];
        any += s.odd[j];
    }
    return finish_each(a, i, t, own, totals[0], totals[1], any, margin.rest);
}

static double hinge_of_each(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    double sum = 0;
    if (a->classes > NARROW)
        for (ptrdiff_t i = begin; i < end; i++)
            sum += wide_hinge_of_each(a, i);
    else
        for (ptrdiff_t i = begin; i < end; i += ROWS)
            sum += narrow_hinge_of_each(a, i, end - i < ROWS ? end - i : ROWS);
    return sum;
}

#endif
